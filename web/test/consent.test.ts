// The consent machine against the cases that its Go twin runs, and against random events.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ARM_MS,
  ASKS_MAX,
  ASKS_WINDOW_MS,
  allows,
  armed,
  type Consent,
  count,
  type Event,
  initial,
  LEASE_MS,
  records,
  step,
} from '../src/core/consent.ts';
import { read } from './vectors.ts';

interface Case {
  name: string;
  steps: { event: Event; atMs: number; state: string; record?: string; effects: string[] }[];
}

for (const one of ['view', 'record'].flatMap((grant) => JSON.parse(read(`consent/${grant}.json`)) as Case[])) {
  test(`case: ${one.name}`, () => {
    let consent = initial;
    for (const want of one.steps) {
      const [next, effects] = step(consent, want.event, want.atMs);
      const at = `${want.event} at ${want.atMs}`;
      assert.equal(next.state, want.state, at);
      if (want.record !== undefined) assert.equal(next.record, want.record, at);
      assert.deepEqual(effects, want.effects, at);
      consent = next;
    }
  });
}

test('no order of events gives a picture without a yes that was armed, or a click', () => {
  const events: Event[] = [
    'ask', 'allow', 'deny', 'click', 'captured', 'refused', 'impossible', 'failed', 'closed', 'stop', 'ended', 'extend', 'tick', 'forged',
    'record:ask', 'record:allow', 'record:deny', 'record:stop', 'record:done',
  ]; // biome-ignore format: one line reads better
  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    return seed / 0x8000_0000;
  };
  let consent: Consent = initial;
  let now = 0;
  let yes = false; // since the last time it was off
  for (let i = 0; i < 200_000; i++) {
    now += Math.floor(random() * 40_000 * (random() < 0.1 ? 40 : 0.05));
    const event = events[Math.floor(random() * events.length)] as Event;
    const before = consent;
    const [next, effects] = step(before, event, now);
    if (event === 'click' && before.state !== 'on') yes = true;
    if (event === 'allow' && before.state === 'asked' && armed(before, now)) yes = true;
    if (next.state === 'on') assert.ok(yes, `on without a yes after ${event} at step ${i}`);
    if (before.state === 'on' && next.state === 'off')
      assert.ok(effects.includes('stop'), `${event} left the picture running`);
    if (effects.includes('capture')) assert.ok(event === 'click' || event === 'allow');
    if (before.record !== 'on' && next.record === 'on')
      assert.ok(event === 'record:allow' && before.record === 'asked' && now - before.recordMs >= ARM_MS);
    if (next.record !== 'off') assert.equal(next.state, 'on', `record is ${next.record} without a picture`);
    if (event === 'record:stop' || event === 'record:done') assert.equal(next.record, 'off');
    if (event === 'stop' || event === 'ended') assert.equal(next.state, 'off');
    if (event === 'forged') assert.equal(next.state, before.state);
    if (next.state === 'off') yes = false;
    consent = next;
  }
});

test('allows ends with the lease even if no tick comes, as after a sleep', () => {
  const [picking] = step(initial, 'click', 0);
  const [on] = step(picking, 'captured', 10);
  assert.equal(allows(on, 10 + LEASE_MS - 1), true);
  assert.equal(allows(on, 10 + LEASE_MS), false);
  const recorded: Consent = { ...on, record: 'on' };
  assert.equal(records(recorded, 10 + LEASE_MS - 1), true);
  assert.equal(records(recorded, 10 + LEASE_MS), false);
  assert.equal(records(on, 20), false);
  assert.equal(allows(picking, 5), false);
});

test('questions of every kind count together, and are muted for a while when there were too many', () => {
  let c = initial;
  for (let i = 0; i < ASKS_MAX; i++) {
    const [next, muted] = count(c, i);
    assert.equal(muted, false);
    c = next;
  }
  assert.deepEqual(step(c, 'ask', 10)[1], ['tell:off:declined']);
  assert.equal(count(c, 10)[1], true);
  assert.equal(count(c, ASKS_WINDOW_MS)[1], false);
});
