// What decoders do and Node has none of, what none does on purpose, and what a hostile end sends. The decoder here is a
// script; real ones are in e2e.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { FRAME_KIND, MAX_FRAME_PIXELS, MAX_FRAME_SIDE } from '../src/core/protocol.gen.ts';
import { ASK_EVERY_MS, Decoder, FAILURES_MAX, QUEUE_MAX } from '../src/viewer/decoder.ts';

class Scripted {
  state = 'configured';
  readonly frames: { type: string; timestamp: number }[] = [];
  readonly #output: (picture: object) => void;
  readonly #error: () => void;
  constructor(init: { output: (picture: object) => void; error: () => void }) {
    this.#output = init.output;
    this.#error = init.error;
    decoders.push(this);
  }
  configure({ codec }: { codec: string }): void {
    if (codec === 'nonsense') throw new TypeError('unknown codec');
  }
  close(): void {
    this.state = 'closed';
  }
  decode(chunk: { type: string; timestamp: number }): void {
    this.frames.push(chunk);
  }
  /** Gives out the picture of a frame; −1: the newest. */
  give(width = 64, height = 48, at = -1): void {
    const timestamp = this.frames.at(at)?.timestamp;
    this.#output({ timestamp, displayWidth: width, displayHeight: height, close: () => open-- });
    open++;
  }
  fail(): void {
    this.state = 'closed';
    this.#error();
  }
}

class Chunk {
  readonly type: string;
  readonly timestamp: number;
  constructor({ type, timestamp }: { type: string; timestamp: number }) {
    this.type = type;
    this.timestamp = timestamp;
  }
}

let decoders: Scripted[] = [];
let open = 0; // pictures
let painted: string[] = [];
let refused: string[] = [];
let askedMs: number[] = [];
let nowMs = 0;
let number = 0; // of the next frame
let decoder: Decoder;

mock.timers.enable({ apis: ['setTimeout'] });
mock.method(performance, 'now', () => nowMs);
const bitmaps: ((picture: object) => void)[] = [];
Object.assign(globalThis, {
  VideoDecoder: Scripted,
  EncodedVideoChunk: Chunk,
  createImageBitmap: () => new Promise((done) => bitmaps.push(done)),
});

beforeEach(() => {
  pass(10 * ASK_EVERY_MS); // what the test before asked for
  decoders = [];
  painted = [];
  refused = [];
  askedMs = [];
  open = 0;
  decoder = new Decoder({
    picture: (_, width, height, of) => painted.push(`${of.frame}: ${width}×${height}`),
    still: () => assert.fail('nobody sent a still'),
    needKey: () => askedMs.push(nowMs),
    refused: (why) => refused.push(why),
  });
  number = 0;
  configure(64, 48);
});

function pass(ms: number): void {
  nowMs += ms;
  mock.timers.tick(ms);
}

function configure(width: number, height: number, codec = 'vp8'): void {
  decoder.configure({ type: 'viewer.config', codec, width, height, surface: 'window' });
}

function frame(kind: number = FRAME_KIND.delta): void {
  decoder.frame({ kind, stream: 0, frame: number++, captureMs: 0, data: new Uint8Array(1) }, nowMs);
}

const key = () => frame(FRAME_KIND.key);
const latest = () => decoders.at(-1) as Scripted;

test('a size that is too large is said and nothing of it decoded, also with the codec before; the next good one heals', () => {
  const side = MAX_FRAME_SIDE;
  const row = Math.floor(MAX_FRAME_PIXELS / side);
  for (const [width, height, fits] of [
    [side, row, true],
    [side, row + 1, false],
    [side, 10 * row, false],
    [side, 1, true],
    [side + 1, 1, false],
    [10 * side, 1, false],
    [1, side + 1, false],
    [side, side, false],
    [100_000, 100_000, false],
    [0, 48, false],
    [64, 0, false],
  ] as const) {
    for (const codec of ['vp8', 'av01.0.08M.08']) {
      const size = `${codec} ${width}×${height}`;
      configure(64, 48);
      key();
      latest().give();
      const before = decoders.length;
      [refused, painted, askedMs] = [[], [], []];
      configure(width, height, codec);
      key();
      if (fits) latest().give();
      frame();
      if (fits) latest().give();
      assert.deepEqual(refused, fits ? [] : ['size'], size);
      assert.equal(latest().frames.length > 0 && latest().state !== 'closed', fits, size);
      assert.equal(decoders.length === before, !fits || codec === 'vp8', size);
      pass(ASK_EVERY_MS);
      assert.deepEqual(askedMs, [], size);
      configure(64, 48, codec);
      key();
      latest().give();
      assert.equal(painted.at(-1), `${number - 1}: 64×48`, size);
      assert.equal(painted.length, fits ? 3 : 1, size);
    }
  }
});

test('an image that was being decoded does not cover what is said of the size', async () => {
  configure(64, 48, 'image/png');
  key();
  configure(MAX_FRAME_SIDE, MAX_FRAME_SIDE, 'image/png');
  bitmaps.pop()?.({ width: 64, height: 48, close: () => undefined });
  await new Promise(setImmediate);
  assert.deepEqual([painted, refused], [[], ['size']]);
});

test('a decoder that takes frames and gives no pictures is given up, and then its codec', () => {
  key();
  for (let n = 1; n < QUEUE_MAX; n++) frame();
  assert.equal(latest().state, 'configured');
  frame();
  assert.equal(latest().state, 'closed');
  assert.equal(latest().frames.length, QUEUE_MAX, 'no more of them reach it');
  for (let n = 0; n < 10; n++) frame();
  pass(ASK_EVERY_MS);
  assert.equal(askedMs.length, 1);
  for (let failures = 2; failures <= FAILURES_MAX; failures++) {
    assert.deepEqual(refused, []);
    key();
    for (let n = 0; n < QUEUE_MAX; n++) frame();
  }
  assert.equal(decoders.length, FAILURES_MAX);
  assert.deepEqual(refused, ['broken']);
});

test('a decoder that gives its pictures late is good', () => {
  key();
  for (let n = 1; n < 10 * QUEUE_MAX; n++) {
    frame();
    if (n >= QUEUE_MAX - 1) latest().give(64, 48, n - QUEUE_MAX + 1);
  }
  pass(ASK_EVERY_MS);
  assert.equal(decoders.length, 1);
  assert.equal(painted.length, 9 * QUEUE_MAX + 1);
  assert.deepEqual([askedMs, refused], [[], []]);
});

test('a decoder that skips a frame goes on, but a key frame is asked for: what follows may look wrong', () => {
  key();
  latest().give();
  for (let n = 1; n < 3 * QUEUE_MAX; n++) {
    frame();
    if (n % 2 === 0) latest().give();
  }
  assert.equal(decoders.length, 1);
  assert.equal(painted.length, Math.ceil((3 * QUEUE_MAX) / 2));
  pass(ASK_EVERY_MS);
  assert.equal(askedMs.length, 1);
});

test('a decoder that fails in the middle: a key frame is asked for, and the picture goes on with it', () => {
  key();
  latest().give();
  frame();
  latest().fail();
  frame();
  frame();
  assert.equal(decoders.length, 1, 'no delta frame begins a chain');
  pass(0);
  assert.equal(askedMs.length, 1);
  key();
  frame();
  latest().give();
  assert.deepEqual(painted, ['0: 64×48', '5: 64×48']);
  assert.deepEqual(refused, []);
});

test('what is no frame of its codec: a key frame is asked for at intervals, and after some it is said once', () => {
  for (let n = 0; n < 300; n++) {
    key();
    latest().fail();
    assert.deepEqual(refused, n + 1 < FAILURES_MAX ? [] : ['broken']);
    frame();
    pass(ASK_EVERY_MS / 10);
  }
  assert.equal(open, 0);
  assert.equal(askedMs.length, 300 / 10);
  for (const [n, at] of askedMs.entries()) {
    assert.ok(n === 0 || at - (askedMs[n - 1] ?? 0) >= ASK_EVERY_MS, `${askedMs}`);
  }
  key();
  latest().give();
  assert.equal(painted.length, 1, 'and a good one is shown all the same');
});

test('a codec that is not known is said once for its configuration, not for each frame', () => {
  configure(64, 48, 'nonsense');
  for (let n = 0; n < 10; n++) key();
  assert.deepEqual(refused, ['codec']);
  configure(64, 48);
  key();
  latest().give();
  assert.equal(painted.length, 1);
});

test('frames of another size than was said are shown at their own, if it is allowed', () => {
  key();
  latest().give(320, 200);
  frame();
  latest().give(MAX_FRAME_SIDE + 1, 1);
  frame();
  latest().give(64, 48);
  assert.deepEqual(painted, ['0: 320×200', '2: 64×48']);
  assert.deepEqual(refused, ['size']);
  assert.equal(open, 0, 'every picture was closed');
});
