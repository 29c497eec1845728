// What the agent sees: the customer's picture, and around it everything that says how true it is.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { clock } from '../core/text.ts';
import type { ViewerText } from '../core/text.viewer.ts';
import { useNow } from '../page/now.ts';
import { Details, Facts } from './facts.tsx';
import { type Action, useKeys } from './keys.ts';
import { inFront, isLive, kind, type Model, reason, type StreamView, sentence, trouble } from './model.ts';
import { type Frozen, Stage, useStage } from './stage.tsx';
import { FIT, pan, scaleOf, step, type View, zoom } from './view.ts';

interface Props {
  readonly model: Model;
  readonly canvases: readonly HTMLCanvasElement[];
  /** lets a stream sharpen by itself; −1: none */
  sharpen(stream: number): void;
  /** asks for a still on purpose */
  still(stream: number): void;
}

const PAN_PX = 60;

export function Viewer({ model, canvases, sharpen, still }: Props) {
  const { text, state } = model;
  const [picked, pick] = useState(0);
  const [views, setViews] = useState<{ readonly [stream: number]: View }>({});
  const [frozen, setFrozen] = useState<Frozen | null>(null);
  const [divider, setDivider] = useState<number | null>(null);
  const [auto, setAuto] = useState(true);
  const [details, setDetails] = useState(false);
  const [help, setHelp] = useState(false);
  const now = useNow(1000, true);
  const [element, stage] = useStage();

  const front = inFront(model, picked);
  const stream = front?.stream ?? 0;
  const canvas = front === null || front.shown === null ? null : (canvases[stream] ?? null);
  const picture = front?.shown ?? null;
  const view = views[stream] ?? FIT;
  const onView = useCallback((next: View) => setViews((all) => ({ ...all, [stream]: next })), [stream]);
  const live = isLive(model);
  const over = frozen !== null && frozen.stream === stream ? frozen : null;
  const scale = picture === null || stage === null ? null : scaleOf(view, picture, stage);

  useEffect(() => sharpen(auto && front !== null ? stream : -1), [auto, front === null, stream]);
  useEffect(() => {
    document.title = state?.conversation ? `${text.title} · ${state.conversation}` : text.title;
  }, [text, state?.conversation]);
  // What was frozen goes with its stream: nothing of it is shown any more.
  const frozenGone = frozen !== null && !model.streams.some((one) => one.stream === frozen.stream);
  useLayoutEffect(() => {
    if (frozenGone) unfreeze();
  }, [frozenGone]);

  function freeze(): void {
    if (canvas === null || picture === null) return;
    setFrozen({ canvas: copy(canvas, picture.width, picture.height), stream, atMs: Date.now() });
  }
  function unfreeze(): void {
    setFrozen(null);
    setDivider(null);
  }
  function compare(): void {
    if (divider !== null) setDivider(null);
    else {
      if (over === null) freeze();
      setDivider(50);
    }
  }
  function zoomTo(to: number | null): void {
    if (picture === null || stage === null) return;
    onView(to === null ? FIT : zoom(view, picture, stage, to, { x: stage.width / 2, y: stage.height / 2 }));
  }
  function act(action: Action): void {
    switch (action.type) {
      case 'pick': {
        const one = model.streams[action.index];
        if (one !== undefined) pick(one.stream);
        return;
      }
      case 'fit':
        zoomTo(null);
        return;
      case 'actual':
        zoomTo(view.scale === 1 ? null : 1);
        return;
      case 'step':
        if (picture !== null && stage !== null) zoomTo(step(view, picture, stage, action.by));
        return;
      case 'pan':
        if (picture !== null && stage !== null) {
          const by = PAN_PX * devicePixelRatio;
          onView(pan(view, picture, stage, action.x * by, action.y * by));
        }
        return;
      case 'freeze':
        if (over === null) freeze();
        else unfreeze();
        return;
      case 'compare':
        if (canvas !== null) compare();
        return;
      case 'sharpen':
        if (canvas !== null) still(stream);
        return;
      case 'details':
        setDetails((shown) => !shown);
        return;
      case 'full':
        toggleFull();
        return;
      case 'help':
        setHelp((shown) => !shown);
        return;
      case 'close':
        setDetails(false);
        unfreeze();
    }
  }
  useKeys(act);

  const age = clock(now - model.seenMs);
  const problem = front === null ? '' : trouble(front, text);
  const none = live && model.levels.some((one) => (one.stream ?? 0) === stream && one.level === 'none');
  const card = problem !== '' ? problem : live && canvas !== null ? (none ? text.levelNone : '') : sentence(model, age);
  const bad = model.link === 'refused' || problem !== '';
  const others = model.streams.filter((one) => one.stream !== stream && one.shown !== null);
  return (
    <div class={live ? 'viewer' : 'viewer old'}>
      <header class="bar">
        <p
          class={`connection ${live && canvas !== null ? 'good' : bad ? 'bad' : 'wait'}`}
          role="status"
          aria-label={text.connection}
        >
          <span class="dot" aria-hidden="true" />
          {live && canvas !== null ? text.connected : sentence(model, age)}
        </p>
        <Facts model={model} front={front} />
        <Buttons
          text={text}
          view={view}
          scale={scale}
          frozen={over !== null}
          details={details}
          act={act}
          comparing={divider !== null}
          wanted={model.wanted}
          picture={canvas !== null}
        />
      </header>
      <main class={view.scale === null ? 'frame' : 'frame free'} ref={element}>
        <Stage
          text={text}
          canvas={canvas}
          picture={picture}
          frozen={over}
          divider={divider}
          view={view}
          stage={stage}
          element={element}
          onView={onView}
        />
        {over !== null && divider === null && <p class="note">{text.frozen(clock(now - over.atMs))}</p>}
        {over !== null && divider !== null && (
          <div class="divide">
            <span>{text.frozenSide}</span>
            <input
              type="range"
              min="0"
              max="100"
              step="1"
              value={divider}
              aria-label={text.divider}
              onInput={(event) => setDivider(Number(event.currentTarget.value))}
            />
            <span>{text.liveSide}</span>
          </div>
        )}
        {others.length > 0 && <Others model={model} others={others} canvases={canvases} onPick={pick} />}
        {card !== '' && (
          <div class={canvas === null ? 'over' : 'over small'}>
            <p>{card}</p>
            {reason(model) !== '' && <p class="why">{reason(model)}</p>}
          </div>
        )}
        {details && <Details model={model} front={front} zoom={scale} auto={auto} onAuto={setAuto} />}
      </main>
      <Help text={text} shown={help} onClose={() => setHelp(false)} />
    </div>
  );
}

interface ButtonsProps {
  readonly text: ViewerText;
  readonly view: View;
  readonly scale: number | null;
  readonly frozen: boolean;
  readonly comparing: boolean;
  readonly details: boolean;
  readonly wanted: boolean;
  readonly picture: boolean;
  act(action: Action): void;
}

function Buttons({ text, view, scale, frozen, comparing, details, wanted, picture, act }: ButtonsProps) {
  return (
    <div class="buttons">
      <button type="button" class="small" aria-pressed={view.scale === null} onClick={() => act({ type: 'fit' })}>
        {text.fit}
      </button>
      <button
        type="button"
        class="small"
        aria-pressed={view.scale === 1}
        onClick={() => act({ type: view.scale === 1 ? 'fit' : 'actual' })}
      >
        {text.actual}
      </button>
      <span class="zoom">
        <button type="button" class="small" aria-label={text.smaller} onClick={() => act({ type: 'step', by: -1 })}>
          −
        </button>
        <span>{scale === null ? '' : `${Math.round(scale * 100)} %`}</span>
        <button type="button" class="small" aria-label={text.larger} onClick={() => act({ type: 'step', by: 1 })}>
          +
        </button>
      </span>
      <button
        type="button"
        class="small"
        disabled={!picture}
        aria-pressed={frozen}
        onClick={() => act({ type: 'freeze' })}
      >
        {text.freeze}
      </button>
      <button
        type="button"
        class="small"
        disabled={!picture}
        aria-pressed={comparing}
        onClick={() => act({ type: 'compare' })}
      >
        {text.compare}
      </button>
      <button type="button" class="small" disabled={!picture || wanted} onClick={() => act({ type: 'sharpen' })}>
        {text.sharpen}
      </button>
      <button type="button" class="small" aria-pressed={details} onClick={() => act({ type: 'details' })}>
        {text.details}
      </button>
      <button type="button" class="small" onClick={() => act({ type: 'full' })}>
        {text.full}
      </button>
      <button
        type="button"
        class="small"
        aria-label={text.help}
        title={text.help}
        onClick={() => act({ type: 'help' })}
      >
        ?
      </button>
    </div>
  );
}

interface OthersProps {
  readonly model: Model;
  readonly others: readonly StreamView[];
  readonly canvases: readonly HTMLCanvasElement[];
  onPick(stream: number): void;
}

/** The other streams, small and live. */
function Others({ model, others, canvases, onPick }: OthersProps) {
  const { text } = model;
  return (
    <nav class="others" aria-label={text.pictures}>
      {others.map((one) => {
        const number = model.streams.indexOf(one) + 1;
        return (
          <button key={one.stream} type="button" onClick={() => onPick(one.stream)}>
            <Small canvas={canvases[one.stream]} />
            <span>{text.picture(number, kind(one.config.surface, text))}</span>
          </button>
        );
      })}
    </nav>
  );
}

function Small({ canvas }: { canvas: HTMLCanvasElement | undefined }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (canvas === undefined) return;
    canvas.removeAttribute('style');
    canvas.removeAttribute('role');
    canvas.removeAttribute('aria-label');
    box.current?.replaceChildren(canvas);
  }, [canvas]);
  return <div ref={box} aria-hidden="true" />;
}

function Help({ text, shown, onClose }: { text: ViewerText; shown: boolean; onClose(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (shown) dialog.current?.showModal();
    else dialog.current?.close();
  }, [shown]);
  return (
    <dialog ref={dialog} class="keys" aria-labelledby="keys-title" onClose={onClose}>
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
      <button type="button" class="primary" onClick={onClose}>
        {text.close}
      </button>
    </dialog>
  );
}

/** What a canvas shows now, as a canvas of its own. */
function copy(canvas: HTMLCanvasElement, width: number, height: number): HTMLCanvasElement {
  const out = document.createElement('canvas');
  out.width = width;
  out.height = height;
  out.getContext('2d', { alpha: false })?.drawImage(canvas, 0, 0);
  return out;
}

function toggleFull(): void {
  if (document.fullscreenElement !== null) void document.exitFullscreen();
  else void document.documentElement.requestFullscreen().catch(() => undefined);
}
