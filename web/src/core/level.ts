// What a path carries: moving pictures, single ones, or none. Steps down when frames don't arrive, and up again by
// itself when they do; both sides are told. Pure; times in milliseconds. A silent path (core/session.ts) is another
// thing: then nothing is sent at all.

export type Level = 'video' | 'stills' | 'none';

export interface Path {
  readonly level: Level;
  /** since when it is that */
  readonly sinceMs: number;
  /** single pictures in a row that came through quickly */
  readonly quick: number;
  /** when one picture is tried again, while there are none */
  readonly tryAtMs: number;
}

export const VIDEO_STUCK_MS = 5_000; // a frame that is so old and not acknowledged: video does not come through
export const STILL_STUCK_MS = 20_000; // the same for a single picture
export const TRY_EVERY_MS = 15_000; // one picture, while there are none
export const QUICK_MS = 2_500; // from capture to arrival: the path carries more than single pictures
const QUICK_ENOUGH = 3;
const STAY_MS = 5_000; // at least, before video is tried again

export const initial: Path = { level: 'video', sinceMs: 0, quick: 0, tryAtMs: 0 };

/** Takes the age of the oldest frame that was sent and is not acknowledged; 0 when there is none. */
export function waited(path: Path, oldestMs: number, nowMs: number): Path {
  if (path.level === 'video' && oldestMs > VIDEO_STUCK_MS) return to(path, 'stills', nowMs);
  if (path.level === 'stills' && oldestMs > STILL_STUCK_MS) {
    return { ...to(path, 'none', nowMs), tryAtMs: nowMs + TRY_EVERY_MS };
  }
  return path;
}

/** Takes the time that a frame needed from sending to its ack. */
export function arrived(path: Path, tookMs: number, nowMs: number): Path {
  if (path.level === 'video') return path;
  if (path.level === 'none') return tookMs < STILL_STUCK_MS ? to(path, 'stills', nowMs) : path;
  const quick = tookMs < QUICK_MS ? path.quick + 1 : 0;
  if (quick >= QUICK_ENOUGH && nowMs - path.sinceMs >= STAY_MS) return to(path, 'video', nowMs);
  return { ...path, quick };
}

/** Whether a picture may be sent now, at this level, with so many unacknowledged. */
export function may(path: Path, unacked: number, nowMs: number): boolean {
  if (path.level === 'video') return true;
  if (path.level === 'none') return nowMs >= path.tryAtMs; // what is not acknowledged by now may never be
  return unacked === 0; // one at a time
}

/** Notes that the one picture was sent that is tried while there are none. */
export function tried(path: Path, nowMs: number): Path {
  return path.level === 'none' ? { ...path, tryAtMs: nowMs + TRY_EVERY_MS } : path;
}

/** The path was away or is another one: what was measured says nothing any more. */
export function forget(nowMs: number): Path {
  return { ...initial, sinceMs: nowMs };
}

function to(path: Path, level: Level, nowMs: number): Path {
  return { ...path, level, sinceMs: nowMs, quick: 0, tryAtMs: 0 };
}
