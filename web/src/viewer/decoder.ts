// Decodes the frames of a share onto pictures: WebCodecs, or whole images. A broken chain asks for a key frame.

import { CODECS } from '../core/codec.ts';
import { FRAME_KIND, MAX_FRAME_PIXELS, MAX_FRAME_SIDE, type ViewerConfig } from '../core/protocol.gen.ts';
import type { Arrived } from './link.ts';

export interface Painted {
  readonly frame: number;
  readonly captureMs: number;
}

export interface DecoderEvents {
  /** paint it now; the picture is closed afterwards */
  picture(picture: VideoFrame | ImageBitmap, width: number, height: number, of: Painted): void;
  needKey(): void;
  refused(why: 'size' | 'codec'): void;
}

interface Still {
  readonly blob: Blob;
  readonly of: Painted;
}

const ASK_EVERY_MS = 500;

/** What this browser can decode, best first. */
export async function decodable(): Promise<string[]> {
  const out: string[] = [];
  for (const codec of CODECS) {
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
  #video: VideoDecoder | null = null;
  #waiting = new Map<number, Painted>();
  #stamp = 0;
  #next = -1; // the number that continues the chain; -1: wait for a key frame
  #image: Still | null = null; // waits for the one that is being decoded; the newest wins
  #decoding = false;
  #askedMs = 0;

  constructor(events: DecoderEvents) {
    this.#events = events;
  }

  configure(config: ViewerConfig): void {
    const same = this.#config?.codec === config.codec && this.#video !== null;
    this.#config = config;
    if (same && this.#config.codec === config.codec) {
      this.#next = -1; // a new size begins with a key frame
      return;
    }
    this.#close();
    if (!allowedSize(config.width, config.height)) {
      this.#events.refused('size'); //guard:T32
      return;
    }
    if (!config.codec.startsWith('image/')) this.#make(config.codec);
  }

  /** The chain is cut: a new socket, a new program. */
  reset(): void {
    this.#next = -1;
  }

  frame(frame: Arrived): void {
    const config = this.#config;
    if (config === null || !allowedSize(config.width, config.height)) return; //guard:T32
    const of = { frame: frame.frame, captureMs: frame.captureMs };
    if (frame.kind === FRAME_KIND.still || config.codec.startsWith('image/')) {
      const type = config.codec.startsWith('image/') ? config.codec : 'image/png';
      this.#image = { blob: new Blob([frame.data], { type }), of };
      if (!this.#decoding) void this.#decodeImages();
      return;
    }
    const key = frame.kind === FRAME_KIND.key;
    if (!key && (this.#next < 0 || frame.frame !== this.#next)) {
      this.#next = -1;
      this.#ask();
      return;
    }
    if (this.#video === null) this.#make(config.codec);
    this.#next = (frame.frame + 1) >>> 0;
    this.#stamp += 1000;
    const timestamp = this.#stamp;
    this.#waiting.set(timestamp, of);
    try {
      this.#video?.decode(new EncodedVideoChunk({ type: key ? 'key' : 'delta', timestamp, data: frame.data }));
    } catch {
      this.#broken();
    }
  }

  #make(codec: string): void {
    if (typeof VideoDecoder === 'undefined') {
      this.#events.refused('codec');
      return;
    }
    const video = new VideoDecoder({
      output: (picture) => {
        const of = this.#waiting.get(picture.timestamp);
        this.#waiting.delete(picture.timestamp);
        if (of !== undefined) this.#paint(picture, picture.displayWidth, picture.displayHeight, of);
        picture.close();
      },
      error: () => {
        if (video === this.#video) this.#broken();
      },
    });
    this.#video = video;
    this.#next = -1;
    this.#waiting.clear();
    try {
      video.configure({ codec, optimizeForLatency: true });
    } catch {
      this.#close();
      this.#events.refused('codec');
    }
  }

  async #decodeImages(): Promise<void> {
    this.#decoding = true;
    for (let next = this.#image; next !== null; next = this.#image) {
      this.#image = null;
      try {
        const picture = await createImageBitmap(next.blob);
        this.#paint(picture, picture.width, picture.height, next.of);
        picture.close();
      } catch {
        this.#ask();
      }
    }
    this.#decoding = false;
  }

  #paint(picture: VideoFrame | ImageBitmap, width: number, height: number, of: Painted): void {
    if (allowedSize(width, height)) this.#events.picture(picture, width, height, of);
    else this.#events.refused('size'); //guard:T32
  }

  #broken(): void {
    this.#close();
    this.#ask();
  }

  #ask(): void {
    const now = Date.now();
    if (now - this.#askedMs < ASK_EVERY_MS) return;
    this.#askedMs = now;
    this.#events.needKey();
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
