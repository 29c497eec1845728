// How much the other end may send.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bucket } from '../src/core/bucket.ts';

test('a burst, then so many a second', () => {
  const bucket = new Bucket(20, 600);
  const taken = (n: number, nowMs: number) =>
    Array.from({ length: n }, () => bucket.take(nowMs)).filter(Boolean).length;
  const start = 1_700_000_000_000;
  assert.equal(taken(700, start), 600);
  assert.equal(taken(100, start + 1_000), 20);
  assert.equal(taken(100, start - 60_000), 0, 'a clock that was set back');
  assert.equal(taken(1_000, start + 3_600_000), 600);
});
