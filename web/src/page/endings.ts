// Small pieces of the sharing: the sentences of an ending, and which session this tab remembers over a reload.

import type { ScreenStopped } from '../core/protocol.gen.ts';
import type { Phase } from '../core/session.ts';
import type { Text } from '../core/text.ts';
import type { Notice, Session } from './model.ts';

const KEY = 'lookalong-session'; // sessionStorage: of this tab alone, and kept over a reload

/** Remembers which session this tab is part of, and whether it shows its screen, to say so after a reload; '' forgets. */
export function remember(session: string, shows: boolean): void {
  try {
    if (session === '') sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, `${shows ? 'shows' : 'talks'} ${session}`);
  } catch {
    // Storage is refused: then a session that was cut by a reload ends by the path's silence.
  }
}

/** What this tab was part of before it was loaded again. */
export function recall(): { session: string; shows: boolean } {
  try {
    const [what = '', session = ''] = (sessionStorage.getItem(KEY) ?? '').split(' ');
    return { session, shows: what === 'shows' };
  } catch {
    return { session: '', shows: false };
  }
}

export function fresh(id: string, phase: Phase, agent: string, elsewhere: boolean): Session {
  return { id, phase, agent, silenceMs: 0, path: '', elsewhere, viewer: false };
}

const warn = (text: string): Notice => ({ text, kind: 'warn' });

/** The sentence for a consent that went off by itself or by the customer; null where none is needed. */
export function consentNotice(cause: string, text: Text): Notice | null {
  switch (cause) {
    case 'stopped':
      return { text: text.endStopped, kind: 'info' };
    case 'source_closed':
      return warn(text.endSource);
    case 'timeout':
      return warn(text.endTimeout);
    case 'failed':
      return warn(text.endFailedCapture);
    case 'refused':
      return warn(text.endRefused);
    case 'not_possible':
      return warn(text.endImpossible);
    default:
      return null;
  }
}

/** The sentence for a session that ended with this reason; current is the notice that is shown already. */
export function sessionNotice(reason: string, agent: string, text: Text, current: Notice | null): Notice | null {
  switch (reason) {
    case 'stopped':
    case 'refused':
    case 'not_possible':
      return current;
    case 'left':
      return null;
    case 'agent_ended':
      return warn(text.endAgent(agent));
    case 'declined':
      return current ?? warn(text.endDeclined(agent));
    case 'expired':
      return warn(text.endExpired);
    case 'failed':
      return warn(text.endConnect);
    case 'gone':
      return warn(text.endGone);
    case 'closed':
      return warn(text.endClosed);
    default:
      return warn(text.endLost);
  }
}

/** What the peer is told of a picture that stopped; null when there was none. */
export function stopCause(cause: string): ScreenStopped['cause'] | null {
  switch (cause) {
    case 'stopped':
    case 'source_closed':
    case 'failed':
      return cause;
    case 'timeout':
      return 'ended';
    default:
      return null;
  }
}
