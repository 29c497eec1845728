// The state machine of one peer session as this end sees it, and the rules of silence on its path: when to say
// "reconnecting", when to ask for an ICE restart, when to give up (design 0).

export type Phase = 'requested' | 'connecting' | 'connected' | 'reconnecting' | 'ended';
export type Event = 'accept' | 'open' | 'silent' | 'heard' | 'end';

/** An event that is missing in a row is not allowed in that phase. */
export const next: { readonly [P in Phase]: { readonly [E in Event]?: Phase } } = {
  requested: { accept: 'connecting', end: 'ended' },
  connecting: { open: 'connected', end: 'ended' },
  connected: { silent: 'reconnecting', end: 'ended' },
  reconnecting: { heard: 'connected', end: 'ended' },
  ended: {}, // for ever: a new session is a new object
};

/** One step; null when the event is not allowed in this phase. */
export function step(phase: Phase, event: Event): Phase | null {
  return next[phase][event] ?? null;
}

export const CONNECT_MS = 30_000; // for the first connection
export const SILENT_MS = 3_000;
export const GONE_MS = 10_000; // silence while the server says that the other program is gone
export const LOST_MS = 120_000;
/** Moments of silence at which this end asks for an ICE restart: between the agent's own (3, 6, 12, 24, 36 s and so on). */
export const ASK_RESTART_MS: readonly number[] = [4_500, 9_000, 18_000, 36_000, 72_000];

/** What silence on the path means. peerGone: the server is reachable and says that the other end's program is gone. */
export function judge(silenceMs: number, peerGone: boolean): 'fine' | 'silent' | 'gone' | 'lost' {
  if (silenceMs >= LOST_MS) return 'lost';
  if (silenceMs >= GONE_MS && peerGone) return 'gone';
  return silenceMs >= SILENT_MS ? 'silent' : 'fine';
}

/** How many restarts should have been asked for after this much silence. */
export function restartsDue(silenceMs: number): number {
  return ASK_RESTART_MS.filter((at) => silenceMs >= at).length;
}
