// What the key signs, against Node's own encodings.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBase64url, helloBytes, toBase64url } from '../src/core/hello.ts';

test('base64url there and back, at every length', () => {
  for (let n = 0; n < 70; n++) {
    const bytes = Uint8Array.from({ length: n }, (_, i) => (i * 37 + n * 11) & 255);
    const text = Buffer.from(bytes).toString('base64url');
    assert.equal(toBase64url(bytes), text);
    assert.deepEqual(fromBase64url(text), bytes);
  }
  for (const bad of ['a', 'ab=', 'a+b/', 'ab cd']) assert.equal(fromBase64url(bad), null, bad);
});

test('the signed bytes: each field after its length', () => {
  const field = (bytes: Uint8Array | string) => {
    const data = Buffer.from(bytes as string);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(data.length);
    return Buffer.concat([size, data]);
  };
  const [nonce, cnonce, digest] = [32, 16, 32].map((n, i) => new Uint8Array(n).fill(i + 1)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const want = Buffer.concat(['lookalong-hello-v1', 'customer', 'help.example:8443', nonce, cnonce, digest].map(field));
  assert.deepEqual(Buffer.from(helloBytes('customer', 'help.example:8443', nonce, cnonce, digest)), want);
});
