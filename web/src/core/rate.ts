// Steers the picture (screen.md 3 and 4): which frames are skipped before the encoder, the bit rate from the
// agent's acks. Pure; times in milliseconds.

export const INTERVAL_MS = 1000 / 30; // of the fastest picture
export const BUFFERED_MAX = 256 * 1024; // bytes that may wait in the channel
export const BITRATE_START = 2_500_000;
export const BITRATE_MIN = 150_000;
export const BITRATE_MAX = 8_000_000; // security.md 4
export const BACKLOG_MS = 20; // that may wait on this side when the next frame is encoded
const QUEUE_SHORT_MS = 40;
const QUEUE_LONG_MS = 120;
const BASE_WINDOW_MS = 10_000;
const STEER_EVERY_MS = 500;
const FAST = 3_000_000; // bits a second: a path that carries a scrolling page 30 times a second
const CAPACITY_MIN_BYTES = 30_000; // smaller frames say little about the path
const UNPAINTED_MS = 150; // beyond the round trip: the viewer's own time for a frame
const STALLED_MS = 3_000; // a viewer that paints nothing for so long is not waited for

interface Sent {
  /** when its arrival was acknowledged; 0 = not yet */
  readonly ackedMs: number;
  readonly stream: number;
  readonly frame: number;
  readonly atMs: number;
  readonly bytes: number;
}

export interface Rate {
  readonly unacked: readonly Sent[];
  /** sent, but not seen on the viewer's canvas; empty until a viewer reports what it paints */
  readonly unpainted: readonly Sent[];
  readonly paints: boolean;
  /** smoothed round trip of a frame's ack */
  readonly rttMs: number;
  /** smallest arrival minus sending time (with both clocks' offset in it), and when it was seen */
  readonly baseMs: number;
  readonly baseAtMs: number;
  /** smoothed time in queues beyond that minimum */
  readonly queueMs: number;
  /** bits per second of the path, measured on large frames; 0 = unknown */
  readonly capacity: number;
  readonly bitrate: number;
  readonly steeredMs: number;
}

export const initial: Rate = {
  unacked: [],
  unpainted: [],
  paints: false,
  rttMs: 50,
  baseMs: Number.POSITIVE_INFINITY,
  baseAtMs: 0,
  queueMs: 0,
  capacity: 0,
  bitrate: BITRATE_START,
  steeredMs: 0,
};

/** Whether this picture must be skipped: too much is on its way already, or the viewer does not keep up. */
export function skips(rate: Rate, stream: number, bufferedBytes: number, encoderQueue: number, nowMs: number): boolean {
  const inFlight = (rate.rttMs + 1.2 * INTERVAL_MS) / INTERVAL_MS;
  const unacked = rate.unacked.filter((one) => one.stream === stream).length;
  if (unacked > Math.max(2, inFlight) || bufferedBytes > BUFFERED_MAX || encoderQueue > 0) return true;
  const waits = nowMs - (rate.unpainted.find((one) => one.stream === stream)?.atMs ?? nowMs);
  return waits > rate.rttMs + UNPAINTED_MS && waits < STALLED_MS;
}

/**
 * As skips, for a lane: whether the viewer does not keep up with what has arrived. It is measured between acks: they
 * share an ordered channel with the viewer's reports, and after a loss there both are late.
 */
export function unseen(rate: Rate, stream: number, nowMs: number): boolean {
  const mine = rate.unpainted.filter((one) => one.stream === stream && one.ackedMs > 0);
  const firstMs = mine[0]?.ackedMs ?? nowMs;
  const lastMs = mine.at(-1)?.ackedMs ?? nowMs;
  return lastMs - firstMs > UNPAINTED_MS && nowMs - firstMs < STALLED_MS;
}

export function sent(rate: Rate, stream: number, frame: number, bytes: number, nowMs: number): Rate {
  const one = { stream, frame, atMs: nowMs, bytes, ackedMs: 0 };
  const unpainted = rate.unpainted.filter((old) => nowMs - old.atMs < STALLED_MS);
  return { ...rate, unacked: [...rate.unacked, one], unpainted: rate.paints ? [...unpainted, one] : [] };
}

/** Takes the viewer's report that it painted a frame; those before it count too. */
export function painted(rate: Rate, stream: number, frame: number): Rate {
  return { ...rate, paints: true, unpainted: after(rate.unpainted, stream, frame) };
}

/** What remains of a list when a frame and all before it of the same stream are taken out. */
function after(list: readonly Sent[], stream: number, frame: number): readonly Sent[] {
  const at = list.findIndex((one) => one.stream === stream && one.frame === frame);
  return list.filter((one, i) => i > at || one.stream !== stream);
}

/** What a lane knows of the path, better than acks of whole frames tell. */
export interface Path {
  readonly queueMs: number;
  readonly capacity: number;
}

/** Takes the agent's ack of a frame's arrival. An ack of something never sent changes nothing. */
export function acked(
  rate: Rate,
  stream: number,
  frame: number,
  receivedMs: number,
  nowMs: number,
  lane: Path | null = null,
): Rate {
  const one = rate.unacked.find((one) => one.stream === stream && one.frame === frame);
  if (one === undefined) return rate;
  const unacked = after(rate.unacked, stream, frame); // the channel is ordered: what came before has arrived too
  const rttMs = rate.rttMs + 0.2 * (Math.min(5000, Math.max(0, nowMs - one.atMs)) - rate.rttMs);
  const delayMs = receivedMs - one.atMs;
  const renew = delayMs <= rate.baseMs || nowMs - rate.baseAtMs > BASE_WINDOW_MS;
  const baseMs = renew ? delayMs : rate.baseMs;
  const queueMs = rate.queueMs + 0.3 * (Math.min(5000, delayMs - baseMs) - rate.queueMs);
  let capacity = rate.capacity;
  if (one.bytes >= CAPACITY_MIN_BYTES && delayMs > baseMs) {
    const measured = (one.bytes * 8000) / (delayMs - baseMs);
    capacity = capacity === 0 ? measured : capacity + 0.3 * (measured - capacity);
  }
  const unpainted = rate.unpainted.map((old) =>
    old.stream === stream && old.frame === frame ? { ...old, ackedMs: nowMs } : old,
  );
  const baseAtMs = renew ? nowMs : rate.baseAtMs;
  const next = { ...rate, unacked, unpainted, rttMs, baseMs, baseAtMs, queueMs, capacity, ...lane };
  return nowMs - rate.steeredMs < STEER_EVERY_MS ? next : { ...next, bitrate: steer(next), steeredMs: nowMs };
}

function steer(rate: Rate): number {
  let bitrate = rate.bitrate;
  if (rate.queueMs > QUEUE_LONG_MS) bitrate *= 0.85;
  else if (rate.queueMs < QUEUE_SHORT_MS) bitrate *= 1.08;
  const ceiling = rate.capacity > 0 ? Math.min(BITRATE_MAX, 0.7 * rate.capacity) : BITRATE_MAX;
  return Math.round(Math.max(BITRATE_MIN, Math.min(bitrate, ceiling)));
}

/** Whether the path carries 30 frames a second in motion; yes while it is unknown. */
export function fast(rate: Rate): boolean {
  return rate.capacity === 0 || rate.capacity >= FAST;
}

/** A new lane: what was measured on another path, or without one, says nothing of it. */
export function moved(rate: Rate): Rate {
  return { ...rate, bitrate: Math.max(rate.bitrate, BITRATE_START), capacity: 0, queueMs: 0 };
}

/** A stream is shown no more. */
export function without(rate: Rate, stream: number): Rate {
  const others = (one: Sent) => one.stream !== stream;
  return { ...rate, unacked: rate.unacked.filter(others), unpainted: rate.unpainted.filter(others) };
}

/** After a break of the path: nothing is on its way any more, the rest is kept. */
export function forget(rate: Rate): Rate {
  return { ...rate, unacked: [], unpainted: [] };
}
