// fragment.ts and fec.ts against the vectors that Go reads.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parityRow, rowsFor } from '../src/core/fec.ts';
import { Cut, has, parseReport, probe } from '../src/core/fragment.ts';
import { MAX_BLOCK_PIECES, MAX_FRAGMENT_PAYLOAD, MAX_FRAME_BYTES } from '../src/core/protocol.gen.ts';
import { read } from './vectors.ts';

interface Vector {
  name: string;
  kind: number;
  stream: number;
  frame: number;
  captureMs: number;
  hex: string;
  rows: number;
  packets: string[];
}

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

for (const { name, hex, rows, packets, ...head } of JSON.parse(read('fragment/frames.json')) as Vector[]) {
  test(`vector: ${name}`, () => {
    const cut = new Cut({ ...head, data: bytes(hex) }, () => rows);
    const made = Array.from({ length: cut.total }, (_, i) => Buffer.from(cut.packet(i, 7 + i)).toString('hex'));
    assert.deepEqual(made, packets);
  });
}

test('vector: a report', () => {
  const { hex, heldMs, newest, arrivedMs, arrived } = JSON.parse(read('fragment/report.json'));
  const report = parseReport(bytes(hex));
  assert.ok(report !== null);
  assert.deepEqual([report.heldMs, report.newest, report.arrivedMs], [heldMs, newest, arrivedMs]);
  const seen = Array.from({ length: 256 }, (_, i) => i).filter((i) => has(report, i));
  assert.deepEqual(seen, arrived);
  assert.equal(parseReport(bytes(`${hex}00`)), null);
  assert.equal(parseReport(bytes(`03${hex.slice(2)}`)), null);
});

test('every size is cut into pieces that the other end takes', () => {
  const sizes = [1, 2, 1100, 1101, 109_999, 110_000, 110_001, 1_210_001, MAX_FRAME_BYTES];
  for (const size of sizes) {
    const data = new Uint8Array(size);
    const cut = new Cut({ kind: 1, stream: 0, frame: 0, captureMs: 0, data }, () => 0);
    const piece = Math.ceil(size / cut.count);
    assert.ok(piece <= MAX_FRAGMENT_PAYLOAD && piece * (cut.count - 1) < size, `${size}`);
    for (const index of [0, cut.count - 1]) {
      const want = index === cut.count - 1 ? size - piece * index : piece;
      assert.equal(cut.packet(index, 0).length, 24 + want);
    }
    assert.ok(cut.pieces(0) <= MAX_BLOCK_PIECES);
  }
  const frame = { kind: 1, stream: 0, frame: 0, captureMs: 0 };
  assert.throws(() => new Cut({ ...frame, data: new Uint8Array(0) }, () => 0), RangeError);
  assert.throws(() => new Cut({ ...frame, data: new Uint8Array(MAX_FRAME_BYTES + 1) }, () => 0), RangeError);
});

test('a probe is a header and zeros', () => {
  assert.equal(Buffer.from(probe(258, 1)).toString('hex'), `02${'00'.repeat(19)}0000010200`);
});

test('parity grows with loss and pieces, and there is none without loss', () => {
  assert.equal(rowsFor(10, 0, 0.005, 100), 0);
  assert.equal(rowsFor(1, 0.01, 0.005, 100), 1);
  const rows = [0.01, 0.03, 0.05, 0.1].map((loss) => rowsFor(10, loss, 0.005, 100));
  assert.deepEqual(rows, [2, 2, 3, 5]);
  assert.equal(rowsFor(10, 0.9, 0.005, 6), 6);
});

test('a row of one piece alone is that piece times a number', () => {
  assert.equal(parityRow([Uint8Array.of(0, 0)], 0, 2).join(), '0,0');
  assert.equal(parityRow([Uint8Array.of(1)], 0, 3).join(), '1,0,0'); // 1 / (1 xor 0)
});
