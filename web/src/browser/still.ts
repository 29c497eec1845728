// A lossless still of what is shown, made on request: the latest captured picture as a PNG, or as a good JPEG where a
// PNG would be larger than a frame may be.

import { MAX_FRAME_BYTES, type ScreenRefused } from '../core/protocol.gen.ts';
import type { Picture } from './picture.ts';

export type Why = ScreenRefused['why'];

/** A still that nobody asked for may keep a path busy so long, at the rate that it has. */
const AUTO_MAX_MS = 3_000;
const JPEG_QUALITY = 0.95;

/** Encodes a picture at that size. Rejects with a Why as its message's text when it can't be. */
export async function makeStill(picture: Picture, width: number, height: number): Promise<Uint8Array<ArrayBuffer>> {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null) throw new Error('failed');
  context.drawImage(picture, 0, 0, width, height); // at once: the picture may be closed by the next one
  let blob = await canvas.convertToBlob({ type: 'image/png' });
  if (blob.size > MAX_FRAME_BYTES) blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: JPEG_QUALITY });
  if (blob.size > MAX_FRAME_BYTES) throw new Error('large');
  return new Uint8Array(await blob.arrayBuffer());
}

/** Whether a still that nobody asked for is too much for a path of so many bits a second. */
export function tooSlow(bytes: number, bitrate: number): boolean {
  return (bytes * 8000) / bitrate > AUTO_MAX_MS;
}

/** Why makeStill did not make one. */
export function whyNot(error: unknown): Why {
  return error instanceof Error && error.message === 'large' ? 'large' : 'failed';
}
