// Small pieces of the sharing: a session as it begins, and the sentences of an ending.

import type { ScreenStopped, SessionEnd } from '../core/protocol.gen.ts';
import type { Phase } from '../core/session.ts';
import type { Text } from '../core/text.ts';
import type { Notice, Session } from './model.ts';

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

/** The reason that the server is told when the peer's path ended with this one; it may have missed it. */
export function endReason(reason: string): SessionEnd['reason'] {
  switch (reason) {
    case 'stopped':
    case 'refused':
    case 'left':
    case 'failed':
    case 'agent_ended':
    case 'not_possible':
      return reason;
    default:
      return 'lost';
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
