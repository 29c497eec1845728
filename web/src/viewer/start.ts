// Starts the engine: in a worker, so that nothing in the page can hold the picture up; in the page where the browser
// can't decode or paint in a worker.

import { startWorker } from '../browser/worker.ts';
import { MAX_STREAMS } from '../core/protocol.gen.ts';
import { Engine } from './engine.ts';
import type { AnyCanvas, FromEngine, ToEngine } from './messages.ts';

export interface Running {
  send(message: ToEngine): void;
  /** where the picture is decoded */
  readonly worker: boolean;
}

/** Canvases of the streams; then the engine with the address's code, or the token that was kept. */
export async function startEngine(
  canvases: readonly HTMLCanvasElement[],
  code: string,
  token: string,
  tell: (message: FromEngine) => void,
): Promise<Running> {
  const worker = await able(tell);
  if (worker === null) {
    const engine = new Engine(tell);
    engine.take({ type: 'start', code, token, canvases });
    return { worker: false, send: (message) => engine.take(message) };
  }
  const offscreen: OffscreenCanvas[] = canvases.map((canvas) => canvas.transferControlToOffscreen());
  const start: ToEngine = { type: 'start', code, token, canvases: offscreen satisfies AnyCanvas[] };
  worker.postMessage(start, offscreen);
  return { worker: true, send: (message) => worker.postMessage(message) };
}

/** A worker that can do it all, or null. */
function able(tell: (message: FromEngine) => void): Promise<Worker | null> {
  if (typeof OffscreenCanvas === 'undefined' || !('transferControlToOffscreen' in HTMLCanvasElement.prototype)) {
    return Promise.resolve(null);
  }
  return new Promise((done) => {
    let worker: Worker;
    try {
      worker = startWorker('decode.worker.js', { type: 'module' });
    } catch {
      done(null);
      return;
    }
    worker.onerror = () => done(null); // it could not be loaded
    worker.onmessage = ({ data }: MessageEvent<FromEngine>) => {
      if (data.type !== 'ready') {
        tell(data);
        return;
      }
      const fits = data.video || typeof VideoDecoder === 'undefined';
      if (!fits) worker.terminate();
      done(fits ? worker : null);
    };
  });
}

/** The canvases that startEngine wants. */
export function makeCanvases(): HTMLCanvasElement[] {
  return Array.from({ length: MAX_STREAMS }, () => {
    const canvas = document.createElement('canvas');
    canvas.width = 1;
    canvas.height = 1;
    return canvas;
  });
}
