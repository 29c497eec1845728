// One picture of a source, as browsers give it.

import { MAX_FRAME_PIXELS, MAX_FRAME_SIDE } from '../core/protocol.gen.ts';

/** An ImageBitmap where the browser has no WebCodecs. Whoever gets it closes it. */
export type Picture = VideoFrame | ImageBitmap;

/** Its width and height in pixels, as it is meant to be seen. */
export function sizeOf(picture: Picture): [number, number] {
  return 'displayWidth' in picture ? [picture.displayWidth, picture.displayHeight] : [picture.width, picture.height];
}

/** Whether each pixel has a colour of its own; captured frames of Chromium are I420 or NV12. */
export function hasFullColour(picture: Picture): boolean {
  return 'format' in picture && picture.format !== null && /^(RGB|BGR|I444)/.test(picture.format);
}

/** The size that is sent: the source's own, scaled down only above the protocol's limits. */
export function limit(width: number, height: number, even: boolean): [number, number] {
  const scale = Math.min(
    1,
    MAX_FRAME_SIDE / width,
    MAX_FRAME_SIDE / height,
    Math.sqrt(MAX_FRAME_PIXELS / (width * height)),
  );
  const mask = even ? ~1 : ~0;
  return [Math.floor(width * scale) & mask, Math.floor(height * scale) & mask];
}
