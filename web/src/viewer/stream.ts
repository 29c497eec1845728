// One stream in the engine: its decoder, its canvas, what is on it, and its numbers.

import { ageMs } from '../core/frame.ts';
import type { FromViewerPage, ViewerConfig } from '../core/protocol.gen.ts';
import { type Coming, Decoder, type StillFormat } from './decoder.ts';
import type { Arrived } from './link.ts';
import type { AnyCanvas, FromEngine, Problem } from './messages.ts';
import * as stillness from './stillness.ts';

export interface StreamEvents {
  send(message: FromViewerPage): void;
  tell(message: FromEngine): void;
  /** this browser fails at a codec that it says it has */
  failed(codec: string): void;
  /** the agent's clock minus the customer's, ms */
  clockOffset(): number;
}

interface Still {
  readonly bitmap: ImageBitmap;
  readonly of: Coming;
  readonly format: StillFormat;
}

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

const AGE_MAX_MS = 600_000; // more is no age but a wrong clock

export class Stream {
  readonly #number: number;
  readonly #canvas: AnyCanvas;
  readonly #context: Context | null;
  readonly #events: StreamEvents;
  readonly #decoder: Decoder;
  #config: ViewerConfig | null = null;
  #painted: number | null = null; // number of the frame on the canvas
  #shown = ''; // what the page was told of the canvas
  #problem: Problem = '';
  #early: Still | null = null; // came before its frame
  #stillness = stillness.initial;
  #auto = false;
  #live = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #frames = 0;
  #bytes = 0;
  #ages: number[] = [];
  #delays: number[] = [];

  constructor(number: number, canvas: AnyCanvas, events: StreamEvents) {
    this.#number = number;
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false }) as Context | null;
    this.#events = events;
    this.#decoder = new Decoder({
      picture: (picture, width, height, of) => this.#paint(picture, width, height, of),
      still: (picture, of, format) => this.#still({ bitmap: picture, of, format }),
      needKey: () => events.send({ type: 'viewer.keyframe', stream: number }),
      refused: (why) => {
        this.#tellProblem(why);
        if (why !== 'size' && this.#config !== null) events.failed(this.#config.codec);
      },
    });
  }

  configure(config: ViewerConfig): void {
    const sized = this.#config?.width !== config.width || this.#config.height !== config.height;
    this.#config = config;
    this.#events.tell({ type: 'config', config });
    if (sized) this.#stillness = { ...stillness.initial, frameMs: this.#stillness.frameMs };
    this.#tellProblem('');
    this.#decoder.configure(config);
  }

  /** Nothing of it is shown any more: neither is the last picture. */
  remove(): void {
    this.#decoder.stop();
    this.#config = null;
    this.#painted = null;
    this.#shown = '';
    this.#problem = '';
    this.#keep(null);
    this.#stillness = stillness.initial;
    clearTimeout(this.#timer);
    this.#canvas.width = 1;
    this.#canvas.height = 1;
    this.#events.tell({ type: 'removed', stream: this.#number });
  }

  frame(frame: Arrived): void {
    this.#frames++;
    this.#bytes += frame.data.length;
    this.#decoder.frame(frame, performance.now());
  }

  /** Another socket: the chain begins anew, and nothing that was asked for comes. */
  reset(): void {
    this.#decoder.reset();
    this.#stillness = { ...this.#stillness, asked: false };
  }

  /** auto: it is in front, and sharpens by itself; live: the path is there. */
  sharpen(auto: boolean, live: boolean): void {
    if (this.#auto === auto && this.#live === live) return;
    this.#auto = auto;
    this.#live = live;
    this.#schedule();
  }

  /** A still on purpose. */
  still(): void {
    if (this.#painted === null) return;
    this.#stillness = stillness.asked(this.#stillness);
    this.#events.send({ type: 'viewer.still', stream: this.#number });
  }

  refused(why: string): void {
    this.#stillness = stillness.refused(this.#stillness, why, performance.now());
    this.#schedule();
  }

  /** The canvas is on the screen again: browsers drop what was painted while it was not. */
  repaint(): void {
    if (this.#painted !== null) this.#context?.drawImage(this.#canvas, 0, 0);
  }

  tick(seconds: number): void {
    if (this.#config === null) return;
    const numbers = {
      stream: this.#number,
      fps: this.#frames / seconds,
      bitsPerSec: (this.#bytes * 8) / seconds,
      ageMs: mean(this.#ages),
      decodeMs: mean(this.#delays),
    };
    this.#frames = 0;
    this.#bytes = 0;
    this.#ages = [];
    this.#delays = [];
    this.#events.tell({ type: 'numbers', numbers });
  }

  #paint(picture: VideoFrame | ImageBitmap, width: number, height: number, of: Coming): void {
    if (this.#context === null || this.#config === null) return;
    this.#draw(picture, width, height);
    this.#painted = of.frame;
    const now = Date.now();
    this.#events.send({ type: 'viewer.painted', stream: this.#number, frame: of.frame, atMs: now });
    const age = Math.max(0, ageMs(of.captureMs, now, this.#events.clockOffset()));
    if (age < AGE_MAX_MS) this.#ages.push(age);
    this.#delays.push(performance.now() - of.arrivedMs);
    this.#stillness = stillness.moved(this.#stillness, performance.now());
    this.#tellShown(width, height, this.#config.codec === 'image/png' ? 'png' : '');
    this.#tellProblem('');
    if (this.#early?.of.frame === of.frame) this.#swap(this.#early);
    if (this.#early !== null && ((this.#early.of.frame - of.frame) | 0) <= 0) this.#keep(null);
    this.#schedule();
  }

  /** A still is shown in place of its own frame alone: never after a newer one. */
  #still(still: Still): void {
    if (this.#painted !== null && ((still.of.frame - this.#painted) | 0) > 0) {
      this.#keep(still);
      return;
    }
    if (this.#painted === still.of.frame) this.#swap(still);
    else {
      this.#stillness = stillness.answered(this.#stillness, false, performance.now());
      this.#events.tell({ type: 'refused', stream: this.#number, why: 'motion' });
    }
    still.bitmap.close();
    this.#schedule();
  }

  #swap({ bitmap, format }: Still): void {
    this.#draw(bitmap, bitmap.width, bitmap.height);
    this.#stillness = stillness.answered(this.#stillness, true, performance.now());
    this.#tellShown(bitmap.width, bitmap.height, format);
  }

  #keep(early: Still | null): void {
    this.#early?.bitmap.close();
    this.#early = early;
  }

  #draw(picture: VideoFrame | ImageBitmap, width: number, height: number): void {
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    this.#context?.drawImage(picture, 0, 0);
  }

  /** Asks for a still by itself when the time has come. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (!this.#auto || !this.#live || this.#config?.codec === 'image/png') return;
    const due = stillness.dueMs(this.#stillness);
    if (due === null) return;
    this.#timer = setTimeout(
      () => {
        this.#stillness = stillness.asked(this.#stillness);
        this.#events.send({ type: 'viewer.still', stream: this.#number, auto: true });
      },
      Math.max(0, due - performance.now()),
    );
  }

  #tellShown(width: number, height: number, still: '' | 'png' | 'jpeg'): void {
    const text = `${width} ${height} ${still}`;
    if (text === this.#shown) return;
    this.#shown = text;
    this.#events.tell({ type: 'shown', shown: { stream: this.#number, width, height, still } });
  }

  #tellProblem(problem: Problem): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#events.tell({ type: 'problem', stream: this.#number, problem });
  }
}

function mean(list: readonly number[]): number | null {
  return list.length === 0 ? null : list.reduce((sum, one) => sum + one, 0) / list.length;
}
