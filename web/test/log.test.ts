// The dense log: gaps, repeats, own messages, other tabs, marks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as log from '../src/core/log.ts';
import type { ChatMessage } from '../src/core/protocol.gen.ts';

const marks = { customerReceived: 0, customerRead: 0, agentReceived: 0, agentRead: 0 };
const message = (seq: number, from: ChatMessage['from'] = 'agent', conversation = 'c'): ChatMessage => ({
  type: 'chat.message',
  conversation,
  seq,
  messageId: `m${seq}`,
  from,
  sender: 'x',
  text: `text ${seq}`,
  at: '2026-11-24T09:30:00Z',
});
const seqs = (l: log.Log) => l.messages.map((m) => m.seq);

test('in order, repeated and with a gap', () => {
  let l = log.enter(log.empty, 'c', 0, marks);
  l = log.receive(l, [message(1), message(2), message(2)]);
  assert.deepEqual(seqs(l), [1, 2]);
  assert.equal(log.missing(l), null);
  l = log.receive(l, [message(5)]);
  assert.deepEqual(seqs(l), [1, 2]);
  assert.equal(log.missing(l), 2);
  l = log.receive(l, [message(3), message(4)]);
  assert.deepEqual(seqs(l), [1, 2, 3, 4, 5]);
  assert.equal(log.missing(l), null);
});

test('the message that fills a gap is taken however many are held behind it', () => {
  let l = log.enter(log.empty, 'c', 0, marks);
  for (let seq = 2; seq <= 400; seq++) l = log.receive(l, [message(seq)]);
  assert.ok(l.held.length <= 200);
  l = log.receive(l, [message(1)]);
  assert.equal(l.last, 200);
  assert.equal(log.missing(l), 200);
});

test('any order of any repeats gives the same log', () => {
  let seed = 1;
  const random = (n: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % n;
  };
  for (let run = 0; run < 200; run++) {
    let l = log.enter(log.empty, 'c', 0, marks);
    const n = 1 + random(30);
    for (let i = 0; i < 4 * n; i++) l = log.receive(l, [message(1 + random(n))]);
    for (let after = log.missing(l); after !== null; after = log.missing(l)) l = log.receive(l, [message(after + 1)]);
    assert.deepEqual(
      seqs(l),
      Array.from({ length: l.lastSeq }, (_, i) => i + 1),
    );
  }
});

test('another conversation is not mixed in', () => {
  const l = log.receive(log.enter(log.empty, 'c', 0, marks), [message(1, 'agent', 'other')]);
  assert.deepEqual(seqs(l), []);
});

test('a long conversation starts with its end; older messages come in front', () => {
  let l = log.enter(log.empty, 'c', 250, marks);
  assert.equal(log.missing(l), 150);
  l = log.receive(
    l,
    Array.from({ length: 100 }, (_, i) => message(151 + i)),
  );
  assert.equal(l.base, 150);
  l = log.prepend(l, [message(149), message(150)]);
  assert.equal(l.base, 148);
  assert.equal(seqs(l)[0], 149);
  assert.equal(log.prepend(l, [message(140)]), l, 'a page that leaves a gap is not taken');
});

test('the own message takes the number of its ack, and waits behind a gap', () => {
  let l = log.enter(log.empty, 'c', 1, marks);
  l = log.acked(l, { id: 'mine', text: 'hi', atMs: 0 }, 'me', 2, '2026-11-24T09:30:00Z');
  assert.deepEqual(seqs(l), []);
  assert.equal(log.missing(l), 0);
  l = log.receive(l, [message(1)]);
  assert.deepEqual(
    l.messages.map((m) => m.messageId),
    ['m1', 'mine'],
  );
});

test('an outbox entry is settled by the stored message: a lost ack, another tab', () => {
  const outbox = [
    { id: 'm1', text: 'a', atMs: 0 },
    { id: 'n', text: 'b', atMs: 1 },
  ];
  assert.deepEqual(
    log.settle(outbox, [message(1)]).map((p) => p.id),
    ['n'],
  );
  assert.equal(log.settle(outbox, [message(9)]), outbox);
});

test('delivery states follow the marks, which only rise', () => {
  let l = log.enter(log.empty, 'c', 3, marks);
  assert.equal(log.delivery(l, 2), 'sent');
  l = log.mark(l, { ...marks, agentReceived: 2 });
  assert.equal(log.delivery(l, 2), 'delivered');
  assert.equal(log.delivery(l, 3), 'sent');
  l = log.mark(l, { ...marks, agentRead: 2, agentReceived: 1 });
  assert.equal(log.delivery(l, 2), 'read');
  assert.equal(l.marks.agentReceived, 2);
});

test('unread counts the other side only', () => {
  let l = log.receive(log.enter(log.empty, 'c', 0, marks), [message(1), message(2, 'customer'), message(3)]);
  assert.equal(log.unread(l), 2);
  l = log.mark(l, { ...marks, customerRead: 1 });
  assert.equal(log.unread(l), 1);
});

test('what is kept over a reload goes on where it was; a server that lost its data begins anew', () => {
  let l = log.receive(
    log.enter(log.empty, 'c', 0, marks),
    Array.from({ length: 30 }, (_, i) => message(i + 1)),
  );
  l = log.tail(l, 10);
  assert.deepEqual([l.base, l.last, l.messages.length], [20, 30, 10]);
  const same = log.enter(l, 'c', 32, marks);
  assert.equal(log.missing(same), 30);
  assert.equal(log.enter(l, 'c', 5, marks).messages.length, 0);
  assert.equal(log.enter(l, 'd', 40, marks).messages.length, 0);
});
