// Makes image files of pictures, away from the page: there Chromium makes them in its idle time, which a page that
// connects and shows a picture has none of, and begins after a whole second (measured).

import { draw } from './draw.ts';
import type { Drawn, ToDraw } from './image.ts';

addEventListener('message', async ({ data: { n, picture, order } }: MessageEvent<ToDraw>) => {
  let drawn: Drawn;
  try {
    drawn = { n, data: await draw(picture, order) };
  } catch {
    drawn = { n, data: null, failed: true };
  }
  picture.close();
  postMessage(drawn, { transfer: drawn.data === null ? [] : [drawn.data.buffer] });
});
