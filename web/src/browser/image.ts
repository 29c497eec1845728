// Image files of pictures: a first rough one, stills, and the picture itself where there is no video.

import { draw, type Order } from './draw.ts';
import type { Picture } from './picture.ts';
import { startWorker } from './worker.ts';

export interface ToDraw {
  readonly n: number;
  readonly picture: Picture;
  readonly order: Order;
}

export interface Drawn {
  readonly n: number;
  readonly data: Uint8Array<ArrayBuffer> | null;
  readonly failed?: true;
}

interface Waiting {
  done(data: Uint8Array<ArrayBuffer> | null): void;
  failed(error: Error): void;
}

let worker: Worker | null | undefined; // null: none starts here
let count = 0;
const waiting = new Map<number, Waiting>();

/** Starts the worker, so that the first image need not wait for it. */
export function warmImages(): void {
  if (worker !== undefined) return;
  try {
    worker = startWorker('image.worker.js', { type: 'module' });
  } catch {
    worker = null;
    return;
  }
  worker.onmessage = ({ data: { n, data, failed } }: MessageEvent<Drawn>) => {
    const one = waiting.get(n);
    waiting.delete(n);
    if (failed === true) one?.failed(new Error('no image'));
    else one?.done(data);
  };
  worker.onerror = () => {
    worker = null; // it could not be loaded
    for (const one of waiting.values()) one.failed(new Error('no worker'));
    waiting.clear();
  };
}

/**
 * Makes an image of a picture: the first of the formats that is small enough, null if none is. The picture may be closed
 * once this was called. Rejects where the browser can't make one.
 */
export function makeImage(picture: Picture, order: Order): Promise<Uint8Array<ArrayBuffer> | null> {
  warmImages();
  if (!worker || !('clone' in picture)) return draw(picture, order); // bitmaps: only without WebCodecs
  const n = count++;
  const copy = picture.clone();
  worker.postMessage({ n, picture: copy, order } satisfies ToDraw, [copy]);
  return new Promise((done, failed) => waiting.set(n, { done, failed }));
}
