// Which codec a stream uses: the best that both ends can do and this machine can keep up with. Steps down when
// encoding is too slow or fails, and up again when there is time to spare. Pure; times in milliseconds.

import { CODECS } from './codec.ts';

const FULL_COLOUR = 'av01.1.'; // 4:4:4
export const SLOW_MS = 66; // to encode one frame: the interval of 15 frames a second
export const SLOW_FRAMES = 15; // in a row: a second of a picture that can't keep up
const EASY_MS = 22; // a third of that interval
const EASY_FRAMES = 60;
export const UP_WAIT_MS = 30_000; // before the first try of the codec above, doubled at each that was too slow again
const UP_WAIT_MAX_MS = 8 * 60_000;
const SMOOTH = 0.2;

export interface Ladder {
  /** what may be used, best first */
  readonly choices: readonly string[];
  /** those that can't be used in this stream: they failed */
  readonly broken: readonly string[];
  /** the choice in use; its length when nothing is left */
  readonly at: number;
  /** smoothed encoding time of a frame, ms; 0 = none yet */
  readonly encodeMs: number;
  readonly slow: number;
  readonly easy: number;
  /** when the codec above may be tried, and how long is waited after the next time that it was too slow */
  readonly upAtMs: number;
  readonly upWaitMs: number;
}

/**
 * The ladder for what the other end decodes. fullColour says that the source has a colour for each pixel: captured
 * frames of browsers mostly have a quarter of that (I420, NV12), and a codec that carries more would waste bits.
 */
export function start(decodable: readonly string[], fullColour: boolean): Ladder {
  const choices = CODECS.filter((codec) => decodable.includes(codec) && (fullColour || !codec.startsWith(FULL_COLOUR)));
  return { choices, broken: [], at: 0, encodeMs: 0, slow: 0, easy: 0, upAtMs: 0, upWaitMs: UP_WAIT_MS };
}

/** The codec in use; '' when nothing is left. */
export function codec(ladder: Ladder): string {
  return ladder.choices[ladder.at] ?? '';
}

/** Takes the time that a delta frame took in the encoder. Key frames always take longer and say little. */
export function encoded(ladder: Ladder, tookMs: number): Ladder {
  const encodeMs = ladder.encodeMs === 0 ? tookMs : ladder.encodeMs + SMOOTH * (tookMs - ladder.encodeMs);
  const slow = encodeMs > SLOW_MS ? ladder.slow + 1 : 0;
  const easy = encodeMs < EASY_MS ? ladder.easy + 1 : 0;
  return { ...ladder, encodeMs, slow, easy };
}

/** Where to go now: a step down when this codec is too slow, a step up when there is time to spare, else the same. */
export function steer(ladder: Ladder, nowMs: number): Ladder {
  if (ladder.slow >= SLOW_FRAMES && next(ladder) < ladder.choices.length) {
    const upWaitMs = Math.min(UP_WAIT_MAX_MS, 2 * ladder.upWaitMs);
    return { ...to(ladder, next(ladder)), upAtMs: nowMs + ladder.upWaitMs, upWaitMs };
  }
  const up = above(ladder);
  if (up >= 0 && ladder.easy >= EASY_FRAMES && nowMs >= ladder.upAtMs) return to(ladder, up);
  return ladder;
}

/** This codec failed, or can't be used here: the next one, for the rest of the stream. */
export function failed(ladder: Ladder): Ladder {
  const broken = [...ladder.broken, codec(ladder)];
  return to({ ...ladder, broken }, next({ ...ladder, broken }));
}

/** How long a frame should have, at least: 30 a second when encoding is quick, 15 when not. */
export function intervalMs(ladder: Ladder): number {
  return ladder.encodeMs <= EASY_MS ? 1000 / 30 : 1000 / 15;
}

function to(ladder: Ladder, at: number): Ladder {
  return { ...ladder, at, encodeMs: 0, slow: 0, easy: 0 };
}

function next(ladder: Ladder): number {
  let at = ladder.at + 1;
  while (at < ladder.choices.length && ladder.broken.includes(ladder.choices[at] ?? '')) at++;
  return at;
}

function above(ladder: Ladder): number {
  let at = ladder.at - 1;
  while (at >= 0 && ladder.broken.includes(ladder.choices[at] ?? '')) at--;
  return at;
}
