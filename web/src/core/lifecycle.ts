// The life of the page's socket as a pure step function: when to connect, ping, wait and stop. The shell in
// browser/socket.ts owns the socket and one timer and only does what the effects say.

import { CLOSE } from './protocol.gen.ts';

export type Phase =
  | { readonly type: 'idle' }
  | { readonly type: 'connecting'; readonly attempt: number }
  | { readonly type: 'hello'; readonly attempt: number }
  | { readonly type: 'online'; readonly heardMs: number; readonly pingedMs: number; readonly spreadMs: number }
  | { readonly type: 'waiting'; readonly attempt: number; readonly untilMs: number }
  | { readonly type: 'stopped'; readonly code: number; readonly reason: string };

export type Input =
  | { readonly type: 'start' }
  | { readonly type: 'challenge' }
  | { readonly type: 'welcome'; readonly spreadMs: number }
  | { readonly type: 'heard' }
  | { readonly type: 'closed'; readonly code: number; readonly reason: string }
  | { readonly type: 'timer' }
  | { readonly type: 'wake' } // the computer is online again, or the tab visible
  | { readonly type: 'again' }; // a person wants it: "Use here", "Try now"

export type Effect =
  | { readonly type: 'open' }
  | { readonly type: 'prove' }
  | { readonly type: 'close' }
  | { readonly type: 'ping' }
  | { readonly type: 'timer'; readonly inMs: number };

export const CONNECT_TIMEOUT_MS = 10_000;
export const SILENCE_MS = 20_000;
export const PONG_MS = 5_000;
export const BACKOFF_FIRST_MS = 500;
export const BACKOFF_MAX_MS = 20_000;

/** Whether a client that was closed with this code comes back by itself. */
export function reconnects(code: number): boolean {
  for (const row of Object.values(CLOSE)) if (row.code === code) return row.reconnect;
  return code < 4500;
}

/** Full jitter: a random moment within a window that doubles from 0.5 s to 20 s. */
export function backoff(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.max(0, attempt - 1));
}

/** One step. `random` is in [0, 1); times are Unix milliseconds. */
export function step(phase: Phase, input: Input, nowMs: number, random: number): [Phase, Effect[]] {
  switch (input.type) {
    case 'start':
      return phase.type === 'idle' ? open(0) : [phase, []];
    case 'again':
      return phase.type === 'stopped' || phase.type === 'waiting' ? open(0) : [phase, []];
    case 'challenge':
      if (phase.type !== 'connecting') return [phase, []];
      return [{ type: 'hello', attempt: phase.attempt }, [{ type: 'prove' }, timer(CONNECT_TIMEOUT_MS)]];
    case 'welcome':
      if (phase.type !== 'hello') return [phase, []];
      return [{ type: 'online', heardMs: nowMs, pingedMs: 0, spreadMs: input.spreadMs }, [timer(SILENCE_MS)]];
    case 'heard':
      return phase.type === 'online' ? [{ ...phase, heardMs: nowMs, pingedMs: 0 }, []] : [phase, []];
    case 'closed':
      return closed(phase, input.code, input.reason, nowMs, random);
    case 'timer':
      return onTimer(phase, nowMs, random);
    case 'wake':
      if (phase.type === 'waiting') return open(phase.attempt);
      if (phase.type === 'online' && phase.pingedMs === 0) {
        return [{ ...phase, pingedMs: nowMs }, [{ type: 'ping' }, timer(PONG_MS)]];
      }
      return [phase, []];
  }
}

function onTimer(phase: Phase, nowMs: number, random: number): [Phase, Effect[]] {
  switch (phase.type) {
    case 'connecting':
    case 'hello': {
      const [next, effects] = wait(phase.attempt + 1, backoff(phase.attempt + 1, random), nowMs);
      return [next, [{ type: 'close' }, ...effects]];
    }
    case 'waiting':
      return nowMs >= phase.untilMs ? open(phase.attempt) : [phase, [timer(phase.untilMs - nowMs)]];
    case 'online': {
      if (phase.pingedMs > 0) {
        const left = phase.pingedMs + PONG_MS - nowMs;
        if (left > 0) return [phase, [timer(left)]];
        const [next, effects] = wait(1, random * phase.spreadMs, nowMs);
        return [next, [{ type: 'close' }, ...effects]];
      }
      const left = phase.heardMs + SILENCE_MS - nowMs;
      if (left > 0) return [phase, [timer(left)]];
      return [{ ...phase, pingedMs: nowMs }, [{ type: 'ping' }, timer(PONG_MS)]];
    }
    case 'idle':
    case 'stopped':
      return [phase, []];
  }
}

function closed(phase: Phase, code: number, reason: string, nowMs: number, random: number): [Phase, Effect[]] {
  if (phase.type === 'idle' || phase.type === 'stopped' || phase.type === 'waiting') return [phase, []];
  if (!reconnects(code)) return [{ type: 'stopped', code, reason }, []];
  if (phase.type === 'online') return wait(1, random * phase.spreadMs, nowMs);
  return wait(phase.attempt + 1, backoff(phase.attempt + 1, random), nowMs);
}

function open(attempt: number): [Phase, Effect[]] {
  return [{ type: 'connecting', attempt }, [{ type: 'open' }, timer(CONNECT_TIMEOUT_MS)]];
}

function wait(attempt: number, delayMs: number, nowMs: number): [Phase, Effect[]] {
  return [{ type: 'waiting', attempt, untilMs: nowMs + delayMs }, [timer(delayMs)]];
}

function timer(inMs: number): Effect {
  return { type: 'timer', inMs };
}
