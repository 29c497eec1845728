// Everything behind the page: the socket, a decoder a stream, and the painting. It knows nothing of the DOM but its
// canvases, so that it runs in a worker, and in the page where a browser can't.

import { type FromViewerHost, MAX_STREAMS } from '../core/protocol.gen.ts';
import { decodable } from './decoder.ts';
import { Link } from './link.ts';
import type { FromEngine, ToEngine } from './messages.ts';
import { Stream } from './stream.ts';

const TICK_MS = 1_000;

export class Engine {
  readonly #tell: (message: FromEngine) => void;
  readonly #failed = new Set<string>(); // codecs that this browser says it has, and fails at
  #streams: Stream[] = [];
  #link: Link | null = null;
  #clockOffsetMs = 0;
  #live = false;
  #sharpens = -1;
  #tickedMs = performance.now();

  constructor(tell: (message: FromEngine) => void) {
    this.#tell = tell;
    tell({ type: 'ready', video: typeof VideoDecoder !== 'undefined' });
  }

  take(message: ToEngine): void {
    switch (message.type) {
      case 'start':
        this.#start(message);
        return;
      case 'sharpen':
        this.#sharpens = message.stream;
        this.#sharpen();
        return;
      case 'still':
        this.#streams[message.stream]?.still();
        return;
      case 'wake':
        this.#link?.wake();
        for (const stream of this.#streams) stream.repaint();
    }
  }

  #start({ code, token, canvases }: Extract<ToEngine, { type: 'start' }>): void {
    this.#streams = canvases.slice(0, MAX_STREAMS).map(
      (canvas, number) =>
        new Stream(number, canvas, {
          send: (out) => this.#link?.send(out),
          tell: this.#tell,
          failed: (codec) => {
            this.#failed.add(codec);
            this.#sayCodecs();
          },
          clockOffset: () => this.#clockOffsetMs,
        }),
    );
    this.#link = new Link(code, token, {
      open: (kept) => {
        for (const stream of this.#streams) stream.reset();
        this.#tell({ type: 'link', link: 'open', token: kept });
        this.#sayCodecs();
      },
      message: (from) => this.#receive(from),
      frame: (frame) => this.#streams[frame.stream]?.frame(frame),
      down: (refused) => {
        this.#live = false;
        this.#sharpen();
        this.#tell({ type: 'link', link: refused ? 'refused' : 'down', token: '' });
      },
    });
    this.#link.start();
    setInterval(() => this.#tick(), TICK_MS);
  }

  #receive(message: FromViewerHost): void {
    switch (message.type) {
      case 'viewer.state':
        this.#clockOffsetMs = message.clockOffsetMs ?? 0;
        this.#live = message.state === 'connected';
        this.#sharpen();
        this.#tell({ type: 'state', state: message });
        return;
      case 'viewer.config':
        this.#streams[message.stream ?? 0]?.configure(message);
        return;
      case 'viewer.removed':
        this.#streams[message.stream ?? 0]?.remove();
        return;
      case 'viewer.level':
        this.#tell({ type: 'level', level: message });
        return;
      case 'viewer.refused':
        this.#streams[message.stream ?? 0]?.refused(message.why);
        this.#tell({ type: 'refused', stream: message.stream ?? 0, why: message.why });
    }
  }

  #sharpen(): void {
    for (const [number, stream] of this.#streams.entries()) stream.sharpen(number === this.#sharpens, this.#live);
  }

  #sayCodecs(): void {
    void decodable(this.#failed).then((codecs) => this.#link?.send({ type: 'viewer.codecs', decodable: codecs }));
  }

  #tick(): void {
    const now = performance.now();
    const seconds = Math.max(0.1, (now - this.#tickedMs) / 1000);
    this.#tickedMs = now;
    this.#link?.tick();
    for (const stream of this.#streams) stream.tick(seconds);
  }
}
