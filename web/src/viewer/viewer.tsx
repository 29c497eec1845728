// What the agent sees: the customer's picture, and around it everything that says how true it is.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ViewerConfig, ViewerState } from '../core/protocol.gen.ts';
import { clock, type viewerTexts } from '../core/text.ts';
import { useNow } from '../page/now.ts';

export interface View {
  readonly text: (typeof viewerTexts)['en'];
  readonly link: 'none' | 'connecting' | 'open' | 'down' | 'refused';
  readonly state: ViewerState | null;
  readonly config: ViewerConfig | null;
  readonly size: { readonly width: number; readonly height: number } | null;
  readonly paintedMs: number;
  readonly ageMs: number;
  readonly problem: string;
}

interface Props {
  readonly view: View;
  readonly canvas: HTMLCanvasElement;
}

const PAN_PX = 60;
const PEER_STATES = ['connecting', 'connected', 'reconnecting', 'stopped', 'picking'];

export function Viewer({ view, canvas }: Props) {
  const { text, state } = view;
  const [actual, setActual] = useState(false);
  const [help, setHelp] = useState(false);
  const now = useNow(1000, true);
  const frame = useRef<HTMLDivElement>(null);
  const dialog = useRef<HTMLDialogElement>(null);

  useLayoutEffect(() => {
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', text.screen);
    frame.current?.append(canvas);
  }, [canvas, text]);
  useEffect(() => {
    if (help) dialog.current?.showModal();
    else dialog.current?.close();
  }, [help]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === '?') setHelp((shown) => !shown);
      else if (event.key === 'F' && event.shiftKey) toggleFull();
      else if (event.key === 'f') setActual(false);
      else if (event.key === '1') setActual(true);
      else if (actual && event.key.startsWith('Arrow')) pan(frame.current, event.key);
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [actual]);
  useDrag(frame, actual);

  const live = state?.state === 'connected' && view.link === 'open';
  const painted = view.paintedMs > 0;
  useEffect(() => {
    document.title = state?.conversation ? `${text.title} · ${state.conversation}` : text.title;
  }, [text, state?.conversation]);
  return (
    <div class={live ? 'viewer' : 'viewer old'}>
      <header class="bar">
        <p
          class={`connection ${live && painted ? 'good' : view.link === 'refused' ? 'bad' : 'wait'}`}
          role="status"
          aria-label={text.connection}
        >
          <span class="dot" aria-hidden="true" />
          {live && painted ? text.connected : sentence(view, now)}
        </p>
        <Facts view={view} live={live} />
        <div class="buttons">
          <button type="button" class="small" aria-pressed={!actual} onClick={() => setActual(false)}>
            {text.fit}
          </button>
          <button type="button" class="small" aria-pressed={actual} onClick={() => setActual(true)}>
            {text.actual}
          </button>
          <button type="button" class="small" onClick={toggleFull}>
            {text.full}
          </button>
          <button type="button" class="small" aria-label={text.help} title={text.help} onClick={() => setHelp(true)}>
            ?
          </button>
        </div>
      </header>
      <main class={actual ? 'frame actual' : 'frame'} ref={frame} tabIndex={actual ? 0 : -1}>
        {!(live && painted) && (
          <div class="over">
            <p>{view.problem !== '' ? view.problem : sentence(view, now)}</p>
            {reason(view) !== '' && <p class="why">{reason(view)}</p>}
          </div>
        )}
        {live && painted && view.problem !== '' && (
          <div class="over">
            <p>{view.problem}</p>
          </div>
        )}
      </main>
      <dialog ref={dialog} class="keys" aria-labelledby="keys-title" onClose={() => setHelp(false)}>
        <h2 id="keys-title">{text.help}</h2>
        <dl>
          {text.keys.map(([key, what]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <button type="button" class="primary" onClick={() => setHelp(false)}>
          {text.close}
        </button>
      </dialog>
    </div>
  );
}

function Facts({ view, live }: { view: View; live: boolean }) {
  const { text, state, size, config } = view;
  const kinds: { readonly [kind: string]: string } = {
    monitor: text.monitor,
    window: text.window,
    browser: text.browser,
    pattern: text.pattern,
  };
  return (
    <p class="facts">
      {config !== null && <span class="chip">{kinds[config.surface] ?? text.unknown}</span>}
      {state?.path !== undefined && <span class="chip">{state.path === 'direct' ? text.direct : text.relay}</span>}
      {view.link === 'open' && PEER_STATES.includes(state?.state ?? '') && (
        <span class="chip grey" title={text.notCheckedWhy}>
          {text.notChecked}
        </span>
      )}
      {size !== null && (
        <span class="fact">
          {size.width}×{size.height}
        </span>
      )}
      {live && view.paintedMs > 0 && (
        <span class="fact">
          {text.age} {Math.round(view.ageMs)} ms
        </span>
      )}
      {live && state?.rttMs !== undefined && (
        <span class="fact">
          {text.rtt} {Math.round(state.rttMs)} ms
        </span>
      )}
      {live && state?.bitsPerSec !== undefined && <span class="fact">{bits(state.bitsPerSec)}</span>}
      {live && state?.fps !== undefined && <span class="fact">{Math.round(state.fps)} fps</span>}
      {config !== null && <span class="fact">{codecName(config.codec)}</span>}
    </p>
  );
}

function sentence(view: View, now: number): string {
  const { text, state } = view;
  if (view.link === 'none') return text.noCode;
  if (view.link === 'refused') return text.refused;
  if (view.link === 'down') return text.programGone;
  const age = view.paintedMs > 0 ? clock(now - view.paintedMs) : '0:00';
  switch (state?.state) {
    case 'waiting':
      return text.waiting;
    case 'asked':
      return text.asked;
    case 'picking':
      return text.picking;
    case 'connected':
      return text.waitingFrame;
    case 'reconnecting':
      return text.reconnecting(age);
    case 'stopped':
      return text.stopped;
    case 'ended':
      return text.ended;
    default:
      return text.connecting;
  }
}

function reason(view: View): string {
  const { state, text } = view;
  if (state === null || view.link !== 'open' || (state.state !== 'ended' && state.state !== 'stopped')) return '';
  const known = state.reason ?? '';
  return Object.hasOwn(text.reasons, known) ? (text.reasons[known] ?? '') : '';
}

function bits(perSec: number): string {
  return perSec >= 1e6 ? `${(perSec / 1e6).toFixed(1)} Mbit/s` : `${Math.round(perSec / 1000)} kbit/s`;
}

function codecName(codec: string): string {
  if (codec.startsWith('av01.1')) return 'AV1 4:4:4';
  if (codec.startsWith('av01')) return 'AV1';
  if (codec.startsWith('avc1')) return 'H.264';
  if (codec.startsWith('vp09')) return 'VP9';
  return codec.replace('image/', '').toUpperCase();
}

function toggleFull(): void {
  if (document.fullscreenElement !== null) void document.exitFullscreen();
  else void document.documentElement.requestFullscreen().catch(() => undefined);
}

function pan(frame: HTMLElement | null, key: string): void {
  const by = { ArrowLeft: [-PAN_PX, 0], ArrowRight: [PAN_PX, 0], ArrowUp: [0, -PAN_PX], ArrowDown: [0, PAN_PX] }[key];
  frame?.scrollBy(by?.[0] ?? 0, by?.[1] ?? 0);
}

/** Moves the picture with the pointer at actual size. */
function useDrag(frame: { readonly current: HTMLElement | null }, active: boolean): void {
  useEffect(() => {
    const element = frame.current;
    if (element === null || !active) return;
    let from: { x: number; y: number } | null = null;
    const down = (event: PointerEvent) => {
      if (event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY };
      element.setPointerCapture(event.pointerId);
    };
    const move = (event: PointerEvent) => {
      if (from === null) return;
      element.scrollBy(from.x - event.clientX, from.y - event.clientY);
      from = { x: event.clientX, y: event.clientY };
    };
    const up = () => {
      from = null;
    };
    element.addEventListener('pointerdown', down);
    element.addEventListener('pointermove', move);
    element.addEventListener('pointerup', up);
    element.addEventListener('pointercancel', up);
    return () => {
      element.removeEventListener('pointerdown', down);
      element.removeEventListener('pointermove', move);
      element.removeEventListener('pointerup', up);
      element.removeEventListener('pointercancel', up);
    };
  }, [active]);
}
