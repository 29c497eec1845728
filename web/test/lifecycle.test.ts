// When the page connects, pings, waits and stops: a table without a clock.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff, type Effect, type Input, type Phase, reconnects, step } from '../src/core/lifecycle.ts';

function play(inputs: readonly [Input, number][], random = 0.5): { phase: Phase; effects: Effect[][] } {
  let phase: Phase = { type: 'idle' };
  const all: Effect[][] = [];
  for (const [input, at] of inputs) {
    const [next, effects] = step(phase, input, at, random);
    phase = next;
    all.push(effects);
  }
  return { phase, effects: all };
}

const up: [Input, number][] = [
  [{ type: 'start' }, 0],
  [{ type: 'challenge' }, 10],
  [{ type: 'welcome', spreadMs: 4000 }, 20],
];
const closed = (code: number): Input => ({ type: 'closed', code, reason: '' });

test('start, challenge, welcome', () => {
  const { phase, effects } = play(up);
  assert.equal(phase.type, 'online');
  assert.deepEqual(effects[0]?.[0], { type: 'open' });
  assert.deepEqual(effects[1]?.[0], { type: 'prove' });
});

test('the first reconnect is spread over the time that the server named', () => {
  const { phase } = play([...up, [closed(1012), 1000]], 0.25);
  assert.deepEqual(phase, { type: 'waiting', attempt: 1, untilMs: 2000 });
});

test('then full jitter from 0.5 s, doubling to 20 s', () => {
  assert.deepEqual(
    [1, 2, 3, 6, 7, 50].map((attempt) => backoff(attempt, 1)),
    [500, 1000, 2000, 16_000, 20_000, 20_000],
  );
  assert.equal(backoff(3, 0), 0);
  const { phase } = play(
    [
      [{ type: 'start' }, 0],
      [closed(1006), 100],
      [{ type: 'timer' }, 400],
      [closed(1006), 500],
    ],
    0.5,
  );
  assert.deepEqual(phase, { type: 'waiting', attempt: 2, untilMs: 1000 });
});

test('which close codes come back', () => {
  for (const code of [1000, 1001, 1006, 1012, 1013, 4001, 4002, 4003, 4499])
    assert.equal(reconnects(code), true, `${code}`);
  for (const code of [1009, 4500, 4501, 4502, 4503, 4504, 4999]) assert.equal(reconnects(code), false, `${code}`);
  const { phase } = play([...up, [closed(4503), 100]]);
  assert.deepEqual(phase, { type: 'stopped', code: 4503, reason: '' });
  assert.equal(step(phase, { type: 'wake' }, 200, 0)[0].type, 'stopped');
  assert.equal(step(phase, { type: 'timer' }, 200, 0)[0].type, 'stopped');
  assert.equal(step(phase, { type: 'again' }, 200, 0)[0].type, 'connecting'); // "Use here"
});

test('20 s without a frame: ping; no answer in 5 s: reconnect', () => {
  const { phase, effects } = play([...up, [{ type: 'timer' }, 20_020]]);
  assert.deepEqual(effects[3]?.[0], { type: 'ping' });
  const [dead, gone] = step(phase, { type: 'timer' }, 25_020, 0);
  assert.equal(dead.type, 'waiting');
  assert.deepEqual(gone[0], { type: 'close' });
  const [alive] = step(phase, { type: 'heard' }, 21_000, 0);
  assert.deepEqual(step(alive, { type: 'timer' }, 25_020, 0)[1], [{ type: 'timer', inMs: 15_980 }]);
});

test('frames put the ping off', () => {
  const { phase } = play([...up, [{ type: 'heard' }, 15_000]]);
  assert.deepEqual(step(phase, { type: 'timer' }, 20_020, 0)[1], [{ type: 'timer', inMs: 14_980 }]);
});

test('online again or visible: ask at once, or connect at once', () => {
  const online = play(up).phase;
  assert.deepEqual(step(online, { type: 'wake' }, 5000, 0)[1][0], { type: 'ping' });
  const waiting = play([...up, [closed(1006), 100]]).phase;
  assert.deepEqual(step(waiting, { type: 'wake' }, 200, 0)[1][0], { type: 'open' });
});

test('a server that accepts and says nothing is given up', () => {
  const { phase, effects } = play([
    [{ type: 'start' }, 0],
    [{ type: 'timer' }, 10_000],
  ]);
  assert.equal(phase.type, 'waiting');
  assert.deepEqual(effects[1]?.[0], { type: 'close' });
});

test('a late close of an old socket changes nothing', () => {
  const waiting = play([...up, [closed(1006), 100]]).phase;
  assert.equal(step(waiting, closed(4500), 150, 0)[0], waiting);
});
