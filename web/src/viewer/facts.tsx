// The numbers of the picture: a line in the bar, and a panel with all of them.

import { bits, codecWords } from './codec.ts';
import { isLive, kind, type Model, type StreamView } from './model.ts';

const NOTHING = '–';
const PEER_STATES = ['connecting', 'connected', 'reconnecting', 'stopped', 'picking'];

export function Facts({ model, front }: { model: Model; front: StreamView | null }) {
  const { text, state } = model;
  const level = front === null ? undefined : model.levels.find((one) => (one.stream ?? 0) === front.stream);
  const live = isLive(model) && front?.shown != null;
  const numbers = live ? front.numbers : null;
  return (
    <p class="facts">
      {front !== null && <span class="chip">{kind(front.config.surface, text)}</span>}
      {state?.path !== undefined && <span class="chip">{state.path === 'direct' ? text.direct : text.relay}</span>}
      {model.link === 'open' && PEER_STATES.includes(state?.state ?? '') && (
        <span class="chip grey" title={text.notCheckedWhy}>
          {text.notChecked}
        </span>
      )}
      {level?.level === 'stills' && (
        <span class="chip warn" title={text.levelStillsWhy[level.why ?? 'path']}>
          {text.levelStills}
        </span>
      )}
      {front?.shown?.still === 'png' && (
        <span class="chip good" title={text.sharpWhy}>
          {text.sharp}
        </span>
      )}
      {front?.shown?.still === 'jpeg' && (
        <span class="chip good" title={text.sharpNearlyWhy}>
          {text.sharpNearly}
        </span>
      )}
      {model.refused !== '' && <span class="fact refused">{text.stillRefused[model.refused] ?? ''}</span>}
      {numbers != null && numbers.ageMs !== null && (
        <span class="fact">
          {text.age} {Math.round(numbers.ageMs)} ms
        </span>
      )}
      {numbers != null && <span class="fact">{Math.round(numbers.fps)} fps</span>}
      {live && state?.bitsPerSec !== undefined && <span class="fact wide">{bits(state.bitsPerSec)}</span>}
      {front !== null && <span class="fact wide">{codecWords(front.config.codec, text)}</span>}
    </p>
  );
}

interface PanelProps {
  readonly model: Model;
  readonly front: StreamView | null;
  readonly zoom: number | null;
  readonly auto: boolean;
  onAuto(auto: boolean): void;
}

export function Details({ model, front, zoom, auto, onAuto }: PanelProps) {
  const { text, state } = model;
  const live = isLive(model);
  const numbers = live ? (front?.numbers ?? null) : null;
  const ms = (value: number | null | undefined) => (value == null ? NOTHING : `${round(value)} ms`);
  const rows: [string, string][] = [
    [text.source, front === null ? NOTHING : kind(front.config.surface, text)],
    [text.size, front?.shown == null ? NOTHING : text.sizeOf(front.shown.width, front.shown.height)],
    [text.zoom, zoom === null ? NOTHING : `${Math.round(zoom * 100)} %`],
    [text.codec, front === null ? NOTHING : codecWords(front.config.codec, text)],
    [text.ageLong, ms(numbers?.ageMs)],
    [text.decoding, `${ms(numbers?.decodeMs)}, ${model.worker ? text.inWorker : text.inPage}`],
    [text.rate, numbers === null ? NOTHING : round(numbers.fps)],
    [text.bitrate, numbers === null ? NOTHING : bits(numbers.bitsPerSec)],
    [text.path, state?.path === undefined ? NOTHING : state.path === 'direct' ? text.direct : text.relay],
    [text.rtt, ms(live ? state?.rttMs : null)],
    [text.loss, live ? `${round((state?.loss ?? 0) * 100)} %` : NOTHING],
    [text.lanes, !live ? NOTHING : state?.lanes === 1 ? text.yes : text.no],
  ];
  return (
    <aside class="details" aria-label={text.details}>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <label>
        <input type="checkbox" checked={auto} onChange={(event) => onAuto(event.currentTarget.checked)} />
        {text.sharpenAuto}
      </label>
    </aside>
  );
}

function round(value: number): string {
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}
