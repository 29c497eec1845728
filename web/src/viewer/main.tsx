// Starts the agent's viewer: takes the single-use code out of the address, connects to the program that opened the
// page, and shows what comes.

import { render } from 'preact';
import { pickLang, viewerTexts } from '../core/text.ts';
import type { FromEngine } from './messages.ts';
import { heard, type Model } from './model.ts';
import { makeCanvases, type Running, startEngine } from './start.ts';
import { Viewer } from './viewer.tsx';

const TOKEN = 'token'; // of this tab alone: a reload comes back with it

const root = document.getElementById('app');
const code = location.hash.replace(/^#(code=)?/, '');
history.replaceState(null, '', location.pathname); //guard:T31
const token = sessionStorage.getItem(TOKEN) ?? '';
const lang = pickLang(navigator.languages);
document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';

let model: Model = {
  text: viewerTexts[lang],
  link: code === '' && token === '' ? 'none' : 'connecting',
  state: null,
  streams: [],
  levels: [],
  seenMs: 0,
  wanted: false,
  refused: '',
  worker: true,
};
const canvases = makeCanvases();
let engine: Running | null = null;
let queued = false;

function update(next: Model): void {
  if (next === model && engine !== null) return;
  model = next;
  if (queued || root === null) return;
  queued = true;
  queueMicrotask(() => {
    queued = false;
    render(
      <Viewer
        model={model}
        canvases={canvases}
        sharpen={(stream) => engine?.send({ type: 'sharpen', stream })}
        still={(stream) => {
          update({ ...model, wanted: true, refused: '' });
          engine?.send({ type: 'still', stream });
        }}
      />,
      root,
    );
  });
}

function hear(message: FromEngine): void {
  if (message.type === 'link' && message.link === 'open') sessionStorage.setItem(TOKEN, message.token);
  if (message.type === 'link' && message.link === 'refused') sessionStorage.removeItem(TOKEN);
  update(heard(model, message, Date.now()));
}

update(model);
if (model.link !== 'none') {
  void startEngine(canvases, code, token, hear).then((running) => {
    engine = running;
    update({ ...model, worker: running.worker });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') running.send({ type: 'wake' });
    });
  });
}
