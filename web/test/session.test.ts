// The session's table and the rules of silence.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Event, judge, type Phase, restartsDue, step } from '../src/core/session.ts';

test('every phase and event', () => {
  const events: Event[] = ['accept', 'open', 'silent', 'heard', 'end'];
  const want: { readonly [P in Phase]: readonly (Phase | null)[] } = {
    requested: ['connecting', null, null, null, 'ended'],
    connecting: [null, 'connected', null, null, 'ended'],
    connected: [null, null, 'reconnecting', null, 'ended'],
    reconnecting: [null, null, null, 'connected', 'ended'],
    ended: [null, null, null, null, null],
  };
  for (const phase of Object.keys(want) as Phase[]) {
    assert.deepEqual(
      events.map((event) => step(phase, event)),
      want[phase],
      phase,
    );
  }
});

test('silence', () => {
  const cases: [number, boolean, string][] = [
    [2_999, false, 'fine'],
    [3_000, false, 'silent'],
    [10_000, false, 'silent'],
    [9_999, true, 'silent'],
    [10_000, true, 'gone'],
    [119_999, false, 'silent'],
    [120_000, false, 'lost'],
    [120_000, true, 'lost'],
    [0, true, 'fine'],
  ];
  for (const [ms, gone, want] of cases) assert.equal(judge(ms, gone), want, `${ms} ${gone}`);
});

test('restarts are asked for at growing distances', () => {
  assert.deepEqual([0, 4_499, 4_500, 9_000, 20_000, 119_000].map(restartsDue), [0, 0, 1, 2, 3, 5]);
});
