// One face for WebCodecs' encoders and for whole images, which every browser can make.

import type { Format } from './draw.ts';
import { makeImage } from './image.ts';
import type { Picture } from './picture.ts';

export interface Encoded {
  readonly key: boolean;
  /** it was asked for as a key frame */
  readonly asked: boolean;
  readonly captureMs: number;
  /** that the encoder worked on it, without the time that it waited for the frame before */
  readonly tookMs: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export interface EncoderEvents {
  output(encoded: Encoded): void;
  failed(): void;
  /** it can take another frame */
  ready(): void;
}

interface Waiting {
  /** the first delta frame asked for at a new bit rate */
  readonly steered: boolean;
  readonly key: boolean;
  readonly captureMs: number;
  readonly startedMs: number;
}

const IMAGE_QUALITY = 0.85;
export const HELD_MAX = 8; // frames that an encoder may have without giving one out: more are seconds of delay
const NARROW = 1_500_000; // bits a second: below it a large frame is made small, and sharp by those behind it
const WIDE = 2_500_000; // from here on that is over
const STEER = 0.15; // how much the bit rate must change before the encoder is told
const STEER_RESTARTS = 0.5; // the same where that costs a key frame

/** Codecs whose encoders here can keep a constant bit rate. */
const steadies = new Set<string>();

export class Encoder {
  readonly #events: EncoderEvents;
  #video: VideoEncoder | null = null;
  #image: Format['type'] | '' = '';
  #even = false;
  #width = 0; // of images
  #height = 0;
  #busy = 0; // images
  #generation = 0;
  #stamp = 0;
  #waiting = new Map<number, Waiting>();
  #outputMs = 0;
  #holds = Number.POSITIVE_INFINITY; // the fewest frames that it had when it gave one out
  #steered = false; // the encoder has a bit rate with which it has encoded nothing yet
  #steady = false; // the bit rate is constant
  #restarts = false; // at a new bit rate, as Firefox's do: a key frame, and up to 300 ms without a frame

  constructor(events: EncoderEvents) {
    this.#events = events;
  }

  /**
   * Whether this browser encodes that codec. Asked for a small size: Chromium makes a whole encoder for the answer,
   * on the page's own thread (1.5 s for VP9 at 3840×2160). A size that it can't do shows when it is configured.
   */
  static async supports(codec: string): Promise<boolean> {
    if (codec.startsWith('image/')) return true;
    if (typeof VideoEncoder === 'undefined') return false;
    try {
      const asked = (steady: boolean) => VideoEncoder.isConfigSupported(config(codec, 640, 360, NARROW, steady));
      asked(true).then(
        ({ supported }) => supported === true && steadies.add(codec),
        () => undefined, // then it is variable
      );
      return (await asked(false)).supported === true;
    } catch {
      return false;
    }
  }

  get ready(): boolean {
    return this.#video !== null || this.#image !== '';
  }

  /**
   * Frames that are in the encoder, beyond those that it always holds back. encodeQueueSize counts those alone that have
   * not reached it: behind it Chromium takes half a second of pictures from a busy machine.
   */
  get queue(): number {
    if (this.#video === null) return this.#busy;
    return this.#holds === Number.POSITIVE_INFINITY ? this.#video.encodeQueueSize : this.#waiting.size - this.#holds;
  }

  /** The part by which the bit rate must differ before it is worth configuring it. */
  get steer(): number {
    return this.#restarts ? STEER_RESTARTS : STEER;
  }

  /** Sets codec, size and bit rate; false when that failed, which `failed` tells too. */
  configure(codec: string, width: number, height: number, bitrate: number): boolean {
    if (codec.startsWith('image/')) {
      this.#image = codec as Format['type'];
      this.#width = width;
      this.#height = height;
      return true;
    }
    try {
      // Encoders of the machine may begin anew for another mode: that says nothing of other bit rates.
      const steady = steadies.has(codec) && bitrate < (this.#steady ? WIDE : NARROW);
      this.#steered = this.#video !== null && steady === this.#steady;
      this.#steady = steady;
      this.#video ??= this.#make();
      this.#even = needsEven(codec);
      this.#video.configure(config(codec, width, height, bitrate, steady));
      return true;
    } catch {
      this.#events.failed();
      return false;
    }
  }

  encode(picture: Picture, key: boolean, captureMs: number): void {
    const startedMs = performance.now();
    if (this.#image !== '') {
      void this.#still(picture, this.#image, key, captureMs);
      return;
    }
    if (this.#waiting.size >= HELD_MAX) {
      this.#events.failed(); // Firefox's H.264 on Linux holds 40 back, whatever latencyMode says (3 s)
      return;
    }
    // Own timestamps: they must rise, also when the same frame is encoded again.
    this.#stamp += 1000;
    const timestamp = this.#stamp;
    this.#waiting.set(timestamp, { steered: this.#steered && !key, key, captureMs, startedMs });
    this.#steered = false;
    const stamped = new VideoFrame(picture, { timestamp, ...(this.#even && evenPart(picture)) });
    try {
      this.#video?.encode(stamped, { keyFrame: key });
    } catch {
      this.#events.failed();
    } finally {
      stamped.close();
    }
  }

  reset(): void {
    this.#generation++;
    if (this.#video !== null && this.#video.state !== 'closed') this.#video.close();
    this.#video = null;
    this.#image = '';
    this.#busy = 0;
    this.#holds = Number.POSITIVE_INFINITY;
    this.#waiting.clear();
  }

  close(): void {
    this.reset();
  }

  #make(): VideoEncoder {
    const generation = this.#generation;
    const video = new VideoEncoder({
      output: (chunk) => {
        const waiting = this.#waiting.get(chunk.timestamp);
        let asked = false;
        for (const [timestamp, { key }] of this.#waiting) {
          if (timestamp > chunk.timestamp) break;
          this.#waiting.delete(timestamp); // and those that the encoder has left out
          asked ||= key;
        }
        if (generation !== this.#generation || waiting === undefined) return;
        this.#holds = Math.min(this.#holds, this.#waiting.size);
        const data = new Uint8Array(chunk.byteLength);
        chunk.copyTo(data);
        const now = performance.now();
        const tookMs = now - Math.max(waiting.startedMs, this.#outputMs);
        this.#outputMs = now;
        const key = chunk.type === 'key';
        if (key && waiting.steered) this.#restarts = true;
        this.#events.output({ key, asked, captureMs: waiting.captureMs, tookMs, data });
        this.#events.ready();
      },
      error: () => {
        if (generation === this.#generation) this.#events.failed();
      },
    });
    video.ondequeue = () => this.#events.ready();
    return video;
  }

  async #still(picture: Picture, type: Format['type'], asked: boolean, captureMs: number): Promise<void> {
    const startedMs = performance.now();
    const generation = this.#generation;
    const order = { width: this.#width, height: this.#height, formats: [{ type, quality: IMAGE_QUALITY }] };
    this.#busy += 2; // one at a time
    try {
      const data = await makeImage(picture, { ...order, maxBytes: Number.POSITIVE_INFINITY });
      if (generation !== this.#generation || data === null) return;
      this.#busy -= 2;
      this.#events.output({ key: true, asked, captureMs, tookMs: performance.now() - startedMs, data });
      this.#events.ready();
    } catch {
      if (generation === this.#generation) this.#events.failed();
    }
  }
}

/** H.264 has even sides only. */
export function needsEven(codec: string): boolean {
  return codec.startsWith('avc1');
}

/** The frame without its last column and row where their number is odd: cutting keeps text sharp, scaling would not. */
function evenPart(picture: Picture): VideoFrameInit {
  if (!('visibleRect' in picture)) return {}; // a bitmap: only where there is no encoder to feed
  const { x, y, width, height } = picture.visibleRect ?? { x: 0, y: 0, width: 0, height: 0 };
  if (width % 2 === 0 && height % 2 === 0) return {};
  const [even, tall] = [width & ~1, height & ~1];
  return { visibleRect: { x, y, width: even, height: tall }, displayWidth: even, displayHeight: tall };
}

function config(codec: string, width: number, height: number, bitrate: number, steady: boolean): VideoEncoderConfig {
  return {
    codec,
    width,
    height,
    bitrate,
    framerate: 30,
    latencyMode: 'realtime',
    bitrateMode: steady ? 'constant' : 'variable',
    contentHint: 'text',
    ...(codec.startsWith('avc1') && { avc: { format: 'annexb' as const } }), // no description beside the stream
  };
}
