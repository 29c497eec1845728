// The sending end of a lane: fragments, repair and pace. What is lost is sent again as a new packet, but only where
// the frame still needs it (RFC 9002 in spirit: numbers are never used twice, loss is known from later packets or,
// for the last ones, from silence). Pure; times in milliseconds.

import { rowsFor } from './fec.ts';
import { Cut, has, parseReport, probe } from './fragment.ts';
import type { Frame } from './frame.ts';
import { PACKET_BYTES, Pace, type Train } from './lanes.pace.ts';
import { FRAME_KIND, MAX_FRAGMENT_PAYLOAD, MAX_PARITY_ROWS, REPORT_PACKETS } from './protocol.gen.ts';

const LOSS_SEEN = 0.002; // from so much on there are parity and probes
const MISSED = 0.005; // of the blocks may need more than their parity
const REPORT_MS = 10; // how long the other end holds a report back
const PROBE_MIN_MS = 15;
const PROBE_FIRST_MS = 500; // while nothing has come back
const PROBE_MAX_MS = 1_000;
const REORDER_MAX = 32;
const WARM_PACKETS = 160; // that a new lane is tried with: they show its delay and bandwidth, and open SCTP’s window
const DEAD_MS = 4_500; // of silence while something is on its way; SCTP's timers (0.5, 1, 2 s) may have to run out first

/** A frame on its way. */
interface Outgoing {
  readonly cut: Cut;
  /** fragments that have arrived, and those of each block */
  readonly arrived: Uint8Array;
  readonly got: Uint16Array;
  /** of each block: in the queue or on their way */
  readonly live: Uint16Array;
  missing: number; // blocks
  readonly bytes: number;
}

interface Item {
  readonly out: Outgoing;
  readonly index: number;
}

interface Sent {
  readonly item: Item | null; // null: a probe
  readonly bytes: number;
  readonly atMs: number;
  readonly train: Train;
  readonly extra: boolean; // a second copy of what may be on its way still
}

export class Sender {
  readonly pace = new Pace();
  #frames = new Map<string, Outgoing>();
  #fresh: Item[] = [];
  #again: Item[] = [];
  #next = 0;
  #sent = new Map<number, Sent>(); // in order, neither arrived nor lost
  #given = new Map<number, Sent>(); // taken for lost, a short while ago
  #reorder = 1; // packets behind the newest from which on one is lost
  #heardMs = 0;
  #lastSentMs = 0;
  #progressMs = 0;
  #probes = 0; // without an answer
  #copies: (Item | null)[] = []; // to be sent at once, beside what is on its way
  #tail = false; // the last packet of a burst is unprotected
  #warm = WARM_PACKETS;
  /** fragments sent, those of them sent again, and parity */
  fragments = 0;
  repeated = 0;
  parity = 0;
  probed = 0;

  /** Puts a frame on the way. A key frame replaces what its stream has not delivered. */
  push(frame: Frame): void {
    if (frame.kind === FRAME_KIND.key) this.#forget((one) => one.cut.frame.stream === frame.stream);
    const loss = this.pace.loss > LOSS_SEEN ? this.pace.loss : 0;
    const cut = new Cut(frame, (pieces) => rowsFor(pieces, loss, MISSED, Math.min(MAX_PARITY_ROWS, 1 + (pieces >> 1))));
    const out: Outgoing = {
      cut,
      arrived: new Uint8Array(cut.total),
      got: new Uint16Array(cut.blocks),
      live: new Uint16Array(cut.blocks),
      missing: cut.blocks,
      bytes: frame.data.length,
    };
    this.#frames.set(key(frame.stream, frame.frame), out);
    for (let index = 0; index < cut.total; index++) {
      this.#fresh.push({ out, index });
      this.#count(out, index, 1);
    }
  }

  /** The next packet to send now, or null when there is none or the path has enough. Call it until it is null. */
  next(nowMs: number): Uint8Array<ArrayBuffer> | null {
    this.#check(nowMs);
    const copy = this.#copies.shift();
    if (copy === null) return this.#probe(0, nowMs);
    if (copy !== undefined) return this.#repeat(copy, nowMs, true);
    // A repair goes out beyond the window: the fragment whose place it takes has left the path.
    const again = this.#take(this.#again);
    if (again !== null) return this.#repeat(again, nowMs, false);
    const item = this.#take(this.#fresh);
    if (item === null) return this.#filling(nowMs);
    if (!this.pace.allows(PACKET_BYTES)) {
      this.#fresh.unshift(item);
      return null;
    }
    if (item.index >= item.out.cut.count) this.parity++;
    this.#tail = true;
    return this.#put(item, nowMs, false);
  }

  #repeat(item: Item, nowMs: number, extra: boolean): Uint8Array<ArrayBuffer> {
    this.repeated++;
    this.#tail = true;
    return this.#put(item, nowMs, extra);
  }

  /** Takes a report of the other end; false if it is none. */
  report(message: Uint8Array, nowMs: number): boolean {
    const report = parseReport(message);
    if (report === null) return false;
    this.#heardMs = nowMs;
    const newest = this.#sent.get(report.newest);
    let bytes = 0;
    let packets = 0;
    for (const [packet, sent] of this.#sent) {
      const behind = report.newest - packet;
      if (behind < 0) break;
      if (behind === 0 || (behind <= REPORT_PACKETS && has(report, behind - 1))) {
        this.#sent.delete(packet);
        this.pace.inFlight -= sent.bytes;
        bytes += sent.bytes;
        packets++;
        this.#arrived(sent);
      } else if (behind >= this.#reorder || nowMs - sent.atMs > 1.25 * this.pace.rttMs + REPORT_MS) {
        this.#lost(packet, sent);
      }
    }
    for (const [packet, sent] of this.#given) {
      const behind = report.newest - packet;
      if (behind > 0 && behind <= REPORT_PACKETS && has(report, behind - 1)) {
        this.#given.delete(packet);
        this.#reorder = Math.min(REORDER_MAX, 2 * this.#reorder);
        this.#arrived({ ...sent, extra: true });
      }
    }
    if (newest !== undefined) {
      this.#probes = 0;
      this.#progressMs = nowMs;
      this.pace.arrived(bytes, packets, newest.atMs, report.arrivedMs, report.heldMs, newest.train, nowMs);
    }
    return true;
  }

  /** Whether something is on its way, or waits. */
  get waiting(): boolean {
    return this.#sent.size + this.#fresh.length + this.#again.length > 0;
  }

  /** Whether the lane answers nothing any more. */
  dead(nowMs: number): boolean {
    return this.#sent.size > 0 && nowMs - this.#heardMs > DEAD_MS;
  }

  /** Bytes that wait for their first sending, and the time that they will take; 0 while the bandwidth is unknown. */
  get backlog(): number {
    return (this.#fresh.length + this.#again.length) * PACKET_BYTES;
  }

  get backlogMs(): number {
    return this.pace.bandwidth === 0 ? 0 : (this.backlog * 8000) / this.pace.bandwidth;
  }

  /** Frames of a stream that have not arrived whole. */
  unfinished(stream: number): number {
    let n = 0;
    for (const out of this.#frames.values()) if (out.cut.frame.stream === stream) n++;
    return n;
  }

  /** Bytes of the frames that have not arrived whole. */
  get held(): number {
    let bytes = 0;
    for (const out of this.#frames.values()) bytes += out.bytes;
    return bytes;
  }

  /** Nothing that was pushed is sent any more, nor sent again. */
  clear(): void {
    this.#forget(() => true);
  }

  #forget(which: (out: Outgoing) => boolean): void {
    for (const [name, out] of this.#frames) {
      if (!which(out)) continue;
      out.missing = 0;
      this.#frames.delete(name);
    }
    this.#fresh = this.#fresh.filter((item) => item.out.missing > 0);
    this.#again = this.#again.filter((item) => item.out.missing > 0);
  }

  #take(queue: Item[]): Item | null {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      if (this.#needed(item)) return item;
      this.#count(item.out, item.index, -1);
    }
    return null;
  }

  /** When no fragment waits: a probe behind an unprotected burst, or packets that try a new lane. */
  #filling(nowMs: number): Uint8Array<ArrayBuffer> | null {
    if (this.#tail && this.pace.loss > LOSS_SEEN) {
      this.#tail = false;
      return this.#probe(0, nowMs);
    }
    if (this.#warm === 0 || !this.pace.allows(PACKET_BYTES)) return null;
    this.#warm = this.pace.queueMs > 20 ? 0 : this.#warm - 1;
    return this.#probe(MAX_FRAGMENT_PAYLOAD, nowMs);
  }

  /** After a silence longer than a round trip the last packets may be lost: what is needed most goes out again. */
  #check(nowMs: number): void {
    if (this.#sent.size === 0 || this.#copies.length > 0) return;
    const { rttMs, rttVarMs } = this.pace;
    const waitMs = rttMs === 0 ? PROBE_FIRST_MS : rttMs + Math.max(PROBE_MIN_MS, 4 * rttVarMs) + REPORT_MS;
    const quietMs = nowMs - Math.max(this.#lastSentMs, this.#progressMs);
    if (quietMs < Math.min(PROBE_MAX_MS, waitMs * 2 ** this.#probes)) return;
    this.#probes = Math.min(this.#probes + 1, 5);
    for (const { item } of this.#sent.values()) {
      if (item !== null && this.#needed(item)) this.#copies.push(item);
      if (this.#copies.length === 2) break;
    }
    if (this.#copies.length === 0) this.#copies.push(null);
  }

  #needed({ out, index }: Item): boolean {
    const block = out.cut.blockOf(index);
    return out.missing > 0 && out.arrived[index] === 0 && (out.got[block] ?? 0) < out.cut.pieces(block);
  }

  #probe(padding: number, nowMs: number): Uint8Array<ArrayBuffer> {
    this.probed++;
    return this.#put(null, nowMs, false, padding);
  }

  #put(item: Item | null, nowMs: number, extra: boolean, padding = 0): Uint8Array<ArrayBuffer> {
    if (this.#sent.size === 0) this.#heardMs = nowMs; // from now on an answer is due
    const packet = this.#next++;
    const message = item === null ? probe(packet, padding) : item.out.cut.packet(item.index, packet);
    this.#sent.set(packet, {
      item,
      bytes: message.length,
      atMs: nowMs,
      train: this.pace.sent(message.length, nowMs),
      extra,
    });
    this.#lastSentMs = nowMs;
    if (item !== null) this.fragments++;
    return message;
  }

  #count(out: Outgoing, index: number, by: 1 | -1): void {
    const block = out.cut.blockOf(index);
    out.live[block] = (out.live[block] ?? 0) + by;
  }

  #arrived({ item, extra }: Sent): void {
    if (item === null) return;
    const { out, index } = item;
    if (!extra) this.#count(out, index, -1);
    if (out.missing === 0 || out.arrived[index] === 1) return;
    out.arrived[index] = 1;
    const block = out.cut.blockOf(index);
    out.got[block] = (out.got[block] ?? 0) + 1;
    if (out.got[block] !== out.cut.pieces(block) || --out.missing > 0) return;
    this.#frames.delete(key(out.cut.frame.stream, out.cut.frame.frame));
  }

  #lost(packet: number, sent: Sent): void {
    this.#sent.delete(packet);
    this.pace.inFlight -= sent.bytes;
    this.pace.lost();
    this.#given.set(packet, sent);
    if (this.#given.size > 64) for (const old of this.#given.keys()) if (this.#given.delete(old)) break;
    const { item, extra } = sent;
    if (item === null || extra) return;
    const { out, index } = item;
    this.#count(out, index, -1);
    const block = out.cut.blockOf(index);
    if (out.missing === 0 || (out.got[block] ?? 0) + (out.live[block] ?? 0) >= out.cut.pieces(block)) return;
    this.#again.push(item);
    this.#count(out, index, 1);
  }
}

function key(stream: number, frame: number): string {
  return `${stream} ${frame}`;
}
