// Draws a picture as an image file of some size: in the images' worker, or on the page where no worker starts.

import type { Picture } from './picture.ts';

export interface Format {
  readonly type: 'image/png' | 'image/jpeg' | 'image/webp';
  /** 0 to 1; nothing for PNG */
  readonly quality?: number;
}

export interface Order {
  readonly width: number;
  readonly height: number;
  /** tried one after the other until one fits */
  readonly formats: readonly Format[];
  readonly maxBytes: number;
}

/** The first of the formats that fits, or null. The picture may be closed once this was called. Rejects where the browser can't. */
export async function draw(picture: Picture, order: Order): Promise<Uint8Array<ArrayBuffer> | null> {
  const canvas = new OffscreenCanvas(order.width, order.height);
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null) throw new Error('no canvas');
  context.imageSmoothingQuality = 'medium';
  context.drawImage(picture, 0, 0, order.width, order.height);
  for (const format of order.formats) {
    const blob = await canvas.convertToBlob(format);
    if (blob.size <= order.maxBytes) return new Uint8Array(await blob.arrayBuffer());
  }
  return null;
}
