// A desktop that somebody works at, drawn: windows with text, typing, scrolling, and another window every 3.5 seconds.
// Frame n is a pure function of n, the size and the rate, so that the original of any frame can be drawn again, in any
// page. Nothing is scaled: a larger desktop shows more text, not larger text.
const desktop = (() => {
  const BLOCK = 24; // px; the frame's number: 16 blocks in one line at the top left, white is 1, the lowest bit first
  const LINE = 19; // px
  const FONT = '14px "DejaVu Sans Mono", "Liberation Mono", monospace';
  const CHAR = 8.43; // px, of FONT; close enough to wrap lines
  const SCENE_S = 3.5; // until the next window comes to the front
  const WORDS = ('the invoice total order address delivery account settings button customer please click shows error page ' +
    'return const await number string value index result parse request response status code 404 500 field format date ' +
    'payment failed retry again cannot find search window folder file save changes before closing contact support team').split(' ');
  const WINDOWS = [
    { title: 'orders.ts', back: '#1e1e2e', text: '#cdd6f4', hues: ['#f38ba8', '#a6e3a1', '#89b4fa', '#fab387', '#cba6f7'], x: 0.02, y: 0.08, w: 0.74, h: 0.82 },
    { title: 'Your orders – Shop', back: '#ffffff', text: '#202020', hues: ['#0b57d0', '#c5221f', '#188038', '#202020', '#202020'], x: 0.2, y: 0.05, w: 0.78, h: 0.86 },
    { title: 'Terminal', back: '#101010', text: '#d0d0d0', hues: ['#e05050', '#50c050', '#d0b040', '#6090f0', '#d0d0d0'], x: 0.08, y: 0.2, w: 0.7, h: 0.72 },
    { title: 'Invoice 4711', back: '#f6f3ea', text: '#333333', hues: ['#8a3ffc', '#005d5d', '#9f1853', '#333333', '#b28600'], x: 0.28, y: 0.1, w: 0.7, h: 0.78 },
  ];

  const hash = (a, b) => {
    let h = Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    return (h ^ (h >>> 13)) >>> 0;
  };

  /** The words of a line of a window's document, each with its colour. */
  const words = (win, row, columns) => {
    const out = [];
    if (hash(win, row) % 7 === 0) return out; // an empty line
    const indent = (hash(win, row * 3 + 1) % 4) * 2;
    for (let at = indent, i = 0; ; i++) {
      const h = hash(win * 1009 + row, i);
      const word = WORDS[h % WORDS.length] + (h % 11 === 0 ? ',' : '');
      if (at + word.length > columns || i > 3 + (hash(row, win) % 16)) return out;
      out.push({ at, word, hue: (h >>> 8) % 9 });
      at += word.length + 1;
    }
  };

  /** What is being typed into a window: an endless text, wrapped at the columns. */
  const typedLine = (win, line, columns) => {
    let text = '';
    for (let i = 0; text.length < columns; i++) text += WORDS[hash(win * 31 + line, i) % WORDS.length] + ' ';
    return text.slice(0, columns);
  };

  /** The state at frame n: the window in front, and how far each has been typed into and scrolled. */
  const state = (n, fps) => {
    const length = Math.round(SCENE_S * fps);
    const scene = Math.floor(n / length);
    const k = n % length;
    const typing = Math.round(0.6 * length), scrolling = Math.round(0.25 * length), pause = Math.round(0.08 * length);
    const front = scene % WINDOWS.length;
    const visit = Math.floor(scene / WINDOWS.length);
    const clamp = (v, max) => Math.max(0, Math.min(max, v));
    // A pause after the switch, then typing and scrolling, in turns of who is first.
    const typeFirst = scene % 2 === 0;
    const typed = clamp(k - pause - (typeFirst ? 0 : scrolling), typing);
    const scrolled = clamp(k - pause - (typeFirst ? typing : 0), scrolling);
    const of = WINDOWS.map((_, i) => {
      const visits = i === front ? visit : scene > i ? Math.ceil((scene - i) / WINDOWS.length) : 0;
      return { typed: visits * typing + (i === front ? typed : 0), scrolled: visits * scrolling + (i === front ? scrolled : 0) };
    });
    return { scene, front, of, typing: typed > 0 && typed < typing, chars: 15 / fps, pixels: (24 * 15) / fps };
  };

  const rect = (win, w, h) => ({ x: Math.round(win.x * w), y: Math.round(win.y * h), w: Math.round(win.w * w), h: Math.round(win.h * h) });

  const drawWindow = (c, index, s, w, h) => {
    const win = WINDOWS[index];
    const r = rect(win, w, h);
    c.fillStyle = 'rgb(0 0 0 / 40%)';
    c.fillRect(r.x + 6, r.y + 6, r.w, r.h);
    c.fillStyle = index === s.front ? '#3b6ea5' : '#7d8790';
    c.fillRect(r.x, r.y, r.w, 28);
    c.font = FONT;
    c.textBaseline = 'alphabetic';
    c.fillStyle = '#ffffff';
    c.fillText(win.title, r.x + 12, r.y + 19);
    ['#e0443e', '#dea123', '#1aab29'].forEach((colour, i) => {
      c.fillStyle = colour;
      c.fillRect(r.x + r.w - 24 - i * 22, r.y + 8, 12, 12);
    });
    const body = { x: r.x, y: r.y + 28, w: r.w, h: r.h - 28 - 4 * LINE };
    const columns = Math.floor((r.w - 24) / CHAR);
    c.save();
    c.beginPath();
    c.rect(r.x, body.y, r.w, r.h - 28);
    c.clip();
    c.fillStyle = win.back;
    c.fillRect(r.x, body.y, r.w, r.h - 28);
    c.beginPath();
    c.rect(body.x, body.y, body.w, body.h);
    c.clip();
    const offset = Math.round(s.of[index].scrolled * s.pixels);
    const first = Math.floor(offset / LINE);
    for (let row = first; (row - first - 1) * LINE < body.h; row++) {
      const y = body.y + (row + 1) * LINE - offset - 4;
      for (const { at, word, hue } of words(index, row, columns)) {
        c.fillStyle = win.hues[hue] ?? win.text;
        c.fillText(word, r.x + 12 + Math.round(at * CHAR), y);
      }
    }
    c.restore();
    // Below it what is typed: the last three lines.
    const top = body.y + body.h;
    c.fillStyle = win.text;
    c.fillRect(r.x, top, r.w, 1);
    const total = Math.floor(s.of[index].typed * s.chars);
    const last = Math.floor(total / columns);
    for (let i = 0; i < 3; i++) {
      const line = Math.max(0, last - 2) + i;
      if (line > last) break;
      const text = typedLine(index, line, columns).slice(0, line === last ? total % columns : columns);
      const y = top + (i + 1) * LINE;
      c.fillStyle = win.text;
      c.fillText(text, r.x + 12, y);
      if (line === last && index === s.front) c.fillRect(r.x + 13 + Math.round(text.length * CHAR), y - 13, 2, 17);
    }
  };

  const drawBack = (c, s, w, h) => {
    c.fillStyle = '#2f5d62';
    c.fillRect(0, 0, w, h);
    for (let i = 0; i < 12; i++) {
      c.fillStyle = ['#3a7076', '#28515a', '#447f80'][i % 3];
      c.fillRect(Math.round((i * w) / 12), Math.round(h * (0.2 + 0.05 * (i % 5))), Math.round(w / 15), Math.round(h / 3));
    }
    c.fillStyle = '#20303a';
    c.fillRect(0, 0, w, 30);
    c.fillRect(0, h - 36, w, 36);
    c.font = FONT;
    WINDOWS.forEach((win, i) => {
      c.fillStyle = i === s.front ? '#3b6ea5' : '#31454f';
      c.fillRect(8 + i * 190, h - 32, 180, 28);
      c.fillStyle = '#ffffff';
      c.fillText(win.title, 18 + i * 190, h - 13);
    });
    // The window that was in front last lies just behind.
    for (let behind = WINDOWS.length - 1; behind > 0; behind--) {
      drawWindow(c, (s.front - behind + WINDOWS.length) % WINDOWS.length, s, w, h);
    }
  };

  let kept = null; // what lies behind the front window does not change within a scene

  /** Draws frame n of a desktop of w×h pixels that has fps frames a second. */
  const draw = (c, n, w, h, fps) => {
    const s = state(n, fps);
    const key = [s.scene, w, h, fps].join();
    if (kept?.key !== key) {
      const canvas = kept?.canvas ?? document.createElement('canvas');
      canvas.width = w;
      canvas.height = h;
      drawBack(canvas.getContext('2d', { alpha: false, willReadFrequently: true }), s, w, h);
      kept = { key, canvas };
    }
    c.drawImage(kept.canvas, 0, 0);
    drawWindow(c, s.front, s, w, h);
    for (let i = 0; i < 16; i++) {
      c.fillStyle = (n >> i) & 1 ? '#ffffff' : '#000000';
      c.fillRect(i * BLOCK, 0, BLOCK, BLOCK);
    }
  };

  /** Where the text of the window in front is. */
  const text = (n, w, h, fps) => {
    const r = rect(WINDOWS[state(n, fps).front], w, h);
    return { x: r.x, y: r.y + 28, w: r.w, h: r.h - 28 };
  };

  /** Reads the number from a source of pictures that shows a desktop of width w; one line of pixels, shrunk to one a block. */
  const reader = () => {
    const k = document.createElement('canvas');
    k.width = 16;
    k.height = 1;
    const x = k.getContext('2d', { willReadFrequently: true });
    x.imageSmoothingEnabled = false;
    return (source, w) => {
      const width = source.videoWidth || source.width;
      if (!width) return -1;
      const scale = width / w;
      x.drawImage(source, 0, Math.floor((BLOCK / 2) * scale), 16 * BLOCK * scale, 1, 0, 0, 16, 1);
      const d = x.getImageData(0, 0, 16, 1).data;
      let n = 0;
      for (let i = 0; i < 16; i++) if (d[i * 4 + 1] > 127) n |= 1 << i;
      return n;
    };
  };

  return { draw, text, reader, BLOCK };
})();
