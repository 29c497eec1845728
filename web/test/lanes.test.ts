// The sending end of a lane on simulated paths, each from several seeds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PACKET_BYTES, QUEUE_AIM_MS } from '../src/core/lanes.pace.ts';
import { Sender } from '../src/core/lanes.ts';
import { desktop, meanAge, type Path, quantile, Run, random } from './lanes.sim.ts';

const SECONDS = 20;
const SEEDS = [1, 2, 3];

interface Result {
  readonly run: Run;
  readonly pushed: number[];
  readonly whole: number[];
  readonly latency: number[]; // after the first two seconds
}

function play(path: Path, seed: number): Result {
  const run = new Run(path, seed);
  const next = random(seed + 100);
  const pushed: number[] = [];
  run.at(0, () => run.pump());
  for (let tick = 0; tick < 15 * SECONDS; tick++) {
    run.at(1000 + tick * 66.7, () => {
      if (run.sender.backlogMs > QUEUE_AIM_MS || run.sender.backlog > 256 * 1024) return;
      const frame = desktop(next, pushed.length);
      pushed.push(run.nowMs);
      run.push(frame);
    });
    if (tick === 30) run.at(1000 + tick * 66.7, () => run.forget());
  }
  run.until(1000 * (SECONDS + 10));
  const whole = pushed.map((_, i) => run.whole.get(`0 ${i}`) ?? Number.POSITIVE_INFINITY);
  return { run, pushed, whole, latency: whole.map((at, i) => at - (pushed[i] ?? 0)).slice(30) };
}

const paths: { name: string; path: Path; p95: number; age: number }[] = [
  { name: 'loopback', path: { delayMs: 0.5, loss: 0 }, p95: 5, age: 45 },
  { name: '25 ms', path: { delayMs: 25, loss: 0 }, p95: 30, age: 70 },
  { name: '25 ms, 1 %', path: { delayMs: 25, loss: 0.01 }, p95: 80, age: 75 },
  { name: '25 ms, 5 %', path: { delayMs: 25, loss: 0.05 }, p95: 80, age: 85 },
  { name: '100 ms', path: { delayMs: 100, loss: 0 }, p95: 105, age: 140 },
  { name: '100 ms, 1 %', path: { delayMs: 100, loss: 0.01 }, p95: 310, age: 165 },
  { name: '2 Mbit/s', path: { delayMs: 25, loss: 0, bitsPerSec: 2e6 }, p95: 350, age: 140 },
  { name: '5 Mbit/s', path: { delayMs: 25, loss: 0, bitsPerSec: 5e6 }, p95: 150, age: 95 },
];

for (const { name, path, p95, age } of paths) {
  test(`every frame arrives, soon: ${name}`, () => {
    for (const seed of SEEDS) {
      const { run, pushed, whole, latency } = play(path, seed);
      assert.ok(pushed.length > 10 * SECONDS, `only ${pushed.length} frames`);
      assert.ok(!whole.includes(Number.POSITIVE_INFINITY), `seed ${seed}: a frame is missing`);
      assert.ok(quantile(latency, 0.95) < p95, `seed ${seed}: p95 ${quantile(latency, 0.95)}`);
      assert.ok(meanAge(pushed, whole, 4000, 1000 * SECONDS) < age, `seed ${seed}: age`);
      for (const [at, data] of run.data) {
        const frame = Number(at.split(' ')[1]);
        assert.ok(
          data.every((byte, i) => byte === ((i * 31 + frame * 7) & 255)),
          `frame ${at} is not what was sent`,
        );
      }
      if (path.loss === 0)
        assert.equal(run.sender.parity + run.sender.repeated, 0, 'nothing is lost: nothing is added');
    }
  });
}

test('what is doubled or late is not taken for lost again and again', () => {
  for (const seed of SEEDS) {
    const { run, whole } = play({ delayMs: 25, loss: 0, doubled: 0.05, reordered: 0.02 }, seed);
    assert.ok(!whole.includes(Number.POSITIVE_INFINITY));
    assert.ok(run.sender.repeated < 0.02 * run.sender.fragments, `${run.sender.repeated} of ${run.sender.fragments}`);
  }
});

test('a narrow path’s queue stays short for what shares it', () => {
  for (const seed of SEEDS) {
    const { run } = play({ delayMs: 25, loss: 0, bitsPerSec: 2e6, queueMs: 200 }, seed);
    assert.ok(run.maxQueueMs < 90, `${run.maxQueueMs} ms`);
    assert.ok(Math.abs(run.sender.pace.bandwidth - 1.83e6) < 0.3e6, `${run.sender.pace.bandwidth}`); // of fragments
  }
});

test('a path that passes bursts and throws away the rest is not filled again and again', () => {
  for (const seed of SEEDS) {
    const { run, whole } = play({ delayMs: 50, loss: 0, bitsPerSec: 3e6, burstBytes: 30_000 }, seed);
    assert.ok(!whole.includes(Number.POSITIVE_INFINITY), `seed ${seed}: a frame is missing`);
    const share = run.thrownAway / run.sender.fragments;
    const { bandwidth } = run.sender.pace;
    assert.ok(bandwidth < 10e6, `seed ${seed}: ${bandwidth}`);
    assert.ok(share < 0.17, `seed ${seed}: ${run.thrownAway} of ${run.sender.fragments} were thrown away`);
  }
});

test('a path that loses a tenth and more slows the lane down', () => {
  const { run } = play({ delayMs: 25, loss: 0.25 }, 1);
  assert.ok(run.sender.pace.window < 40 * PACKET_BYTES, `${run.sender.pace.window}`);
});

test('a path that is cut is known to be dead, an idle one is not', () => {
  const sender = new Sender();
  sender.next(1e6); // a new lane is tried
  assert.equal(sender.dead(1e6), false);
  sender.push(desktop(random(1), 0));
  assert.equal(sender.dead(1e6 + 4_400), false);
  assert.equal(sender.dead(1e6 + 4_600), true);
});

test('nothing of a frame is sent once it is cleared, nor repaired', () => {
  const run = new Run({ delayMs: 25, loss: 0.5 }, 4);
  run.at(0, () => run.push(desktop(random(1), 0)));
  run.until(60);
  run.sender.clear();
  const sent = run.sender.fragments;
  run.until(3000);
  assert.equal(run.sender.fragments, sent);
  assert.equal(run.sender.backlog, 0);
});

test('a key frame takes the place of what its stream has not delivered, and of no other stream', () => {
  const sender = new Sender();
  const next = random(1);
  sender.push({ ...desktop(next, 1), stream: 0 });
  sender.push({ ...desktop(next, 1), stream: 1 });
  sender.push({ ...desktop(next, 0), frame: 2, stream: 0 });
  assert.equal(sender.unfinished(0), 1);
  assert.equal(sender.unfinished(1), 1);
});

test('what is not a report changes nothing', () => {
  const sender = new Sender();
  sender.push(desktop(random(1), 0));
  sender.next(0);
  for (const size of [0, 1, 43, 44, 45, 1000]) assert.equal(sender.report(new Uint8Array(size), 10), false);
  const report = new Uint8Array(44);
  report[0] = 2;
  new DataView(report.buffer).setUint32(4, 0xffff_ffff); // of packets that were never sent
  assert.equal(sender.report(report, 10), true);
  assert.equal(sender.unfinished(0), 1);
});
