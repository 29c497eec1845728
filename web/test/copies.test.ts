// Copies of direct messages: what is taken, in which order, and when a copy goes out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bucket } from '../src/core/bucket.ts';
import { Copies, type Verdict } from '../src/core/copies.ts';
import { MAX_COPY_BYTES } from '../src/core/protocol.gen.ts';

test('a message is taken once and in its place', () => {
  const steps: [string, [n: number | undefined, copied: boolean, verdict: Verdict][]][] = [
    [
      'nothing is lost',
      [
        [1, false, 'taken'],
        [1, true, 'again'],
        [2, false, 'taken'],
        [2, true, 'again'],
      ],
    ],
    [
      'the copy is first',
      [
        [1, true, 'taken'],
        [1, true, 'again'],
        [1, false, 'again'],
        [2, false, 'taken'],
      ],
    ],
    [
      'a newer copy waits for the older',
      [
        [2, true, 'early'],
        [1, true, 'taken'],
        [2, true, 'taken'],
        [1, false, 'again'],
        [2, false, 'again'],
      ],
    ],
    [
      'or for direct',
      [
        [3, true, 'early'],
        [1, false, 'taken'],
        [2, false, 'taken'],
        [3, false, 'taken'],
        [3, true, 'again'],
      ],
    ],
    [
      'direct goes on behind copies',
      [
        [1, true, 'taken'],
        [2, true, 'taken'],
        [1, false, 'again'],
        [2, false, 'again'],
        [3, false, 'taken'],
      ],
    ],
    [
      'a number that comes twice',
      [
        [1, false, 'taken'],
        [1, false, 'twice'],
        [2, true, 'taken'],
        [2, false, 'again'],
        [2, false, 'twice'],
        [1, false, 'twice'],
      ],
    ],
    [
      'a program without numbers',
      [
        [undefined, false, 'taken'],
        [undefined, true, 'early'],
        [undefined, false, 'taken'],
      ],
    ],
  ];
  for (const [name, list] of steps) {
    const copies = new Copies();
    for (const [i, [n, copied, verdict]] of list.entries())
      assert.equal(copies.take(n, copied), verdict, `${name}: ${i}`);
  }
});

test('copies go out until there is a receipt, four at most', () => {
  const copies = new Copies();
  copies.sent('old', 'not able yet', 12, 0);
  copies.able = true;
  assert.equal(copies.waitMs(0), null);
  assert.equal(copies.next, 2);
  copies.sent('a', 'A', 1, 100);
  copies.sent('b', 'B', 1, 105);
  const seen: [number, string][] = [];
  for (let now = 100; now < 1_000; now++) {
    for (const text of copies.due(now)) seen.push([now - 100, text]);
    if (now === 140) copies.confirmed('b');
  }
  assert.deepEqual(seen, [
    [10, 'A'],
    [15, 'B'],
    [30, 'A'],
    [35, 'B'],
    [70, 'A'],
    [150, 'A'],
  ]);
  assert.equal(copies.waitMs(1_000), null);
  copies.sent('c', 'C', 1, 2_000);
  assert.equal(copies.waitMs(2_004), 6);
  assert.equal(copies.next, 5);
});

test('what does not fit a packet has no copy', () => {
  for (const [bytes, copied] of [
    [MAX_COPY_BYTES, true],
    [MAX_COPY_BYTES + 1, false],
    [10 * MAX_COPY_BYTES, false],
  ] as const) {
    const copies = new Copies();
    copies.able = true;
    copies.sent('a', 'A', bytes, 0);
    assert.equal(copies.waitMs(0) !== null, copied, `${bytes}`);
  }
});

test('memory is bounded', () => {
  const copies = new Copies();
  copies.able = true;
  for (let i = 0; i < 300; i++) {
    copies.sent(`${i}`, 'x', 1, 0);
    copies.gave(`${i}`);
  }
  assert.equal(copies.due(10).length, 256);
  assert.equal(Array.from({ length: 300 }, (_, i) => copies.owes(`${i}`)).filter(Boolean).length, 256);
  assert.ok(copies.owes('299') && !copies.owes('43') && copies.owes('44'));
  assert.equal(copies.next, 301);
});

test('a token can be given back, up to the burst', () => {
  const bucket = new Bucket(20, 2);
  assert.ok(bucket.take(0) && bucket.take(0) && !bucket.take(0));
  for (let i = 0; i < 3; i++) bucket.give();
  assert.ok(bucket.take(0) && bucket.take(0) && !bucket.take(0));
});
