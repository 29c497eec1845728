// The picture's chunks on the channel `screen`: a 16-byte big-endian header, then the payload. The twin of
// protocol/frame.go, checked by the same vectors.

import {
  FRAME_HEADER_BYTES,
  FRAME_KIND,
  FRAME_VERSION,
  MAX_CHANNEL_BYTES,
  MAX_FRAME_BYTES,
  MAX_STREAMS,
} from './protocol.gen.ts';

export const MAX_CHUNK_PAYLOAD = MAX_CHANNEL_BYTES - FRAME_HEADER_BYTES;
const MAX_CHUNKS = Math.floor(MAX_FRAME_BYTES / MAX_CHUNK_PAYLOAD) + 1;

/** One whole encoded frame. captureMs is the low 32 bits of the customer's Unix milliseconds. */
export interface Frame {
  readonly kind: number;
  /** which of the sources shown; each counts its own frames */
  readonly stream: number;
  readonly frame: number;
  readonly captureMs: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export interface ChunkHeader {
  readonly kind: number;
  readonly stream: number;
  readonly chunk: number;
  readonly chunks: number;
  readonly frame: number;
  readonly captureMs: number;
}

/** Cuts a frame into channel messages of at most MAX_CHANNEL_BYTES. Throws a RangeError over MAX_FRAME_BYTES. */
export function split(frame: Frame): Uint8Array<ArrayBuffer>[] {
  const size = frame.data.length;
  if (size === 0 || size > MAX_FRAME_BYTES) throw new RangeError(`frame: ${size} bytes, want 1 to ${MAX_FRAME_BYTES}`);
  const chunks = Math.ceil(size / MAX_CHUNK_PAYLOAD);
  const out: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; i < chunks; i++) {
    const part = frame.data.subarray(i * MAX_CHUNK_PAYLOAD, Math.min((i + 1) * MAX_CHUNK_PAYLOAD, size));
    const message = new Uint8Array(FRAME_HEADER_BYTES + part.length);
    const view = new DataView(message.buffer);
    view.setUint8(0, FRAME_VERSION);
    view.setUint8(1, frame.kind);
    view.setUint16(2, i);
    view.setUint16(4, chunks);
    view.setUint8(6, frame.stream);
    view.setUint32(8, frame.frame);
    view.setUint32(12, frame.captureMs);
    message.set(part, FRAME_HEADER_BYTES);
    out.push(message);
  }
  return out;
}

/** Reads the header of one message whose payload is at most maxBytes; null if it breaks the contract. */
export function parseHeader(message: Uint8Array, maxBytes: number): ChunkHeader | null {
  if (message.length <= FRAME_HEADER_BYTES || message.length > FRAME_HEADER_BYTES + maxBytes) return null;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if (view.getUint8(0) !== FRAME_VERSION || view.getUint8(7) !== 0) return null;
  const kind = view.getUint8(1);
  if (kind < FRAME_KIND.key || kind > FRAME_KIND.still) return null;
  const stream = view.getUint8(6);
  if (stream >= MAX_STREAMS) return null; //guard:T32
  const chunk = view.getUint16(2);
  const chunks = view.getUint16(4);
  if (chunks === 0 || chunk >= chunks || chunks > MAX_CHUNKS) return null; //guard:T32
  return { kind, stream, chunk, chunks, frame: view.getUint32(8), captureMs: view.getUint32(12) };
}

/** Puts the chunks of an ordered channel together again. */
export class Reassembler {
  #head: ChunkHeader | null = null;
  #parts: Uint8Array[] = [];

  /** Takes one channel message and returns the frame that it completes, or null. Throws when it is out of place. */
  add(message: Uint8Array): Frame | null {
    const head = parseHeader(message, MAX_CHUNK_PAYLOAD);
    if (head === null) throw new RangeError('frame: not a chunk');
    if (head.chunk === 0 && this.#head?.kind === FRAME_KIND.still) this.#parts = []; // it gives way to what moves
    const first = this.#head;
    const want = this.#parts.length;
    const same =
      first === null ||
      want === 0 ||
      (first.frame === head.frame &&
        first.kind === head.kind &&
        first.stream === head.stream &&
        first.chunks === head.chunks &&
        first.captureMs === head.captureMs);
    if (head.chunk !== want || !same) {
      throw new RangeError(`frame: chunk ${head.chunk} of frame ${head.frame} is out of place`);
    }
    const payload = message.subarray(FRAME_HEADER_BYTES);
    if (head.chunk < head.chunks - 1 && payload.length !== MAX_CHUNK_PAYLOAD) {
      throw new RangeError(`frame: chunk ${head.chunk} of ${head.chunks} is short`);
    }
    this.#head = head;
    this.#parts.push(payload);
    if (this.#parts.length < head.chunks) return null;
    const data = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      data.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    return { kind: head.kind, stream: head.stream, frame: head.frame, captureMs: head.captureMs, data };
  }
}

/**
 * The age of a picture in milliseconds, from the low 32 bits of its capture time. clockOffsetMs is the viewer's
 * clock minus the customer's.
 */
export function ageMs(captureMs: number, nowMs: number, clockOffsetMs: number): number {
  const diff = (Math.round(nowMs - clockOffsetMs) - captureMs) | 0; // wraps as the 32-bit times do
  return diff;
}
