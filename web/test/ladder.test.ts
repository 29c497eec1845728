// Which codec a stream uses, and when it goes down and up.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODECS } from '../src/core/codec.ts';
import * as ladder from '../src/core/ladder.ts';

const ALL = CODECS;

/** Feeds so many frames that took so long, steering after each. */
function feed(from: ladder.Ladder, frames: number, tookMs: number, nowMs: number): ladder.Ladder {
  let now = from;
  for (let i = 0; i < frames; i++) now = ladder.steer(ladder.encoded(now, tookMs), nowMs);
  return now;
}

test('full colour is used only where the source has it', () => {
  assert.equal(ladder.codec(ladder.start(ALL, true)), 'av01.1.08M.08.0.000');
  assert.equal(ladder.codec(ladder.start(ALL, false)), 'av01.0.08M.08');
  assert.equal(ladder.codec(ladder.start([], false)), '');
  assert.equal(ladder.codec(ladder.start(['image/png', 'vp8', 'h.unknown'], false)), 'vp8');
});

test('a codec that is too slow for a second is left for the next one, and one slow frame is not enough', () => {
  const at = ladder.start(ALL, false);
  const almost = feed(at, ladder.SLOW_FRAMES - 1, 100, 0);
  assert.equal(ladder.codec(almost), 'av01.0.08M.08');
  assert.equal(ladder.codec(feed(almost, 1, 100, 0)), 'avc1.42E034');
  assert.equal(ladder.codec(feed(feed(at, 30, 10, 0), 1, 300, 0)), 'av01.0.08M.08');
});

test('it goes up again when encoding is easy and the wait is over, and waits twice as long after the next fall', () => {
  let now = feed(ladder.start(ALL, false), ladder.SLOW_FRAMES, 100, 1000);
  assert.equal(ladder.codec(now), 'avc1.42E034');
  now = feed(now, 100, 5, 1000 + ladder.UP_WAIT_MS - 1);
  assert.equal(ladder.codec(now), 'avc1.42E034', 'before the wait is over');
  now = ladder.steer(now, 1000 + ladder.UP_WAIT_MS);
  assert.equal(ladder.codec(now), 'av01.0.08M.08');
  now = feed(now, ladder.SLOW_FRAMES, 100, 50_000);
  assert.equal(ladder.codec(now), 'avc1.42E034');
  now = feed(now, 100, 5, 50_000 + 2 * ladder.UP_WAIT_MS - 1);
  assert.equal(ladder.codec(now), 'avc1.42E034', 'before the second wait is over');
  assert.equal(ladder.codec(ladder.steer(now, 50_000 + 2 * ladder.UP_WAIT_MS)), 'av01.0.08M.08');
});

test('what failed is never used again, in either direction', () => {
  let now = ladder.failed(ladder.start(ALL, false));
  assert.equal(ladder.codec(now), 'avc1.42E034');
  now = feed(now, 500, 1, 10 ** 9);
  assert.equal(ladder.codec(now), 'avc1.42E034');
  for (let i = 0; i < 5; i++) now = ladder.failed(now);
  assert.equal(ladder.codec(now), '');
  assert.equal(ladder.codec(ladder.failed(now)), '');
});

test('the last choice is kept however slow it is', () => {
  const now = feed(ladder.start(['image/jpeg'], false), 100, 500, 0);
  assert.equal(ladder.codec(now), 'image/jpeg');
});

test('30 frames a second when encoding is quick, 15 when it is not', () => {
  const at = ladder.start(ALL, false);
  assert.equal(Math.round(ladder.intervalMs(feed(at, 10, 10, 0))), 33);
  assert.equal(Math.round(ladder.intervalMs(feed(at, 10, 40, 0))), 67);
});
