// The first picture of a source, small and rough: it fits into the first packets that a new path takes (ten, RFC 6928),
// and is on the agent's screen one to three round trips before the first key frame, which is ten times as large.

import { type Picture, sizeOf } from './picture.ts';

export interface Glimpse {
  readonly width: number;
  readonly height: number;
  readonly captureMs: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export const GLIMPSE_CODEC = 'image/jpeg';
export const GLIMPSE_BYTES = 12 * 1024; // what is larger brings nothing
const PIXELS = 640 * 360; // 9–11 kB at this quality for a desktop full of text
const QUALITY = 0.1;

/** Makes it; null where it would be no smaller than the picture, or can't be made. */
export async function glimpse(picture: Picture, captureMs: number): Promise<Glimpse | null> {
  const [fullWidth, fullHeight] = sizeOf(picture);
  const scale = Math.sqrt(PIXELS / (fullWidth * fullHeight));
  if (!(scale < 0.8)) return null;
  const width = Math.max(1, Math.round(fullWidth * scale));
  const height = Math.max(1, Math.round(fullHeight * scale));
  try {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { alpha: false });
    if (context === null) return null;
    context.imageSmoothingQuality = 'medium';
    context.drawImage(picture, 0, 0, width, height); // at once: the picture may be closed by the next one
    const blob = await canvas.convertToBlob({ type: GLIMPSE_CODEC, quality: QUALITY });
    if (blob.size > GLIMPSE_BYTES) return null;
    return { width, height, captureMs, data: new Uint8Array(await blob.arrayBuffer()) };
  } catch {
    return null;
  }
}
