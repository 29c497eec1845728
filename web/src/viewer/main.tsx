// Starts the agent's viewer: takes the single-use code out of the address, connects to the program that opened the
// page, and draws what comes.

import { render } from 'preact';
import { ageMs } from '../core/frame.ts';
import type { ViewerConfig, ViewerState } from '../core/protocol.gen.ts';
import { pickLang, viewerTexts } from '../core/text.ts';
import { Decoder, decodable } from './decoder.ts';
import { Link } from './link.ts';
import { type View, Viewer } from './viewer.tsx';

const root = document.getElementById('app');
const code = location.hash.replace(/^#(code=)?/, '');
history.replaceState(null, '', location.pathname); //guard:T31
const lang = pickLang(navigator.languages);
document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';

let view: View = {
  text: viewerTexts[lang],
  link: code === '' ? 'none' : 'connecting',
  state: null,
  config: null,
  size: null,
  paintedMs: 0,
  ageMs: 0,
  problem: '',
};
const canvas = document.createElement('canvas');
canvas.width = 0;
canvas.height = 0;
const context = canvas.getContext('2d', { alpha: false });

let unseen = false;
let queued = false;
function update(patch: Partial<View>): void {
  view = { ...view, ...patch };
  if (queued || root === null) return;
  queued = true;
  queueMicrotask(() => {
    queued = false;
    render(<Viewer view={view} canvas={canvas} />, root);
  });
}

const decoder = new Decoder({
  picture: (picture, width, height, of) => {
    if (context === null) return;
    if (over(view.state)) {
      unseen = true; // it may belong to the next share, whose state is on its way
      return;
    }
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      update({ size: { width, height } });
    }
    context.drawImage(picture, 0, 0);
    const now = Date.now();
    link.send({ type: 'viewer.painted', frame: of.frame, atMs: now });
    const age = Math.max(0, ageMs(of.captureMs, now, view.state?.clockOffsetMs ?? 0));
    update({ paintedMs: now, ageMs: view.ageMs === 0 ? age : view.ageMs + 0.2 * (age - view.ageMs), problem: '' });
  },
  needKey: () => link.send({ type: 'viewer.keyframe' }),
  refused: (why) => update({ problem: why === 'size' ? view.text.tooLarge : view.text.noDecoder }),
});

const link = new Link(code, {
  open: () => {
    decoder.reset();
    update({ link: 'open' });
    void decodable().then((codecs) => link.send({ type: 'viewer.codecs', decodable: codecs }));
  },
  message: (message) => {
    if (message.type === 'viewer.config') configure(message);
    else if (message.type === 'viewer.state') {
      update({ state: message });
      if (over(message)) blank();
      else if (unseen) {
        unseen = false;
        link.send({ type: 'viewer.keyframe' });
      }
    }
  },
  frame: (frame) => decoder.frame(frame),
  down: (refused) => update({ link: refused ? 'refused' : 'down' }),
});

/** Nothing is shown any more: neither is the last picture. */
function over(state: ViewerState | null): boolean {
  return state?.state === 'stopped' || state?.state === 'ended';
}

function blank(): void {
  canvas.width = 0;
  canvas.height = 0;
  update({ size: null, paintedMs: 0, ageMs: 0, config: null });
}

function configure(config: ViewerConfig): void {
  update({ config, problem: '' });
  decoder.configure(config);
}

update({});
if (code !== '') link.start();
