// An encoder that does what a test says, with the frames it has been given. Real ones run in the tests with browsers.

import assert from 'node:assert/strict';

interface Chunk {
  readonly type: 'key' | 'delta';
  readonly timestamp: number;
}

/** All that were made since the test emptied it. */
export const encoders: Scripted[] = [];

export class Scripted {
  readonly frames: Chunk[] = [];
  readonly state = 'configured';
  readonly encodeQueueSize = 0;
  readonly #output: (chunk: object) => void;
  static isConfigSupported(): Promise<object> {
    return Promise.resolve({ supported: true });
  }
  constructor(init: { output: (chunk: object) => void }) {
    this.#output = init.output;
    encoders.push(this);
  }
  configured: VideoEncoderConfig | null = null;
  configure(config: VideoEncoderConfig): void {
    this.configured = config;
  }
  close(): void {}
  encode(frame: { timestamp: number }, { keyFrame }: { keyFrame: boolean }): void {
    this.frames.push({ type: keyFrame ? 'key' : 'delta', timestamp: frame.timestamp });
  }
  /** Gives out the oldest frame that it has. */
  give(type?: 'key' | 'delta'): void {
    const frame = this.frames.shift();
    assert.ok(frame);
    this.#output({ ...frame, type: type ?? frame.type, byteLength: 1000, copyTo: () => undefined });
  }
}

export class ScriptedFrame {
  readonly timestamp: number;
  readonly displayWidth = 640;
  readonly displayHeight = 360;
  constructor(_?: unknown, init?: { timestamp: number }) {
    this.timestamp = init?.timestamp ?? 0;
  }
  close(): void {}
}

Object.assign(globalThis, { VideoEncoder: Scripted, VideoFrame: ScriptedFrame });
