// The first picture of a source, small and rough: it fits into the first packets that a new path takes (ten, RFC 6928),
// and is on the agent's screen one to three round trips before the first key frame, which is ten times as large.

import { makeImage } from './image.ts';
import { type Picture, sizeOf } from './picture.ts';

export interface Glimpse {
  readonly width: number;
  readonly height: number;
  readonly captureMs: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export const GLIMPSE_CODEC = 'image/jpeg';
export const GLIMPSE_BYTES = 12 * 1024; // what is larger brings nothing
const PIXELS = 640 * 360; // 9–14 kB at the first quality for a desktop full of text
const QUALITIES = [0.1, 0.06, 0.03];

/** Makes it; null where it would be no smaller than the picture, or can't be made. */
export async function glimpse(picture: Picture, captureMs: number): Promise<Glimpse | null> {
  const [fullWidth, fullHeight] = sizeOf(picture);
  const scale = Math.sqrt(PIXELS / (fullWidth * fullHeight));
  if (!(scale < 0.8)) return null;
  const width = Math.max(1, Math.round(fullWidth * scale));
  const height = Math.max(1, Math.round(fullHeight * scale));
  const formats = QUALITIES.map((quality) => ({ type: GLIMPSE_CODEC, quality }) as const);
  try {
    const data = await makeImage(picture, { width, height, formats, maxBytes: GLIMPSE_BYTES });
    return data === null ? null : { width, height, captureMs, data };
  } catch {
    return null;
  }
}
