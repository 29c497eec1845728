// What the viewer shows, as a value, and what each word of the engine makes of it. Pure.

import type { ViewerConfig, ViewerLevel, ViewerState } from '../core/protocol.gen.ts';
import type { ViewerText } from '../core/text.viewer.ts';
import { codecWords } from './codec.ts';
import type { FromEngine, Numbers, Problem, Shown } from './messages.ts';

export interface StreamView {
  readonly stream: number;
  readonly config: ViewerConfig;
  /** what is on its canvas; null: nothing yet */
  readonly shown: Shown | null;
  readonly numbers: Numbers | null;
  readonly problem: Problem;
}

export interface Model {
  readonly text: ViewerText;
  readonly link: 'none' | 'connecting' | 'open' | 'down' | 'refused';
  readonly state: ViewerState | null;
  /** by their numbers, rising */
  readonly streams: readonly StreamView[];
  readonly levels: readonly ViewerLevel[];
  /** when the picture was known to be the customer's of that moment, Unix milliseconds; 0: never */
  readonly seenMs: number;
  /** a still on purpose is on its way */
  readonly wanted: boolean;
  /** why the last one did not come */
  readonly refused: string;
  readonly worker: boolean;
}

/** The model after a word of the engine. */
export function heard(model: Model, message: FromEngine, now: number): Model {
  switch (message.type) {
    case 'ready':
      return model;
    case 'link':
      return { ...model, link: message.link, wanted: false };
    case 'state': {
      const seen = message.state.state === 'connected' && model.streams.some((one) => one.shown !== null);
      return { ...model, state: message.state, seenMs: seen ? now : model.seenMs };
    }
    case 'config': {
      const { config } = message;
      const stream = config.stream ?? 0;
      const old = model.streams.find((one) => one.stream === stream);
      const next =
        old === undefined ? { stream, config, shown: null, numbers: null, problem: '' as const } : { ...old, config };
      const others = model.streams.filter((one) => one.stream !== stream);
      return { ...model, streams: [...others, next].sort((a, b) => a.stream - b.stream) };
    }
    case 'removed': {
      const streams = model.streams.filter((one) => one.stream !== message.stream);
      const levels = model.levels.filter((one) => (one.stream ?? 0) !== message.stream);
      return { ...model, streams, levels, seenMs: streams.length === 0 ? 0 : model.seenMs, refused: '', wanted: false };
    }
    case 'level': {
      const others = model.levels.filter((one) => (one.stream ?? 0) !== (message.level.stream ?? 0));
      return { ...model, levels: [...others, message.level] };
    }
    case 'shown': {
      const { shown } = message;
      const next = patch(model, shown.stream, { shown });
      return { ...next, seenMs: now, ...(shown.still !== '' && { wanted: false, refused: '' }) };
    }
    case 'numbers':
      return patch(model, message.numbers.stream, { numbers: message.numbers });
    case 'problem':
      return patch(model, message.stream, { problem: message.problem });
    case 'refused':
      return model.wanted ? { ...model, wanted: false, refused: message.why } : model;
  }
}

function patch(model: Model, stream: number, change: Partial<StreamView>): Model {
  return { ...model, streams: model.streams.map((one) => (one.stream === stream ? { ...one, ...change } : one)) };
}

/** The stream in front: the one that was picked, or the first. */
export function inFront(model: Model, picked: number): StreamView | null {
  return model.streams.find((one) => one.stream === picked) ?? model.streams[0] ?? null;
}

/** Whether what is shown is the customer's screen of now. */
export function isLive(model: Model): boolean {
  return model.link === 'open' && model.state?.state === 'connected';
}

/** The source in words. */
export function kind(surface: string, text: ViewerText): string {
  const kinds: { readonly [kind: string]: string } = {
    monitor: text.monitor,
    window: text.window,
    browser: text.browser,
    camera: text.camera,
    pattern: text.pattern,
  };
  return Object.hasOwn(kinds, surface) ? (kinds[surface] ?? text.unknown) : text.unknown;
}

/** What is wrong with a stream's picture, in a sentence; '' while nothing is. */
export function trouble(one: StreamView, text: ViewerText): string {
  const codec = codecWords(one.config.codec, text);
  switch (one.problem) {
    case 'size':
      return text.tooLarge;
    case 'codec':
      return text.noDecoder(codec);
    case 'broken':
      return text.damaged(codec);
    default:
      return '';
  }
}

/** How the connection is, in a sentence. age: of the last picture, as "0:12". */
export function sentence(model: Model, age: string): string {
  const { text, state } = model;
  if (model.link === 'none') return text.noCode;
  if (model.link === 'refused') return text.refused;
  if (model.link === 'down') return text.programGone;
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

/** Why there is no picture any more, or ''. */
export function reason(model: Model): string {
  const { state, text } = model;
  if (state === null || model.link !== 'open' || (state.state !== 'ended' && state.state !== 'stopped')) return '';
  const known = state.reason ?? '';
  return Object.hasOwn(text.reasons, known) ? (text.reasons[known] ?? '') : '';
}
