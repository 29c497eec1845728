// A source of pictures from a track: MediaStreamTrackProcessor where windows have it (Chromium), otherwise a muted
// <video> that is sampled by a clock in a worker (Firefox, Safari). Both give no more pictures than the rate asks for
// and never lose the last one of a movement; the second never gives one that is the same as the one before.

import { Differ } from './differ.ts';
import type { Picture } from './picture.ts';
import { startWorker } from './worker.ts';

export interface CaptureEvents {
  picture(picture: Picture): void;
  /** there will be no more, although the track was not stopped */
  failed(): void;
}

export interface Capture {
  /** at most so many pictures a second; 30 at first */
  rate(fps: number): void;
  /** Whether it is worth looking if a picture is the same as the one before, which is then left out. */
  compare(on: boolean): void;
  /** No more pictures from now on. The track is the caller's to stop. */
  stop(): void;
}

const FPS = 30;

/** Takes pictures from the track until it is stopped. */
export function capture(track: MediaStreamTrack, events: CaptureEvents): Capture {
  const Processor = window.MediaStreamTrackProcessor;
  if (Processor === undefined) return new Sampler(track, events);
  return new Reader(track, new Processor({ track, maxBufferSize: 1 }).readable, events);
}

/** The clock of one capture: a worker's, or the page's own where no worker starts. */
class Clock {
  readonly #tick: () => void;
  #worker: Worker | null = null;
  #own: ReturnType<typeof setTimeout> | undefined;

  constructor(tick: () => void) {
    this.#tick = tick;
    try {
      this.#worker = startWorker('capture.worker.js');
      this.#worker.onmessage = tick;
      this.#worker.onerror = () => {
        this.#worker = null; // it could not be loaded
        this.after(0);
      };
    } catch {
      this.#worker = null;
    }
  }

  /** One tick after so many ms, instead of one that is due. */
  after(ms: number): void {
    if (this.#worker !== null) this.#worker.postMessage(ms);
    else {
      clearTimeout(this.#own);
      this.#own = setTimeout(this.#tick, ms);
    }
  }

  stop(): void {
    this.#worker?.terminate();
    this.#worker = null;
    clearTimeout(this.#own);
  }
}

/** Pictures as the browser captures them. */
class Reader implements Capture {
  readonly #track: MediaStreamTrack;
  readonly #frames: ReadableStreamDefaultReader<VideoFrame>;
  readonly #events: CaptureEvents;
  #clock: Clock | null = null;
  readonly #differ = new Differ();
  #held: VideoFrame | null = null; // came before its time, or while the one before was compared
  #compares = false;
  #busy = false; // comparing
  #intervalMs = 0;
  #lastMs = 0;
  #stopped = false;

  constructor(track: MediaStreamTrack, readable: ReadableStream<VideoFrame>, events: CaptureEvents) {
    this.#track = track;
    this.#frames = readable.getReader();
    this.#events = events;
    this.rate(FPS);
    void this.#read();
  }

  rate(fps: number): void {
    this.#intervalMs = 1000 / fps;
    if (this.#held !== null) this.#deliver();
  }

  compare(on: boolean): void {
    this.#compares = on;
    if (!on) this.#differ.forget();
  }

  stop(): void {
    this.#stopped = true;
    this.#clock?.stop();
    this.#held?.close();
    this.#held = null;
    void this.#frames.cancel().catch(() => undefined);
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#frames.read();
        if (done) break;
        if (this.#stopped) {
          value.close();
          return;
        }
        this.#held?.close();
        this.#held = value;
        this.#deliver();
      }
    } catch {
      // told below
    }
    if (!this.#stopped && this.#track.readyState === 'live') this.#events.failed();
  }

  /** Gives out what is held, now or when its time has come. */
  #deliver(): void {
    const picture = this.#held;
    if (picture === null || this.#busy) return;
    const now = performance.now();
    const earlyMs = this.#lastMs + this.#intervalMs - now;
    if (earlyMs > 0.3 * this.#intervalMs) {
      // What comes a little early is let through: else 30 captured a second would become 15.
      this.#clock ??= new Clock(() => this.#deliver());
      this.#clock.after(earlyMs);
      return;
    }
    this.#held = null;
    // One that came late does not put off those after it: a source with just this rate would stay late for good.
    this.#lastMs = Math.max(now - this.#intervalMs, this.#lastMs + this.#intervalMs);
    if (this.#compares) void this.#compare(picture);
    else this.#events.picture(picture);
  }

  async #compare(picture: VideoFrame): Promise<void> {
    this.#busy = true;
    const same = await this.#differ.same(picture);
    this.#busy = false;
    if (same || this.#stopped) picture.close();
    else this.#events.picture(picture);
    this.#deliver();
  }
}

/** Pictures of a muted, playing <video>, taken at each tick of the clock if they have changed. */
class Sampler implements Capture {
  readonly #video = document.createElement('video');
  readonly #events: CaptureEvents;
  readonly #clock: Clock;
  readonly #differ = new Differ();
  #intervalMs = 1000 / FPS;
  #dueMs = 0;
  #busy = false;
  #stopped = false;

  constructor(track: MediaStreamTrack, events: CaptureEvents) {
    this.#events = events;
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.srcObject = new MediaStream([track]);
    this.#video.play().catch(() => this.#fail());
    this.#clock = new Clock(() => void this.#tick());
    this.#clock.after(0);
  }

  rate(fps: number): void {
    this.#intervalMs = 1000 / fps;
  }

  compare(): void {
    // always: a video tells of a new picture in no other way
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.stop();
    this.#video.srcObject = null;
  }

  #fail(): void {
    if (this.#stopped) return;
    this.stop();
    this.#events.failed();
  }

  async #tick(): Promise<void> {
    if (this.#stopped) return;
    const now = performance.now();
    this.#dueMs = Math.max(now, this.#dueMs + this.#intervalMs);
    this.#clock.after(this.#dueMs - now);
    if (this.#busy || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#busy = true;
    const picture = typeof VideoFrame === 'undefined' ? this.#bitmap() : await this.#frame();
    this.#busy = false;
    if (picture === null) return;
    if (this.#stopped) picture.close();
    else this.#events.picture(picture);
  }

  /** The video's picture, or null when it is the same as before. */
  async #frame(): Promise<VideoFrame | null> {
    let frame: VideoFrame;
    try {
      frame = new VideoFrame(this.#video, { timestamp: Math.round(performance.now() * 1000) });
    } catch {
      return null; // between two sizes there may be none
    }
    if (!(await this.#differ.same(frame))) return frame;
    frame.close();
    return null;
  }

  /** The same without WebCodecs. */
  #bitmap(): ImageBitmap | null {
    const canvas = new OffscreenCanvas(this.#video.videoWidth, this.#video.videoHeight);
    const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
    if (context === null) return null;
    context.drawImage(this.#video, 0, 0);
    return this.#differ.drawn(context) ? null : canvas.transferToImageBitmap();
  }
}
