// Video, single pictures, none: down when frames don't arrive, up again by itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as level from '../src/core/level.ts';

test('video becomes single pictures, those become none, and it climbs back alone', () => {
  let path = level.waited(level.initial, level.VIDEO_STUCK_MS, 1_000);
  assert.equal(path.level, 'video', 'at the limit');
  path = level.waited(path, level.VIDEO_STUCK_MS + 1, 10_000);
  assert.equal(path.level, 'stills');
  path = level.waited(path, level.STILL_STUCK_MS, 30_000);
  assert.equal(path.level, 'stills', 'at the limit');
  path = level.waited(path, level.STILL_STUCK_MS + 1, 31_000);
  assert.equal(path.level, 'none');
  path = level.arrived(path, 3_000, 50_000);
  assert.equal(path.level, 'stills');
  for (const at of [56_000, 57_000]) path = level.arrived(path, 100, at);
  assert.equal(path.level, 'stills', 'two quick ones are not enough');
  assert.equal(level.arrived(path, 100, 58_000).level, 'video');
});

test('one slow picture starts the count anew, and video is not tried at once', () => {
  let path = level.waited(level.initial, 6_000, 10_000);
  for (let i = 0; i < 9; i++) path = level.arrived(path, 50, 10_100 + i);
  assert.equal(path.level, 'stills', 'it stays a while');
  path = level.arrived(path, level.QUICK_MS, 20_000);
  for (const at of [20_100, 20_200]) path = level.arrived(path, 50, at);
  assert.equal(path.level, 'stills');
});

test('single pictures go one at a time, and one is tried now and then while there are none', () => {
  const stills = level.waited(level.initial, 6_000, 10_000);
  assert.equal(level.may(stills, 0, 10_001), true);
  assert.equal(level.may(stills, 1, 10_001), false);
  const none = level.waited(stills, 21_000, 40_000);
  assert.equal(level.may(none, 0, 40_000 + level.TRY_EVERY_MS - 1), false);
  assert.equal(level.may(none, 0, 40_000 + level.TRY_EVERY_MS), true);
  assert.equal(level.may(none, 1, 40_000 + level.TRY_EVERY_MS), true); // a lost one has no ack to wait for
  const tried = level.tried(none, 60_000);
  assert.equal(level.may(tried, 0, 60_000 + level.TRY_EVERY_MS - 1), false);
});

test('a late ack of video changes nothing while video runs', () => {
  assert.equal(level.arrived(level.initial, 60_000, 1), level.initial);
});
