// Which codecs there are, in our order, and when one is too slow for this machine. Pure; times in milliseconds.

/** Codecs in our order of preference (design 7); the last two are whole images. */
export const CODECS: readonly string[] = [
  'av01.1.08M.08.0.000',
  'av01.0.08M.08',
  'avc1.42E034',
  'vp09.00.51.08',
  'vp8',
  'image/jpeg',
  'image/png',
];

export const SLOW_ENCODE_MS = 66; // the interval of 15 frames a second
const SLOW_FRAMES = 45;

/** Smoothed encoding time, and for how many frames it was over the limit. */
export interface Pace {
  readonly encodeMs: number;
  readonly slowFrames: number;
}

export const unmeasured: Pace = { encodeMs: 0, slowFrames: 0 };

export function encoded(pace: Pace, tookMs: number): Pace {
  const encodeMs = pace.encodeMs === 0 ? tookMs : pace.encodeMs + 0.2 * (tookMs - pace.encodeMs);
  return { encodeMs, slowFrames: encodeMs > SLOW_ENCODE_MS ? pace.slowFrames + 1 : 0 };
}

/** Whether the codec should be given up for the next one. */
export function tooSlow(pace: Pace): boolean {
  return pace.slowFrames >= SLOW_FRAMES;
}
