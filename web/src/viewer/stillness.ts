// When the viewer asks for a lossless still by itself: once the picture stands still for a moment. Pure; times in
// milliseconds.

const FIRST_MS = 400;
const LONGEST_MS = 8_000; // between a blinking cursor's pictures
const BRIEF_MS = 2_000; // a still that was shown for less was not worth its bytes
const SLOW_MS = 30_000;

export interface Stillness {
  /** when the last frame of the chain was painted; 0: none yet */
  readonly frameMs: number;
  /** how long nothing must change before a still is asked for */
  readonly waitMs: number;
  /** not before; after a refusal */
  readonly notBeforeMs: number;
  readonly asked: boolean;
  /** when the still was put in place of the picture; 0: it is not */
  readonly shownMs: number;
}

export const initial: Stillness = { frameMs: 0, waitMs: FIRST_MS, notBeforeMs: 0, asked: false, shownMs: 0 };

/** A frame of the chain was painted. */
export function moved(s: Stillness, now: number): Stillness {
  let { waitMs } = s;
  if (s.shownMs > 0) waitMs = now - s.shownMs < BRIEF_MS ? Math.min(LONGEST_MS, 2 * waitMs) : FIRST_MS;
  return { ...s, frameMs: now, waitMs, shownMs: 0 };
}

/** When a still is due if nothing happens until then; null: none is. */
export function dueMs(s: Stillness): number | null {
  if (s.frameMs === 0 || s.asked || s.shownMs > 0 || !Number.isFinite(s.notBeforeMs)) return null;
  return Math.max(s.frameMs + s.waitMs, s.notBeforeMs);
}

export function asked(s: Stillness): Stillness {
  return { ...s, asked: true };
}

/** The still came; shown: in time. */
export function answered(s: Stillness, shown: boolean, now: number): Stillness {
  if (!shown) return refused(s, 'motion', now);
  return { ...s, asked: false, shownMs: now };
}

/** No still comes. What will not change by itself is not asked for again before another configuration. */
export function refused(s: Stillness, why: string, now: number): Stillness {
  const base = { ...s, asked: false };
  if (why === 'motion') return { ...base, waitMs: Math.min(LONGEST_MS, 2 * s.waitMs) };
  if (why === 'slow' || why === 'path') return { ...base, notBeforeMs: now + SLOW_MS };
  return { ...base, notBeforeMs: Number.POSITIVE_INFINITY };
}
