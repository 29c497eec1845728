// A lossless still of what is shown, made on request: the latest captured picture as a PNG, or as a good JPEG where a
// PNG would be larger than a frame may be.

import { MAX_FRAME_BYTES, type ScreenRefused } from '../core/protocol.gen.ts';
import { makeImage } from './image.ts';
import type { Picture } from './picture.ts';

export type Why = ScreenRefused['why'];

/** A still that nobody asked for may keep a path busy so long, at the rate that it has. */
const AUTO_MAX_MS = 3_000;
const FORMATS = [{ type: 'image/png' }, { type: 'image/jpeg', quality: 0.95 }] as const;

/** Encodes a picture at that size. Rejects with a Why as its message's text when it can't be. */
export async function makeStill(picture: Picture, width: number, height: number): Promise<Uint8Array<ArrayBuffer>> {
  const data = await makeImage(picture, { width, height, formats: FORMATS, maxBytes: MAX_FRAME_BYTES });
  if (data === null) throw new Error('large');
  return data;
}

/** Whether a still that nobody asked for is too much for a path of so many bits a second. */
export function tooSlow(bytes: number, bitrate: number): boolean {
  return (bytes * 8000) / bitrate > AUTO_MAX_MS;
}

/** Why makeStill did not make one. */
export function whyNot(error: unknown): Why {
  return error instanceof Error && error.message === 'large' ? 'large' : 'failed';
}
