// A path and the receiving end of a lane, as protocol/fragment.go and peer/lane.go have them, for tests of the
// sending end: delay, rate, a queue, loss, doubling and reordering from a seed.

import type { Frame } from '../src/core/frame.ts';
import { Sender } from '../src/core/lanes.ts';
import { FRAGMENT_HEADER_BYTES, MAX_BLOCK_PIECES, REPORT_BYTES, REPORT_PACKETS } from '../src/core/protocol.gen.ts';

export interface Path {
  readonly delayMs: number; // one way
  readonly loss: number; // of each direction's packets
  readonly bitsPerSec?: number;
  readonly queueMs?: number; // of the rate's queue
  readonly burstBytes?: number; // no queue: what is more than the rate after such a burst is thrown away
  readonly doubled?: number;
  readonly reordered?: number; // share of the packets that are 10 ms late
}

/** Numbers from a seed (mulberry32). */
export function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface Partial {
  readonly count: number;
  readonly size: number;
  readonly parts: Map<number, Uint8Array>;
}

const OVERHEAD_BYTES = 100; // of a packet below the fragment: SCTP, DTLS, UDP, IP
const REPORT_MS = 8;
const IDLE_MS = 25; // where something is missing, or was in the last five seconds
const CALM_MS = 75; // where nothing was; then twice as long

/** A run of the sending end over a path, on a clock of its own. */
export class Run {
  readonly sender = new Sender();
  nowMs = 0;
  /** when each frame was whole, by stream and number */
  readonly whole = new Map<string, number>();
  readonly data = new Map<string, Uint8Array>();
  maxQueueMs = 0;
  thrownAway = 0;
  #tokens = 0;
  #filledMs = 0;
  readonly #path: Path;
  readonly #random: () => number;
  #events: { atMs: number; n: number; run: () => void }[] = [];
  #n = 0;
  #freeMs = 0;
  #frames = new Map<string, Partial>();
  #newest = -1;
  #gapMs = Number.NEGATIVE_INFINITY;
  #arrivedMs = 0;
  #seen = new Set<number>();
  #reportedMs = Number.NEGATIVE_INFINITY;
  #armed = false;

  constructor(path: Path, seed: number) {
    this.#path = path;
    this.#random = random(seed);
  }

  at(ms: number, run: () => void): void {
    this.#events.push({ atMs: ms, n: this.#n++, run });
  }

  /** Plays until that moment. */
  until(ms: number): void {
    for (;;) {
      let first = -1;
      for (const [i, one] of this.#events.entries()) {
        const best = this.#events[first];
        if (best === undefined || one.atMs < best.atMs || (one.atMs === best.atMs && one.n < best.n)) first = i;
      }
      const next = this.#events[first];
      if (next === undefined || next.atMs > ms) break;
      this.#events.splice(first, 1);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = ms;
  }

  /** Begins to measure the queue. */
  forget(): void {
    this.maxQueueMs = 0;
  }

  push(frame: Frame): void {
    this.sender.push(frame);
    this.pump();
  }

  pump(): void {
    for (let packet = this.sender.next(this.nowMs); packet !== null; packet = this.sender.next(this.nowMs)) {
      this.#send(packet);
    }
  }

  #send(packet: Uint8Array): void {
    const bytes = packet.length + OVERHEAD_BYTES;
    let leaves = this.nowMs;
    const { bitsPerSec, queueMs = 200, burstBytes, delayMs, loss, doubled = 0, reordered = 0 } = this.#path;
    if (bitsPerSec !== undefined && burstBytes !== undefined) {
      const filled = this.#tokens + ((this.nowMs - this.#filledMs) * bitsPerSec) / 8000;
      this.#tokens = Math.min(burstBytes, filled);
      this.#filledMs = this.nowMs;
      if (this.#tokens < bytes) {
        this.thrownAway++;
        return;
      }
      this.#tokens -= bytes;
    } else if (bitsPerSec !== undefined) {
      const waits = Math.max(0, this.#freeMs - this.nowMs);
      if (waits > queueMs) return;
      this.maxQueueMs = Math.max(this.maxQueueMs, waits);
      this.#freeMs = Math.max(this.#freeMs, this.nowMs) + (bytes * 8000) / bitsPerSec;
      leaves = this.#freeMs;
    }
    if (this.#random() < loss) return;
    const late = this.#random() < reordered ? 10 : 0;
    this.at(leaves + delayMs + late, () => this.#arrive(packet));
    if (this.#random() < doubled) this.at(leaves + delayMs + late + 1, () => this.#arrive(packet));
  }

  #arrive(packet: Uint8Array): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    const number = view.getUint32(20);
    if (this.#seen.has(number)) return;
    this.#seen.add(number);
    let due = number > this.#newest ? number > this.#newest + 1 : true;
    if (number > this.#newest + 1) this.#gapMs = this.nowMs;
    if (number > this.#newest) {
      this.#newest = number;
      this.#arrivedMs = this.nowMs;
    }
    if (view.getUint8(1) !== 0 && this.#assemble(view, packet)) due = true;
    this.#report(due);
  }

  #assemble(view: DataView, packet: Uint8Array): boolean {
    const name = `${view.getUint8(6)} ${view.getUint32(8)}`;
    if (this.whole.has(name)) return false;
    const count = view.getUint16(4);
    const size = view.getUint32(16);
    const frame = this.#frames.get(name) ?? { count, size, parts: new Map() };
    this.#frames.set(name, frame);
    frame.parts.set(view.getUint16(2), packet.subarray(FRAGMENT_HEADER_BYTES));
    const blocks = Math.ceil(count / MAX_BLOCK_PIECES);
    const got = Array<number>(blocks).fill(0);
    for (const index of frame.parts.keys()) {
      const block = (index < count ? index : index - count) % blocks;
      got[block] = (got[block] ?? 0) + 1;
    }
    if (!got.every((n, block) => n >= Math.ceil((count - block) / blocks))) return false;
    this.whole.set(name, this.nowMs);
    const pieces = Array.from({ length: count }, (_, i) => frame.parts.get(i));
    if (pieces.every((piece) => piece !== undefined)) this.data.set(name, Buffer.concat(pieces));
    return true;
  }

  #report(due: boolean): void {
    if (this.#newest < 0) return;
    const quietMs = this.nowMs - this.#arrivedMs;
    const calm = this.nowMs - this.#gapMs > 5_000 && this.#frames.size === this.whole.size;
    const every = quietMs <= REPORT_MS ? REPORT_MS : calm ? Math.max(CALM_MS, quietMs / 2) : IDLE_MS;
    const since = this.nowMs - this.#reportedMs;
    if (!due && since < every - 0.01) {
      this.#arm(every - since);
      return;
    }
    if (this.nowMs - this.#arrivedMs > 500) return;
    this.#reportedMs = this.nowMs;
    const report = new Uint8Array(REPORT_BYTES);
    const view = new DataView(report.buffer);
    view.setUint8(0, 2);
    view.setUint16(2, (this.nowMs - this.#arrivedMs) * 10);
    view.setUint32(4, this.#newest);
    view.setUint32(8, this.#arrivedMs * 10);
    for (let i = 0; i < REPORT_PACKETS; i++) {
      if (this.#seen.has(this.#newest - 1 - i)) report[12 + (i >> 3)] = (report[12 + (i >> 3)] ?? 0) | (1 << (i & 7));
    }
    if (this.#random() >= this.#path.loss) {
      this.at(this.nowMs + this.#path.delayMs, () => {
        this.sender.report(report, this.nowMs);
        this.pump();
      });
    }
    this.#arm(REPORT_MS);
  }

  #arm(ms: number): void {
    if (this.#armed) return;
    this.#armed = true;
    this.at(this.nowMs + ms, () => {
      this.#armed = false;
      this.#report(false);
    });
  }
}

/** What a desktop sends: a large frame now and then, small ones between. */
export function desktop(next: () => number, frame: number): Frame {
  const large = frame % 45 === 0;
  const size = frame === 0 ? 110_000 : large ? 40_000 + next() * 60_000 : 500 + next() * 7_000;
  const data = new Uint8Array(Math.floor(size)).map((_, i) => (i * 31 + frame * 7) & 255);
  return { kind: frame === 0 ? 1 : 2, stream: 0, frame, captureMs: 0, data };
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

/** Mean age of the newest picture that could be shown, as the bench measures it: frames are shown in order. */
export function meanAge(pushed: readonly number[], whole: readonly number[], fromMs: number, toMs: number): number {
  const shown: number[] = [];
  let latest = 0;
  for (const at of whole) {
    latest = Math.max(latest, at);
    shown.push(latest);
  }
  let sum = 0;
  let n = 0;
  for (let t = fromMs; t < toMs; t += 5) {
    let newest = -1;
    while (newest + 1 < shown.length && (shown[newest + 1] ?? Number.POSITIVE_INFINITY) <= t) newest++;
    if (newest < 0) continue;
    sum += t - (pushed[newest] ?? 0);
    n++;
  }
  return sum / n;
}
