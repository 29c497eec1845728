// decode.ts against the shared vectors, and against what a hostile sender could try.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, type Senders } from '../src/core/decode.ts';
import {
  fromCustomer,
  fromPeer,
  fromServer,
  fromViewerHost,
  fromViewerPage,
  type MessageSpec,
} from '../src/core/protocol.gen.ts';
import { list, read } from './vectors.ts';

const tables: { readonly [K in keyof Senders]: { readonly [type: string]: MessageSpec } } = {
  server: fromServer,
  peer: fromPeer,
  viewerHost: fromViewerHost,
  customer: fromCustomer,
  viewerPage: fromViewerPage,
};

test('every valid vector is accepted from each of its senders', () => {
  const seen = new Set<string>();
  for (const file of list('valid')) {
    const data = read(`valid/${file}`);
    for (const from of Object.keys(tables) as (keyof Senders)[]) {
      const type = file.replace(/\.json$/, '');
      if (!Object.hasOwn(tables[from], type)) continue;
      const result = decode(data, from);
      assert.equal(result.kind, 'message', `${file} from ${from}: ${JSON.stringify(result)}`);
      if (result.kind === 'message') assert.deepEqual(result.message, JSON.parse(data));
      seen.add(type);
    }
  }
  const all = new Set(Object.values(tables).flatMap((table) => Object.keys(table)));
  assert.deepEqual(
    [...all].filter((type) => !seen.has(type)),
    [],
    'types without a valid vector',
  );
});

test('every invalid vector is refused for its reason', () => {
  for (const file of list('invalid')) {
    const vector: { from: string; data: string; reason: string } = JSON.parse(read(`invalid/${file}`));
    if (vector.from === 'agent') continue; // only the server reads agents
    const result = decode(vector.data, vector.from as keyof Senders);
    if (file === 'wrong-sender-customer.json') {
      assert.equal(result.kind, 'bad'); // a type that only agents send is not in the page's tables
      continue;
    }
    assert.equal(result.kind, 'bad', `${file}: ${JSON.stringify(result)}`);
    if (result.kind === 'bad') assert.ok(result.reason.includes(vector.reason), `${file}: ${result.reason}`);
  }
});

test('the server and the peer may be newer: unknown types and fields', () => {
  assert.equal(decode('{"type":"chat.reaction","emoji":"+"}', 'server').kind, 'unknown');
  assert.equal(decode('{"type":"peer.wave"}', 'peer').kind, 'unknown');
  assert.equal(decode('{"type":"pong","id":"1","extra":{"a":[1]}}', 'server').kind, 'message');
  assert.equal(
    decode('{"type":"screen.stopped","cause":"eclipse"}', 'peer').kind,
    'bad',
    'it would be shown to people',
  );
});

test('a strict row refuses unknown fields and values from everybody', () => {
  const ask = '{"type":"consent.ask","session":"s","grant":"view"';
  assert.equal(decode(`${ask}}`, 'server').kind, 'message');
  assert.equal(decode(`${ask},"x":1}`, 'server').kind, 'bad');
  assert.equal(decode('{"type":"consent.ask","session":"s","grant":"control"}', 'server').kind, 'bad');
});

test('an escaped key is the same key', () => {
  const twice = '{"type":"session.offer","session":"s","sdp":"a","\\u0073dp":"b"}';
  assert.deepEqual(decode(twice, 'server'), { kind: 'bad', reason: 'duplicate key' });
});

test('prototype names are neither types nor fields', () => {
  for (const type of ['__proto__', 'constructor', 'toString']) {
    assert.equal(decode(JSON.stringify({ type }), 'server').kind, 'unknown');
    assert.equal(decode(JSON.stringify({ type }), 'customer').kind, 'bad');
  }
  assert.equal(decode('{"type":"ping","id":"1","__proto__":{"id":"2"}}', 'customer').kind, 'bad');
});

test('an empty list that Go wrote as null is a list', () => {
  const result = decode('{"type":"chat.page","id":"1","conversation":"c","messages":null,"lastSeq":0}', 'server');
  assert.ok(result.kind === 'message' && result.message.type === 'chat.page');
  assert.deepEqual(result.message.messages, []);
});

test('lengths are counted in code points, and sizes are bounded', () => {
  const ping = (id: string) => decode(JSON.stringify({ type: 'ping', id }), 'customer').kind;
  assert.equal(ping('👩'.repeat(64)), 'message');
  assert.equal(ping('👩'.repeat(65)), 'bad');
  assert.equal(decode(`{"type":"pong","id":"${'x'.repeat(1 << 20)}"}`, 'server').kind, 'bad');
  assert.equal(decode('{"type":"chat.message"', 'server').kind, 'bad');
});
