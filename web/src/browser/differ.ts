// Whether a picture differs from the one that was encoded before. Chromium delivers a shared tab only when it has
// changed, but a whole screen 30 times a second, also when nothing moves, and so does Firefox (measured under X11).
// The pixels are read (1.4 ms for 1280×720) and a quarter of the rows compared (0.7 ms), other rows each time: a caret,
// a letter or a pointer covers several rows and is seen at once, a line one pixel high after four pictures at the latest.

const PHASES = 4;

export class Differ {
  #before: Int32Array | null = null;
  #spare: Int32Array | null = null;
  #shape = '';
  #phase = 0;

  /** Whether the frame is the same as the last one that was not. Never rejects: what can't be read is a new one. */
  async same(frame: VideoFrame): Promise<boolean> {
    const { codedWidth, codedHeight, format } = frame;
    let pixels: Int32Array;
    let rows: readonly PlaneLayout[];
    try {
      const bytes = Math.ceil(frame.allocationSize() / 4) * 4;
      pixels = this.#spare?.byteLength === bytes ? this.#spare : new Int32Array(bytes / 4);
      this.#spare = null;
      rows = await frame.copyTo(pixels);
    } catch {
      this.forget();
      return false;
    }
    return this.#repeats(pixels, rows, `${format} ${codedWidth} ${codedHeight}`);
  }

  /** The same for what is drawn on a canvas, where the browser has no WebCodecs. */
  drawn(context: OffscreenCanvasRenderingContext2D): boolean {
    const { width, height } = context.canvas;
    const pixels = new Int32Array(context.getImageData(0, 0, width, height).data.buffer);
    return this.#repeats(pixels, [{ offset: 0, stride: width * 4 }], `${width} ${height}`);
  }

  #repeats(pixels: Int32Array, rows: readonly PlaneLayout[], shape: string): boolean {
    const before = this.#before;
    if (before?.length === pixels.length && shape === this.#shape) {
      this.#phase = (this.#phase + 1) % PHASES;
      if (equal(before, pixels, rows, this.#phase)) {
        this.#spare = pixels;
        return true;
      }
    }
    this.#spare = before;
    this.#before = pixels;
    this.#shape = shape;
    return false;
  }

  /** The next frame is a new one. */
  forget(): void {
    this.#before = null;
    this.#spare = null;
  }
}

/** Compares the rows of that phase in each plane, word by word. */
function equal(a: Int32Array, b: Int32Array, planes: readonly PlaneLayout[], phase: number): boolean {
  for (let p = 0; p < planes.length; p++) {
    const plane = planes[p];
    if (plane === undefined) continue;
    const end = planes[p + 1]?.offset ?? a.length * 4;
    for (let row = plane.offset + phase * plane.stride; row < end; row += PHASES * plane.stride) {
      const last = Math.min((row + plane.stride) >> 2, a.length);
      for (let i = row >> 2; i < last; i++) if (a[i] !== b[i]) return false;
    }
  }
  return true;
}
