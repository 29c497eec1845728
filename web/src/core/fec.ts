// Parity by Reed–Solomon over GF(2⁸) with a Cauchy matrix (polynomial 0x11d, generator 2): any n of a block's n
// pieces and k rows give the pieces. The twin of peer/assemble.go's code, checked by the same vectors.

const EXP = new Uint8Array(510);
const LOG = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++) {
  EXP[i] = x;
  EXP[i + 255] = x;
  LOG[x] = i;
  x = x & 0x80 ? ((x << 1) ^ 0x11d) & 0xff : x << 1;
}

const TIMES = new Map<number, Uint8Array>(); // by a coefficient: its product with every byte

function times(coefficient: number): Uint8Array {
  let table = TIMES.get(coefficient);
  if (table === undefined) {
    table = new Uint8Array(256);
    const log = LOG[coefficient] ?? 0;
    for (let x = 1; x < 256; x++) table[x] = EXP[log + (LOG[x] ?? 0)] ?? 0;
    TIMES.set(coefficient, table);
  }
  return table;
}

/** One row of parity of a block's pieces; shorter pieces count as filled up with zeros to size bytes. */
export function parityRow(pieces: readonly Uint8Array[], row: number, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (const [i, piece] of pieces.entries()) {
    const inverse = EXP[255 - (LOG[(pieces.length + row) ^ i] ?? 0)] ?? 0;
    const table = times(inverse);
    for (let at = 0; at < piece.length; at++) out[at] = (out[at] ?? 0) ^ (table[piece[at] ?? 0] ?? 0);
  }
  return out;
}

/**
 * How many rows a block needs, so that more packets are lost than there are rows in at most `miss` of all blocks,
 * when each packet is lost with this probability.
 */
export function rowsFor(pieces: number, loss: number, miss: number, max: number): number {
  if (loss <= 0) return 0;
  for (let rows = 1; rows < max; rows++) {
    let term = (1 - loss) ** (pieces + rows); // none is lost
    let fine = term;
    for (let lost = 1; lost <= rows; lost++) {
      term *= ((pieces + rows - lost + 1) / lost) * (loss / (1 - loss));
      fine += term;
    }
    if (1 - fine <= miss) return rows;
  }
  return max;
}
