// Skipping before the encoder and the steering of the bit rate.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as rate from '../src/core/rate.ts';

test('frames are skipped while too much is on its way', () => {
  let r: rate.Rate = { ...rate.initial, rttMs: 1 };
  for (let i = 0; i < 2; i++) r = rate.sent(r, 0, i, 1000, i * 33);
  assert.equal(rate.skips(r, 0, 0, 0, 100), false);
  r = rate.sent(r, 0, 2, 1000, 66);
  assert.equal(rate.skips(r, 0, 0, 0, 100), true);
  r = rate.acked(r, 0, 1, 50, 70); // the channel is ordered: 0 has arrived too
  assert.equal(r.unacked.length, 1);
  assert.equal(rate.skips(r, 0, 0, 0, 100), false);
  assert.equal(rate.skips(r, 0, rate.BUFFERED_MAX + 1, 0, 100), true);
  assert.equal(rate.skips(r, 0, 0, 2, 100), true);
});

test('a long round trip allows more frames on the way', () => {
  let r: rate.Rate = { ...rate.initial, rttMs: 200 };
  for (let i = 0; i < 7; i++) r = rate.sent(r, 0, i, 1000, 0);
  assert.equal(rate.skips(r, 0, 0, 0, 100), false);
});

/** Plays a path with a fixed capacity and a queue, 15 frames a second, and returns the bit rate at the end. */
function play(bitsPerSec: number, seconds: number, offsetMs: number): rate.Rate {
  let r = rate.initial;
  let freeMs = 0;
  for (let i = 0; i < seconds * 15; i++) {
    const now = i * 66;
    const bytes = r.bitrate / 8 / 15;
    r = rate.sent(r, 0, i, bytes, now);
    freeMs = Math.max(freeMs, now) + (bytes * 8000) / bitsPerSec;
    const arrives = freeMs + 25;
    r = rate.acked(r, 0, i, arrives + offsetMs, arrives + 25);
  }
  return r;
}

test('the bit rate finds a narrow path, whatever the clocks say, and uses a wide one', () => {
  for (const offset of [0, 3_600_000, -3_600_000]) {
    const narrow = play(1_000_000, 60, offset);
    assert.ok(narrow.bitrate < 1_100_000 && narrow.bitrate > 200_000, `${narrow.bitrate}`);
    assert.ok(play(50_000_000, 30, offset).bitrate > 5_000_000);
  }
});

test('it stays within its limits', () => {
  assert.equal(play(1e12, 60, 0).bitrate <= rate.BITRATE_MAX, true);
  assert.equal(play(20_000, 60, 0).bitrate >= rate.BITRATE_MIN, true);
});

test('an ack of something never sent changes nothing', () => {
  assert.equal(rate.acked(rate.initial, 0, 7, 1, 1), rate.initial);
});

test('a viewer that does not keep up is waited for, one that stalls is not', () => {
  let r: rate.Rate = { ...rate.initial, rttMs: 10 };
  r = rate.sent(r, 0, 0, 1000, 0);
  assert.equal(r.unpainted.length, 0, 'before the first report nothing is expected');
  r = rate.painted(r, 0, 0);
  r = rate.acked(rate.sent(rate.sent(r, 0, 1, 1000, 1000), 0, 2, 1000, 1033), 0, 2, 1040, 1040);
  assert.equal(rate.skips(r, 0, 0, 0, 1100), false);
  assert.equal(rate.skips(r, 0, 0, 0, 1400), true);
  assert.equal(rate.skips(rate.painted(r, 0, 2), 0, 0, 0, 1400), false);
  assert.equal(rate.skips(r, 0, 0, 0, 1000 + 3_000), false);
});

test('streams with the same frame numbers are told apart', () => {
  let r: rate.Rate = { ...rate.initial, rttMs: 1, paints: true };
  for (let i = 0; i < 3; i++) {
    r = rate.sent(r, 0, i, 1000, 0);
    r = rate.sent(r, 1, i, 1000, 0);
  }
  r = rate.painted(rate.acked(r, 1, 2, 50, 20), 1, 2);
  assert.equal(rate.skips(r, 0, 0, 0, 20), true);
  assert.equal(rate.skips(r, 1, 0, 0, 20), false);
  assert.deepEqual(
    r.unpainted.map((one) => one.stream),
    [0, 0, 0],
  );
});

test('over a lane, a viewer that falls behind is waited for, one whose reports are late with the acks is not', () => {
  let r: rate.Rate = { ...rate.initial, paints: true };
  for (let i = 0; i < 8; i++) r = rate.sent(r, 0, i, 1000, i * 66);
  const late = [0, 1, 2, 3].reduce((one, i) => rate.acked(one, 0, i, 0, 600), r);
  assert.equal(rate.unseen(late, 0, 640), false, 'all acks came at once');
  const slow = [0, 1, 2, 3].reduce((one, i) => rate.acked(one, 0, i, 0, 30 + i * 66), r);
  assert.equal(rate.unseen(slow, 0, 300), true);
  assert.equal(rate.unseen(slow, 1, 300), false, 'another stream');
  assert.equal(rate.unseen(rate.painted(slow, 0, 1), 0, 300), false);
  assert.equal(rate.unseen(slow, 0, 30 + 3_000), false, 'it stalls');
});

test('thirty frames a second are for a path that carries them', () => {
  assert.ok(rate.fast(rate.initial), 'unknown');
  const on = (capacity: number) =>
    rate.acked(rate.sent(rate.initial, 0, 0, 1000, 0), 0, 0, 50, 50, { queueMs: 0, capacity });
  assert.equal(rate.fast(on(2_000_000)), false);
  assert.ok(rate.fast(on(20_000_000)));
});
