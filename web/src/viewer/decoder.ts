// Decodes the frames of one stream: WebCodecs, or whole images. A broken chain asks for a key frame; a decoder that
// fails again and again gives its codec up.

import { CODECS } from '../core/codec.ts';
import { FRAME_KIND, MAX_FRAME_PIXELS, MAX_FRAME_SIDE, type ViewerConfig } from '../core/protocol.gen.ts';
import type { Arrived } from './link.ts';

/** A frame on its way to the canvas. */
export interface Coming {
  readonly frame: number;
  readonly captureMs: number;
  readonly arrivedMs: number;
}

export type StillFormat = 'png' | 'jpeg';

export interface DecoderEvents {
  /** paint it now; the picture is closed afterwards */
  picture(picture: VideoFrame | ImageBitmap, width: number, height: number, of: Coming): void;
  /** a still beside the chain; whoever gets it closes it */
  still(picture: ImageBitmap, of: Coming, format: StillFormat): void;
  needKey(): void;
  /** size: larger than allowed; codec: not known here; broken: it fails although it is known */
  refused(why: 'size' | 'codec' | 'broken'): void;
}

interface Image {
  readonly blob: Blob;
  readonly of: Coming;
}

export const ASK_EVERY_MS = 500;
export const QUEUE_MAX = 30; // frames in the decoder; more would be memory and age
export const FAILURES_MAX = 6; // in a row, without a picture

/** What this browser can decode, best first, without those that failed. */
export async function decodable(failed: ReadonlySet<string>): Promise<string[]> {
  const out: string[] = [];
  for (const codec of CODECS) {
    if (failed.has(codec)) continue;
    if (codec.startsWith('image/')) out.push(codec);
    else if (typeof VideoDecoder !== 'undefined') {
      const answer = await VideoDecoder.isConfigSupported({ codec }).catch(() => null);
      if (answer?.supported === true) out.push(codec);
    }
  }
  return out;
}

export class Decoder {
  readonly #events: DecoderEvents;
  #config: ViewerConfig | null = null;
  #usable = false; // its frames can be shown here
  #video: VideoDecoder | null = null;
  #waiting = new Map<number, Coming>();
  #stamp = 0;
  #next = -1; // the number that continues the chain; -1: wait for a key frame
  #image: Image | null = null; // waits for the one that is being decoded; the newest wins
  #decoding = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asks: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(events: DecoderEvents) {
    this.#events = events;
  }

  configure(config: ViewerConfig): void {
    const same = this.#config?.codec === config.codec && this.#video !== null;
    this.#config = config;
    this.#usable = allowedSize(config.width, config.height); //guard:T32
    this.#next = -1; // a new size begins with a key frame
    this.#failures = 0;
    if (same && this.#usable) return;
    this.#close();
    if (!this.#usable) this.#events.refused('size');
    else if (!config.codec.startsWith('image/')) this.#make(config.codec);
  }

  /** The chain is cut: a new socket, a new program. */
  reset(): void {
    this.#next = -1;
  }

  /** The stream is gone. */
  stop(): void {
    this.#config = null;
    this.#usable = false;
    this.#image = null;
    this.#close();
  }

  frame(frame: Arrived, now: number): void {
    const config = this.#config;
    if (config === null || !this.#usable) return; //guard:T32
    const of = { frame: frame.frame, captureMs: frame.captureMs, arrivedMs: now };
    if (frame.kind === FRAME_KIND.still) {
      const format = frame.data[0] === 0x89 ? 'png' : 'jpeg'; // the agent's program lets only these two pass
      void this.#decodeStill({ blob: new Blob([frame.data], { type: `image/${format}` }), of }, format);
      return;
    }
    if (config.codec.startsWith('image/')) {
      this.#image = { blob: new Blob([frame.data], { type: config.codec }), of };
      if (!this.#decoding) void this.#decodeImages();
      return;
    }
    const key = frame.kind === FRAME_KIND.key;
    if (!key && (this.#next < 0 || frame.frame !== this.#next)) {
      this.#next = -1;
      this.#ask();
      return;
    }
    if (this.#waiting.size >= QUEUE_MAX) {
      this.#failed(); // it is too slow, or takes frames and gives no pictures
      return;
    }
    if (this.#video === null) this.#make(config.codec);
    if (this.#video === null) return;
    this.#next = (frame.frame + 1) >>> 0;
    this.#stamp += 1000;
    const timestamp = this.#stamp;
    this.#waiting.set(timestamp, of);
    try {
      this.#video.decode(new EncodedVideoChunk({ type: key ? 'key' : 'delta', timestamp, data: frame.data }));
    } catch {
      this.#failed();
    }
  }

  #make(codec: string): void {
    if (typeof VideoDecoder === 'undefined') {
      this.#unknown();
      return;
    }
    const video = new VideoDecoder({
      output: (picture) => {
        const of = this.#waiting.get(picture.timestamp);
        if (of !== undefined && video === this.#video) {
          this.#came(picture.timestamp);
          this.#paint(picture, picture.displayWidth, picture.displayHeight, of);
        }
        picture.close();
      },
      error: () => {
        if (video === this.#video) this.#failed();
      },
    });
    this.#video = video;
    this.#next = -1;
    this.#waiting.clear();
    try {
      // After failures without the machine's own decoder: some say yes to what they can't do.
      const hardwareAcceleration = this.#failures > 1 ? 'prefer-software' : 'no-preference';
      video.configure({ codec, optimizeForLatency: true, hardwareAcceleration });
    } catch {
      this.#unknown();
    }
  }

  /** Strikes off a frame that gave its picture. One before it that gave none was skipped: the chain may be wrong since. */
  #came(timestamp: number): void {
    for (const stamp of this.#waiting.keys()) {
      if (stamp > timestamp) break;
      this.#waiting.delete(stamp);
      if (stamp < timestamp) this.#ask();
    }
  }

  #unknown(): void {
    this.#close();
    this.#usable = false; // until another codec comes: told once, not for each frame
    this.#events.refused('codec');
  }

  async #decodeImages(): Promise<void> {
    this.#decoding = true;
    for (let next = this.#image; next !== null; next = this.#image) {
      this.#image = null;
      try {
        const picture = await createImageBitmap(next.blob);
        if (this.#usable) this.#paint(picture, picture.width, picture.height, next.of);
        picture.close();
      } catch {
        this.#failed();
      }
    }
    this.#decoding = false;
  }

  async #decodeStill({ blob, of }: Image, format: StillFormat): Promise<void> {
    try {
      const picture = await createImageBitmap(blob, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
      if (this.#usable && allowedSize(picture.width, picture.height)) this.#events.still(picture, of, format);
      else picture.close();
    } catch {
      // the picture itself is there; a still comes when it is asked for again
    }
  }

  #paint(picture: VideoFrame | ImageBitmap, width: number, height: number, of: Coming): void {
    this.#failures = 0;
    if (allowedSize(width, height)) this.#events.picture(picture, width, height, of);
    else this.#events.refused('size'); //guard:T32
  }

  #failed(): void {
    this.#failures++;
    if (this.#failures === FAILURES_MAX) this.#events.refused('broken');
    this.#broken();
  }

  #broken(): void {
    this.#close();
    this.#ask();
  }

  /** Asks for a key frame, not too often; one that is due later is asked for then: nothing else may come. */
  #ask(): void {
    this.#asks ??= setTimeout(
      () => {
        this.#asks = undefined;
        this.#askedMs = performance.now();
        if (this.#usable) this.#events.needKey();
      },
      Math.max(0, this.#askedMs + ASK_EVERY_MS - performance.now()),
    );
  }

  #close(): void {
    const video = this.#video;
    this.#video = null;
    this.#next = -1;
    this.#waiting.clear();
    if (video !== null && video.state !== 'closed') video.close();
  }
}

function allowedSize(width: number, height: number): boolean {
  return (
    width >= 1 &&
    height >= 1 &&
    width <= MAX_FRAME_SIDE &&
    height <= MAX_FRAME_SIDE &&
    width * height <= MAX_FRAME_PIXELS //guard:T32
  );
}
