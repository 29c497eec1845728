// When a codec is too slow.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as codec from '../src/core/codec.ts';

test('a codec is too slow only after many frames over the limit', () => {
  let pace = codec.unmeasured;
  for (let i = 0; i < 44; i++) pace = codec.encoded(pace, 100);
  assert.equal(codec.tooSlow(pace), false);
  assert.equal(codec.tooSlow(codec.encoded(pace, 100)), true);
  for (let i = 0; i < 30; i++) pace = codec.encoded(pace, 5);
  assert.equal(codec.tooSlow(pace), false);
});
