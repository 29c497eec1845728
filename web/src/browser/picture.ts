// One picture of a source, as browsers give it.

/** An ImageBitmap where the browser has no WebCodecs. Whoever gets it closes it. */
export type Picture = VideoFrame | ImageBitmap;

/** Its width and height in pixels, as it is meant to be seen. */
export function sizeOf(picture: Picture): [number, number] {
  return 'displayWidth' in picture ? [picture.displayWidth, picture.displayHeight] : [picture.width, picture.height];
}
