// Everything that the customer's page shows, in one value with one owner (client.ts); the components only read it.

import type { Surface } from '../browser/picker.ts';
import type { Consent } from '../core/consent.ts';
import * as consent from '../core/consent.ts';
import type { Level } from '../core/level.ts';
import type { Phase } from '../core/lifecycle.ts';
import type { Log, Pending } from '../core/log.ts';
import * as log from '../core/log.ts';
import type { ConversationState, PresenceTeam } from '../core/protocol.gen.ts';
import type { Phase as PeerPhase } from '../core/session.ts';
import type { Lang, Text } from '../core/text.ts';

/** A direct message; the server never sees it, this browser keeps it. */
export interface Direct {
  readonly id: string;
  readonly conversation: string;
  readonly mine: boolean;
  readonly name: string;
  readonly text: string;
  readonly atMs: number;
  /** shown after the stored message with this number */
  readonly after: number;
  readonly state: 'sending' | 'delivered' | 'failed';
}

/** The live peer session, as far as this tab is part of it. */
export interface Session {
  readonly id: string;
  readonly phase: PeerPhase;
  readonly agent: string;
  /** how long the path has been silent */
  readonly silenceMs: number;
  readonly path: '' | 'direct' | 'relay';
  /** another tab of this customer holds it */
  readonly elsewhere: boolean;
  /** the agent's viewer has said what it can decode */
  readonly viewer: boolean;
}

export interface Prompt {
  readonly kind: 'view' | 'direct' | 'extend' | 'record';
  readonly agent: string;
  readonly session: string;
  readonly sinceMs: number;
}

/** What is shown, and how it gets through. */
export interface Shown {
  readonly sources: readonly { readonly stream: number; readonly surface: Surface }[];
  readonly sinceMs: number;
  readonly level: Level;
}

export interface Notice {
  readonly text: string;
  /** whether something went wrong, or a person only should know */
  readonly kind: 'info' | 'warn';
}

export interface Model {
  readonly lang: Lang;
  readonly text: Text;
  readonly kept: boolean;
  readonly link: Phase;
  /** how often in a row connecting has failed */
  readonly failures: number;
  readonly site: string;
  readonly maxChars: number;
  readonly team: PresenceTeam | null;
  readonly conversation: ConversationState | null;
  readonly log: Log;
  readonly outbox: readonly Pending[];
  readonly direct: readonly Direct[];
  /** until when the server asked to wait with the outbox, and the error code that says why */
  readonly hold: { readonly untilMs: number; readonly code: string } | null;
  /** the server has had a message for a while without an answer */
  readonly slow: boolean;
  readonly typing: string;
  readonly draft: string;
  readonly directOn: boolean;
  readonly session: Session | null;
  readonly consent: Consent;
  readonly prompt: Prompt | null;
  readonly shown: Shown | null;
  readonly notice: Notice | null;
  readonly visible: boolean;
  readonly loaded: boolean;
}

export function first(lang: Lang, text: Text): Model {
  return {
    lang,
    text,
    kept: true,
    link: { type: 'idle' },
    failures: 0,
    site: '',
    maxChars: 4000,
    team: null,
    conversation: null,
    log: log.empty,
    outbox: [],
    direct: [],
    hold: null,
    slow: false,
    typing: '',
    draft: '',
    directOn: false,
    session: null,
    consent: consent.initial,
    prompt: null,
    shown: null,
    notice: null,
    visible: true,
    loaded: false,
  };
}

/** The agent who has the conversation, by name; '' when nobody has. */
export function agentName(model: Model): string {
  return model.conversation?.state === 'claimed' ? (model.conversation.agent?.name ?? '') : '';
}
