// How much may be on its way on a lane: a window that follows the delay in the path's queues (as in LEDBAT, RFC
// 6817, and Copa), the path's bandwidth, and how much of it is lost. Loss alone does not slow the lane down, unless
// there is very much of it. Pure; times in milliseconds.

import { FRAGMENT_HEADER_BYTES, MAX_FRAGMENT_PAYLOAD } from './protocol.gen.ts';

export const PACKET_BYTES = FRAGMENT_HEADER_BYTES + MAX_FRAGMENT_PAYLOAD;
export const WINDOW_START = 32 * PACKET_BYTES;
export const WINDOW_FAST = 192 * PACKET_BYTES; // a window of text that comes to the front may go out at once
export const WINDOW_MIN = 6 * PACKET_BYTES;
export const WINDOW_MAX = 1024 * PACKET_BYTES;
export const QUEUE_AIM_MS = 25; // so much of it may stand before a chat message
const BASE_FOR_MS = 10_000; // how long the shortest delay is believed, at least
const SAMPLE_MS = 30; // of arrivals that tell the bandwidth
const TRAIN_GAP_MS = 10;
const TRAIN_BYTES = 16 * PACKET_BYTES; // fewer tell little
const SHRUNK_FOR_MS = 1_000; // after a queue has made the window smaller
const FLOODED_FOR_MS = 30_000; // after much loss has: a path may pass a burst and throw away the rest
const TRAIN_MS = 4; // arrivals are known to about a millisecond
const LOSS_WEIGHT = 1 / 128;
const MUCH_LOSS = 0.1;

/** What left in one go: its bytes up to a packet, and the time since its first one. */
export interface Train {
  readonly bytes: number;
  readonly ms: number;
}

export class Pace {
  window = WINDOW_START;
  inFlight = 0;
  /** smoothed round trip and its deviation; 0 = unknown */
  rttMs = 0;
  rttVarMs = 0;
  /** time in queues: the least of the last few packets' */
  queueMs = 0;
  /** bits a second that the path carries; 0 = unknown */
  bandwidth = 0;
  /** share of the packets that are lost, beside those that a full queue threw away */
  loss = 0;
  #slowStart = true;
  #limited = false; // the window kept something back since the last report
  #base = Number.POSITIVE_INFINITY;
  #nextBase = Number.POSITIVE_INFINITY;
  #baseAtMs = 0;
  #recent: number[] = [];
  #shrunkMs = Number.NEGATIVE_INFINITY;
  #floodedMs = Number.NEGATIVE_INFINITY;
  #arrivedMs = -1;
  #sentMs = 0;
  #sample = { bytes: 0, ms: 0 };
  #train = { atMs: 0, lastMs: Number.NEGATIVE_INFINITY, bytes: 0 };
  #rough = 0; // share that is lost, full queues included, over fewer packets

  /** Whether a packet of that size may go out now. */
  allows(bytes: number): boolean {
    if (this.inFlight + bytes <= this.window) return true;
    this.#limited = true;
    return false;
  }

  /** Notes a packet that goes out, and returns the train that it ends. */
  sent(bytes: number, nowMs: number): Train {
    this.inFlight += bytes;
    const train = this.#train;
    if (nowMs - train.lastMs > TRAIN_GAP_MS) this.#train = { atMs: nowMs, lastMs: nowMs, bytes };
    else this.#train = { atMs: train.atMs, lastMs: nowMs, bytes: train.bytes + bytes };
    return { bytes: this.#train.bytes, ms: nowMs - this.#train.atMs };
  }

  lost(): void {
    this.#count(1);
  }

  /** The packets that a report tells of for the first time: their bytes, and when the newest was sent and arrived. */
  arrived(
    bytes: number,
    packets: number,
    sentMs: number,
    arrivedMs: number,
    heldMs: number,
    train: Train,
    nowMs: number,
  ): void {
    for (let i = 0; i < packets; i++) this.#count(0);
    const rtt = Math.max(0.1, nowMs - sentMs - heldMs);
    const known = this.rttMs > 0;
    this.rttVarMs = known ? this.rttVarMs + 0.25 * (Math.abs(rtt - this.rttMs) - this.rttVarMs) : rtt / 2;
    this.rttMs = known ? this.rttMs + 0.125 * (rtt - this.rttMs) : rtt;
    this.#delay(arrivedMs - sentMs, nowMs);
    this.#measure(bytes, sentMs, arrivedMs);
    this.#hurry(train, nowMs);
    this.#steer(bytes, nowMs);
    this.#limited = false;
  }

  #delay(delayMs: number, nowMs: number): void {
    if (nowMs - this.#baseAtMs > BASE_FOR_MS) {
      this.#base = Math.min(this.#nextBase, delayMs);
      this.#nextBase = Number.POSITIVE_INFINITY;
      this.#baseAtMs = nowMs;
    }
    this.#base = Math.min(this.#base, delayMs);
    this.#nextBase = Math.min(this.#nextBase, delayMs);
    this.#recent.push(delayMs - this.#base);
    if (this.#recent.length > 3) this.#recent.shift();
    this.queueMs = Math.min(...this.#recent);
  }

  /** Bandwidth shows where the path spreads packets out, or where something waits for the window all the time. */
  #measure(bytes: number, sentMs: number, arrivedMs: number): void {
    const spanMs = arrivedMs - this.#arrivedMs;
    const spread = sentMs - this.#sentMs < 0.7 * spanMs;
    const first = this.#arrivedMs < 0;
    this.#arrivedMs = arrivedMs;
    this.#sentMs = sentMs;
    if (first || spanMs <= 0) return;
    if (spanMs > 200 || !(spread || this.#limited)) {
      this.#sample = { bytes: 0, ms: 0 };
      return;
    }
    this.#sample = { bytes: this.#sample.bytes + bytes, ms: this.#sample.ms + spanMs };
    if (this.#sample.ms < SAMPLE_MS || this.#sample.bytes < 8 * PACKET_BYTES) return;
    const measured = (this.#sample.bytes * 8000) / this.#sample.ms;
    this.#sample = { bytes: 0, ms: 0 };
    if (this.bandwidth === 0) this.bandwidth = measured;
    else if (this.queueMs > 8) this.bandwidth += 0.3 * (measured - this.bandwidth);
    else this.bandwidth = Math.max(this.bandwidth, measured);
  }

  /**
   * A train that no queue has held up shows what the path carries at least. That need not be found out by doubling the
   * window: over a long path it takes many round trips, and each large frame waits for some of them.
   */
  #hurry(train: Train, nowMs: number): void {
    const queueMs = this.#recent.at(-1) ?? 0;
    if (train.bytes < TRAIN_BYTES || queueMs > 8 || nowMs - this.#floodedMs < FLOODED_FOR_MS) return;
    const shown = (train.bytes * 8000) / Math.max(TRAIN_MS, train.ms + queueMs);
    this.bandwidth = Math.max(this.bandwidth, shown);
    if (nowMs - this.#shrunkMs < SHRUNK_FOR_MS) return;
    this.window = Math.max(this.window, Math.min((shown / 8000) * this.rttMs, WINDOW_FAST));
  }

  #steer(bytes: number, nowMs: number): void {
    const aim = QUEUE_AIM_MS;
    const path = Math.max(1, this.rttMs - this.queueMs);
    if (this.queueMs > aim || this.#rough > MUCH_LOSS) {
      if (nowMs - this.#shrunkMs < path + this.queueMs) return;
      this.#slowStart = false;
      this.#shrunkMs = nowMs;
      const factor = this.queueMs > aim ? (path + aim) / (path + this.queueMs) : 0.85;
      this.window *= Math.max(0.5, factor);
      if (this.#rough > MUCH_LOSS) {
        this.#floodedMs = nowMs;
        this.#rough = MUCH_LOSS / 2; // counted; the next packets tell how it is now
      }
    } else if (this.#limited) {
      this.window += (this.#slowStart ? 1 : 0.5 * (1 - this.queueMs / aim)) * bytes;
    }
    this.window = Math.max(WINDOW_MIN, Math.min(this.window, WINDOW_MAX));
  }

  #count(lost: number): void {
    this.#rough += (lost - this.#rough) / 64;
    if (lost === 0 || this.queueMs < 2 * QUEUE_AIM_MS) this.loss += LOSS_WEIGHT * (lost - this.loss);
  }
}
