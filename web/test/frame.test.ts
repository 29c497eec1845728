// frame.ts against the vectors that Go reads, and there and back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ageMs, MAX_CHUNK_PAYLOAD, Reassembler, split } from '../src/core/frame.ts';
import { MAX_CHANNEL_BYTES, MAX_FRAME_BYTES } from '../src/core/protocol.gen.ts';
import { read } from './vectors.ts';

interface Vector {
  name: string;
  chunks?: string[];
  frames?: { kind: number; stream?: number; frame: number; captureMs: number; hex: string }[];
  error?: boolean;
  filler?: number;
}

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

for (const vector of JSON.parse(read('frame/chunks.json')) as Vector[]) {
  test(`vector: ${vector.name}`, () => {
    const box = new Reassembler();
    const run = () =>
      (vector.chunks ?? []).flatMap((chunk) => {
        const frame = box.add(bytes(chunk));
        return frame === null
          ? []
          : [
              {
                kind: frame.kind,
                ...(frame.stream !== 0 && { stream: frame.stream }),
                frame: frame.frame,
                captureMs: frame.captureMs,
                hex: Buffer.from(frame.data).toString('hex'),
              },
            ];
      });
    if (vector.error === true) assert.throws(run, RangeError);
    else assert.deepEqual(run(), vector.frames ?? []);
  });
}

test('splitting and putting together gives the same frame, at the sizes around a chunk', () => {
  for (const size of [
    1,
    MAX_CHUNK_PAYLOAD - 1,
    MAX_CHUNK_PAYLOAD,
    MAX_CHUNK_PAYLOAD + 1,
    3 * MAX_CHUNK_PAYLOAD + 5,
    MAX_FRAME_BYTES,
  ]) {
    const data = new Uint8Array(size).map((_, i) => i * 7);
    const box = new Reassembler();
    const chunks = split({ kind: 1, stream: 3, frame: 0xffff_fffe, captureMs: 0xffff_ffff, data });
    assert.ok(chunks.every((chunk) => chunk.length <= MAX_CHANNEL_BYTES));
    const frames = chunks.map((chunk) => box.add(chunk)).filter((frame) => frame !== null);
    assert.equal(frames.length, 1);
    const { data: got, ...head } = frames[0] ?? { data: new Uint8Array() };
    assert.deepEqual(head, { kind: 1, stream: 3, frame: 0xffff_fffe, captureMs: 0xffff_ffff });
    assert.ok(Buffer.from(got).equals(data));
  }
});

test('nothing and too much are refused', () => {
  const frame = { kind: 1, stream: 0, frame: 0, captureMs: 0 };
  assert.throws(() => split({ ...frame, data: new Uint8Array(0) }), RangeError);
  assert.throws(() => split({ ...frame, data: new Uint8Array(MAX_FRAME_BYTES + 1) }), RangeError);
});

test('the age of a picture survives the wrap of 32 bits and takes the clocks apart', () => {
  assert.equal(ageMs(0xffff_fff0, 0x1_0000_0010, 0), 32);
  assert.equal(ageMs(1000, 1500, 450), 50);
  assert.equal(ageMs(1000, 990, 0), -10);
});

test('a still gives way to what moves, a frame of the chain does not', () => {
  const half = (kind: number) =>
    split({ kind, stream: 0, frame: 7, captureMs: 0, data: new Uint8Array(MAX_CHUNK_PAYLOAD + 1) })[0] as Uint8Array;
  const [moves] = split({ kind: 2, stream: 0, frame: 8, captureMs: 0, data: new Uint8Array(1) }) as [Uint8Array];
  const box = new Reassembler();
  assert.equal(box.add(half(3)), null);
  assert.equal(box.add(moves)?.frame, 8);
  assert.equal(box.add(half(1)), null);
  assert.throws(() => box.add(moves), RangeError);
});
