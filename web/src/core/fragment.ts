// The picture's fragments on a lane and the reports about them. The twin of protocol/fragment.go, checked by the
// same vectors.

import { parityRow } from './fec.ts';
import type { Frame } from './frame.ts';
import {
  FRAGMENT_HEADER_BYTES,
  FRAGMENT_VERSION,
  MAX_BLOCK_PIECES,
  MAX_FRAGMENT_PAYLOAD,
  MAX_FRAME_BYTES,
  REPORT_BYTES,
} from './protocol.gen.ts';

/** A frame that is cut into pieces, with rows of parity for each block. */
export class Cut {
  readonly frame: Frame;
  readonly count: number;
  readonly blocks: number;
  readonly rows: number;
  readonly #size: number; // of a piece
  readonly #parity: (Uint8Array | undefined)[] = [];

  /** rowsFor says how many rows a block of so many pieces gets. Throws a RangeError over MAX_FRAME_BYTES. */
  constructor(frame: Frame, rowsFor: (pieces: number) => number) {
    const bytes = frame.data.length;
    if (bytes === 0 || bytes > MAX_FRAME_BYTES) throw new RangeError(`frame: ${bytes} bytes`);
    this.frame = frame;
    let count = 0;
    let size = 0;
    for (let next = Math.ceil(bytes / MAX_FRAGMENT_PAYLOAD); next !== count; next = Math.ceil(bytes / size)) {
      count = next;
      size = Math.ceil(bytes / count);
    }
    this.#size = size;
    this.count = count;
    this.blocks = Math.ceil(this.count / MAX_BLOCK_PIECES);
    this.rows = rowsFor(this.pieces(0));
  }

  /** pieces and rows of all blocks */
  get total(): number {
    return this.count + this.rows * this.blocks;
  }

  pieces(block: number): number {
    return Math.ceil((this.count - block) / this.blocks);
  }

  blockOf(index: number): number {
    return (index < this.count ? index : index - this.count) % this.blocks;
  }

  /** Writes one fragment as the lane's packet with that number. */
  packet(index: number, packet: number): Uint8Array<ArrayBuffer> {
    const payload = index < this.count ? this.#piece(index) : this.#row(index - this.count);
    const message = header(payload.length, packet);
    const view = new DataView(message.buffer);
    view.setUint8(1, this.frame.kind);
    view.setUint16(2, index);
    view.setUint16(4, this.count);
    view.setUint8(6, this.frame.stream);
    view.setUint8(7, this.rows);
    view.setUint32(8, this.frame.frame);
    view.setUint32(12, this.frame.captureMs);
    view.setUint32(16, this.frame.data.length);
    message.set(payload, FRAGMENT_HEADER_BYTES);
    return message;
  }

  #piece(index: number): Uint8Array {
    return this.frame.data.subarray(index * this.#size, (index + 1) * this.#size);
  }

  #row(at: number): Uint8Array {
    const block = at % this.blocks;
    const known = this.#parity[at];
    if (known !== undefined) return known;
    const pieces = Array.from({ length: this.pieces(block) }, (_, i) => this.#piece(i * this.blocks + block));
    const row = parityRow(pieces, Math.floor(at / this.blocks), this.#size);
    this.#parity[at] = row;
    return row;
  }
}

/** A packet that carries nothing but padding. */
export function probe(packet: number, padding: number): Uint8Array<ArrayBuffer> {
  return header(padding, packet);
}

function header(payload: number, packet: number): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(FRAGMENT_HEADER_BYTES + payload);
  const view = new DataView(message.buffer);
  view.setUint8(0, FRAGMENT_VERSION);
  view.setUint32(20, packet);
  return message;
}

export interface Report {
  /** since the newest packet arrived */
  readonly heldMs: number;
  readonly newest: number;
  /** on the other end's clock; wraps */
  readonly arrivedMs: number;
  /** bit i, least significant first: packet newest - 1 - i has arrived */
  readonly before: Uint8Array;
}

/** Reads a report; null if it is none. */
export function parseReport(message: Uint8Array): Report | null {
  if (message.length !== REPORT_BYTES || message[0] !== FRAGMENT_VERSION || message[1] !== 0) return null;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  return {
    heldMs: view.getUint16(2) / 10,
    newest: view.getUint32(4),
    arrivedMs: view.getUint32(8) / 10,
    before: message.subarray(12),
  };
}

/** Whether a report says that packet newest - 1 - i has arrived. */
export function has(report: Report, i: number): boolean {
  return (((report.before[i >> 3] ?? 0) >> (i & 7)) & 1) === 1;
}
