// What encoders of real browsers do and Node has none of: one that holds frames back, one that starts anew at a new
// bit rate. The encoder here is a script.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { type Encoded, Encoder, HELD_MAX } from '../src/browser/encoder.ts';
import { encoders } from './scripted.ts';

let out: Encoded[] = [];
let failures = 0;
let encoder: Encoder;

beforeEach(() => {
  encoders.length = 0;
  out = [];
  failures = 0;
  encoder = new Encoder({ output: (one) => out.push(one), failed: () => failures++, ready: () => undefined });
  encoder.configure('vp8', 640, 360, 1_000_000);
});

const encode = (key = false) => encoder.encode({} as VideoFrame, key, 0);

test('an encoder that holds back more frames than it may has failed', () => {
  for (let n = 0; n < HELD_MAX; n++) encode(n === 0);
  assert.equal(failures, 0);
  encode();
  assert.equal(failures, 1);
  for (let n = 0; n < 9; n++) encode();
  assert.equal(failures, 10);
  assert.equal(encoders[0]?.frames.length, HELD_MAX, 'no more of them reach it');
});

test('an encoder that is a few frames behind has not failed', () => {
  for (let n = 0; n < 100; n++) {
    encode(n === 0);
    if (n >= 3) encoders[0]?.give();
  }
  assert.equal(failures, 0);
  assert.equal(out.length, 97);
});

test('a frame tells whether it was asked for as a key frame', () => {
  encode(true);
  encode();
  encoders[0]?.give();
  encoders[0]?.give('key'); // one that the encoder thinks right
  assert.deepEqual(
    out.map((one) => one.asked),
    [true, false],
  );
});

test('on a narrow path no frame is much larger than the others, where the encoder can do that', async () => {
  const mode = (bitrate: number) => {
    encoder.configure('vp8', 640, 360, bitrate);
    return encoders[0]?.configured?.bitrateMode;
  };
  assert.equal(mode(1_000_000), 'variable', 'it is not known');
  await Encoder.supports('vp8');
  assert.deepEqual([1_600_000, 1_400_000, 2_400_000, 2_600_000, 1_600_000].map(mode), [
    'variable',
    'constant',
    'constant',
    'variable',
    'variable',
  ]);
  const usual = encoder.steer;
  mode(1_000_000);
  encode();
  encoders[0]?.give('key'); // it begins anew for another mode
  assert.equal(encoder.steer, usual);
});

test('a frame that the encoder leaves out is not waited for', () => {
  encode();
  encode(true);
  encode();
  encoders[0]?.frames.splice(0, 2);
  encoders[0]?.give();
  assert.deepEqual(
    out.map((one) => one.asked),
    [true],
    'nor the key frame',
  );
  for (let n = 0; n < HELD_MAX; n++) encode();
  assert.equal(failures, 0);
});

test('what an encoder has counts from what it always holds back', () => {
  encode(true);
  encode();
  assert.equal(encoder.queue, 0, 'nothing is known of it');
  encoders[0]?.give();
  encoders[0]?.give();
  assert.equal(encoder.queue, 0);
  encode();
  assert.equal(encoder.queue, 1);
  encoder.reset();
  encoder.configure('vp8', 640, 360, 1_000_000);
  for (let n = 0; n < 3; n++) encode(n === 0);
  for (let n = 0; n < 5; n++) {
    encode();
    encoders[1]?.give(); // three behind, always
  }
  assert.equal(encoder.queue, 0);
  encode();
  assert.equal(encoder.queue, 1);
});

test('the time of a frame begins when the one before was ready', async () => {
  encode(true);
  encode();
  const begunMs = performance.now();
  while (performance.now() - begunMs < 20); // the encoder works on the first
  encoders[0]?.give();
  const givenMs = performance.now();
  encoders[0]?.give();
  const tookMs = out[1]?.tookMs ?? Number.NaN;
  assert.ok((out[0]?.tookMs ?? 0) >= 20);
  assert.ok(tookMs <= performance.now() - givenMs + 1, `the second took ${tookMs} ms`);
});

test('where a new bit rate costs a key frame it is set less often', () => {
  const little = encoder.steer;
  encode(true);
  encoders[0]?.give();
  encoder.configure('vp8', 640, 360, 2_000_000);
  encode();
  encoders[0]?.give('delta');
  assert.equal(encoder.steer, little);
  encode();
  encoders[0]?.give('key'); // one that the encoder thinks right
  assert.equal(encoder.steer, little);
  encoder.configure('vp8', 640, 360, 1_000_000);
  encode();
  encoders[0]?.give('key');
  assert.ok(encoder.steer > 2 * little);
});
