// The consent machine of the grants `view` and `record`: the only place where a "yes" exists. Pure, without a clock; the
// same cases (protocol/testdata/consent/*.json) drive it and its Go twin. A grant can't come from outside, and what is
// not seen is not recorded: `record` is over with `view`.

export const ARM_MS = 1_000; // Allow does nothing before (security.md 4)
export const ASK_TIMEOUT_MS = 60_000;
export const LEASE_MS = 30 * 60_000;
export const EXTEND_BEFORE_MS = 60_000;
export const ASKS_MAX = 3;
export const ASKS_WINDOW_MS = 10 * 60_000;

export interface Consent {
  readonly state: 'off' | 'asked' | 'picking' | 'on';
  /** when the question was shown: of the ask, or of the extension; 0 = none is shown */
  readonly promptMs: number;
  /** when the lease ends, while on */
  readonly untilMs: number;
  /** whether the agent may record what is seen; not off only while state is on */
  readonly record: 'off' | 'asked' | 'on';
  /** since when: that the question is shown, or that it is on */
  readonly recordMs: number;
  /** when the agent asked, within the window */
  readonly asksMs: readonly number[];
  /** claims of a grant from outside */
  readonly forged: number;
}

export type Event =
  | 'ask' // the agent asks
  | 'allow' // the customer's yes to an ask
  | 'deny'
  | 'click' // the customer's own "Share my screen"
  | 'captured' // the picker gave a source
  | 'refused' // the picker was dismissed, or permission refused
  | 'impossible' // this device or browser can't
  | 'failed' // the capture broke
  | 'closed' // the source was closed, or the browser's own stop
  | 'stop'
  | 'ended' // the session
  | 'extend'
  | 'tick'
  | 'record:ask' // the agent asks to record
  | 'record:allow' // the customer's yes
  | 'record:deny'
  | 'record:stop' // the customer takes the yes back
  | 'record:done' // the agent records no more, or takes the question back
  | 'forged'; // somebody claims a grant

export type Effect =
  | 'prompt'
  | 'prompt:extend'
  | 'prompt:record'
  | 'unprompt'
  | 'capture'
  | 'discard' // a source that came too late: stop its tracks
  | 'start'
  | 'stop'
  | 'count'
  | `tell:${string}`
  | `record:${string}`; // tell of the grant record

export const initial: Consent = {
  state: 'off',
  promptMs: 0,
  untilMs: 0,
  record: 'off',
  recordMs: 0,
  asksMs: [],
  forged: 0,
};

/** Whether a frame may be captured, encoded or sent at this moment. */
export function allows(consent: Consent, nowMs: number): boolean {
  return consent.state === 'on' && nowMs < consent.untilMs; //guard:T22
}

/** Whether a yes to the shown question counts already (security.md T23). */
export function armed(consent: Consent, nowMs: number): boolean {
  return nowMs - consent.promptMs >= ARM_MS; //guard:T23
}

/** Whether the agent may record at this moment. */
export function records(consent: Consent, nowMs: number): boolean {
  return consent.record === 'on' && allows(consent, nowMs); //guard:T22
}

/** Counts a question of the agent's, of any kind; true: there were too many, and it must not be shown. */
export function count(c: Consent, nowMs: number): [Consent, boolean] {
  const recent = c.asksMs.filter((at) => nowMs - at < ASKS_WINDOW_MS);
  if (recent.length >= ASKS_MAX) return [{ ...c, asksMs: recent }, true]; //guard:T23
  return [{ ...c, asksMs: [...recent, nowMs] }, false];
}

export function step(c: Consent, event: Event, nowMs: number): [Consent, Effect[]] {
  if (event === 'forged') return [{ ...c, forged: c.forged + 1 }, ['count']]; //guard:T22
  switch (c.state) {
    case 'off':
      return whileOff(c, event, nowMs);
    case 'asked':
      return whileAsked(c, event, nowMs);
    case 'picking':
      return whilePicking(c, event, nowMs);
    case 'on':
      return whileOn(c, event, nowMs);
  }
}

function off(c: Consent): Consent {
  return { ...c, state: 'off', promptMs: 0, untilMs: 0, record: 'off', recordMs: 0 };
}

function whileOff(c: Consent, event: Event, nowMs: number): [Consent, Effect[]] {
  switch (event) {
    case 'ask': {
      const [counted, muted] = count(c, nowMs);
      if (muted) return [counted, ['tell:off:declined']]; //guard:T23
      return [{ ...counted, state: 'asked', promptMs: nowMs }, ['prompt', 'tell:asked']];
    }
    case 'click':
      return [{ ...c, state: 'picking' }, ['capture', 'tell:picking']];
    case 'captured':
      return [c, ['discard']];
    default:
      return unseen(c, event);
  }
}

/** Without a picture there is nothing to record. */
function unseen(c: Consent, event: Event): [Consent, Effect[]] {
  return [c, event === 'record:ask' ? ['record:off:ended'] : []];
}

function whileAsked(c: Consent, event: Event, nowMs: number): [Consent, Effect[]] {
  const picking: Consent = { ...c, state: 'picking', promptMs: 0 };
  switch (event) {
    case 'allow':
      if (!armed(c, nowMs)) return [c, []];
      return [picking, ['unprompt', 'capture', 'tell:picking']];
    case 'click':
      return [picking, ['unprompt', 'capture', 'tell:picking']];
    case 'deny':
      return [off(c), ['unprompt', 'tell:off:declined']];
    case 'stop':
      return [off(c), ['unprompt', 'tell:off:stopped']];
    case 'impossible':
      return [off(c), ['unprompt', 'tell:off:not_possible']];
    case 'ended':
      return [off(c), ['unprompt']];
    case 'tick':
      if (nowMs - c.promptMs < ASK_TIMEOUT_MS) return [c, []];
      return [off(c), ['unprompt', 'tell:off:timeout']];
    case 'captured':
      return [c, ['discard']];
    default:
      return unseen(c, event);
  }
}

function whilePicking(c: Consent, event: Event, nowMs: number): [Consent, Effect[]] {
  switch (event) {
    case 'captured':
      return [{ ...c, state: 'on', promptMs: 0, untilMs: nowMs + LEASE_MS }, ['start', 'tell:on']];
    case 'refused':
      return [off(c), ['tell:off:refused']];
    case 'impossible':
      return [off(c), ['tell:off:not_possible']];
    case 'failed':
      return [off(c), ['tell:off:failed']];
    case 'stop':
      return [off(c), ['stop', 'tell:off:stopped']];
    case 'ended':
      return [off(c), ['stop']];
    default:
      return unseen(c, event);
  }
}

function whileOn(c: Consent, event: Event, nowMs: number): [Consent, Effect[]] {
  const unprompt: Effect[] = c.promptMs > 0 || c.record === 'asked' ? ['unprompt'] : [];
  const over: Effect[] = c.record === 'off' ? [] : ['record:off:ended'];
  switch (event) {
    case 'stop':
      return [off(c), [...unprompt, 'stop', ...over, 'tell:off:stopped']];
    case 'closed':
      return [off(c), [...unprompt, 'stop', ...over, 'tell:off:source_closed']];
    case 'failed':
      return [off(c), [...unprompt, 'stop', ...over, 'tell:off:failed']];
    case 'ended':
      return [off(c), [...unprompt, 'stop']];
    case 'extend':
      if (c.promptMs === 0 || !armed(c, nowMs)) return [c, []];
      return [{ ...c, promptMs: 0, untilMs: nowMs + LEASE_MS }, ['unprompt']];
    case 'tick':
      if (nowMs >= c.untilMs) return [off(c), [...unprompt, 'stop', ...over, 'tell:off:timeout']];
      if (c.promptMs === 0 && nowMs >= c.untilMs - EXTEND_BEFORE_MS) {
        // one question at a time, and this one is about everything
        const [free, effects] = c.record === 'asked' ? unrecord(c, 'timeout') : [c, []];
        return [{ ...free, promptMs: nowMs }, [...effects, 'prompt:extend']];
      }
      if (c.record === 'asked' && nowMs - c.recordMs >= ASK_TIMEOUT_MS) return unrecord(c, 'timeout');
      return [c, []];
    case 'captured':
      return [c, ['discard']];
    default:
      return recording(c, event, nowMs);
  }
}

function unrecord(c: Consent, cause: string): [Consent, Effect[]] {
  const unprompt: Effect[] = c.record === 'asked' ? ['unprompt'] : [];
  return [{ ...c, record: 'off', recordMs: 0 }, [...unprompt, `record:off:${cause}`]];
}

/** The grant record, while there is a picture. */
function recording(c: Consent, event: Event, nowMs: number): [Consent, Effect[]] {
  switch (event) {
    case 'record:ask': {
      if (c.record !== 'off') return [c, [`record:${c.record}`]]; // its answer was lost
      if (c.promptMs > 0) return [c, ['record:off:dismissed']]; // another question is shown
      const [counted, muted] = count(c, nowMs);
      if (muted) return [counted, ['record:off:declined']]; //guard:T23
      return [{ ...counted, record: 'asked', recordMs: nowMs }, ['prompt:record', 'record:asked']];
    }
    case 'record:allow':
      if (c.record !== 'asked' || nowMs - c.recordMs < ARM_MS) return [c, []]; //guard:T23
      return [{ ...c, record: 'on', recordMs: nowMs }, ['unprompt', 'record:on']];
    case 'record:deny':
      return c.record === 'asked' ? unrecord(c, 'declined') : [c, []];
    case 'record:stop':
      return c.record === 'off' ? [c, []] : unrecord(c, 'stopped');
    case 'record:done':
      return c.record === 'off' ? [c, []] : unrecord(c, 'ended');
    default:
      return [c, []];
  }
}
