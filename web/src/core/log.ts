// The conversation's log as this page has it: a dense run of sequence numbers, what is held back behind a gap,
// the outbox, and the marks. Pure: each function returns a new value; the shell sends what is asked for.

import type { ChatMessage, Marks } from './protocol.gen.ts';

/** How many messages a page without any loads at first; older ones come on request. */
export const FIRST_LOAD = 100;
export const PAGE_LIMIT = 100;
const HELD_MAX = 200; // what is beyond is asked for again with the history

/** A message of ours that has no ack yet. */
export interface Pending {
  readonly id: string;
  readonly text: string;
  readonly atMs: number;
  /** why the server refused it for good; the person decides */
  readonly failed?: string;
}

export interface Log {
  readonly conversation: string;
  /** number before the first message that we have */
  readonly base: number;
  /** highest number without a gap; base when there is none */
  readonly last: number;
  /** base+1 … last */
  readonly messages: readonly ChatMessage[];
  /** messages behind a gap */
  readonly held: readonly ChatMessage[];
  /** the conversation's last number as far as we know */
  readonly lastSeq: number;
  readonly marks: Marks;
}

const noMarks: Marks = { customerReceived: 0, customerRead: 0, agentReceived: 0, agentRead: 0 };
export const empty: Log = { conversation: '', base: 0, last: 0, messages: [], held: [], lastSeq: 0, marks: noMarks };

/** Starts or goes on with a conversation whose last number is lastSeq; what does not fit it is dropped. */
export function enter(log: Log, conversation: string, lastSeq: number, marks: Marks): Log {
  if (log.conversation === conversation && log.last <= lastSeq) {
    return mark({ ...log, lastSeq: Math.max(log.lastSeq, lastSeq) }, marks);
  }
  const base = Math.max(0, lastSeq - FIRST_LOAD);
  return { ...empty, conversation, base, last: base, lastSeq, marks };
}

/** Takes messages from the server, live or as a page, in any order and any number of times. */
export function receive(log: Log, incoming: readonly ChatMessage[]): Log {
  let { last, lastSeq } = log;
  const messages = [...log.messages];
  const held = new Map(log.held.map((message) => [message.seq, message]));
  for (const message of incoming) {
    if (message.conversation !== log.conversation) continue;
    lastSeq = Math.max(lastSeq, message.seq);
    if (message.seq > last && message.seq <= last + HELD_MAX) held.set(message.seq, message);
  }
  for (let next = held.get(last + 1); next !== undefined; next = held.get(last + 1)) {
    messages.push(next);
    held.delete(++last);
  }
  return { ...log, last, lastSeq, messages, held: [...held.values()] };
}

/** Puts a page of older messages in front; it must end right before what we have. */
export function prepend(log: Log, older: readonly ChatMessage[]): Log {
  const fits = older.filter((message) => message.conversation === log.conversation && message.seq <= log.base);
  const first = fits[0];
  if (first === undefined) return { ...log, base: fits.length === 0 && older.length === 0 ? 0 : log.base };
  const dense = fits.every((message, i) => message.seq === first.seq + i) && fits.at(-1)?.seq === log.base;
  if (!dense) return log;
  return { ...log, base: first.seq - 1, messages: [...fits, ...log.messages] };
}

/** The number after which to ask for history, or null when nothing is missing. */
export function missing(log: Log): number | null {
  return log.conversation !== '' && log.last < log.lastSeq ? log.last : null;
}

/** Marks only rise. */
export function mark(log: Log, marks: Marks): Log {
  const now = log.marks;
  return {
    ...log,
    marks: {
      customerReceived: Math.max(now.customerReceived, marks.customerReceived),
      customerRead: Math.max(now.customerRead, marks.customerRead),
      agentReceived: Math.max(now.agentReceived, marks.agentReceived),
      agentRead: Math.max(now.agentRead, marks.agentRead),
    },
  };
}

/** Takes the ack of our own message: it becomes a message with that number. */
export function acked(log: Log, pending: Pending, sender: string, seq: number, at: string): Log {
  return receive(log, [
    {
      type: 'chat.message',
      conversation: log.conversation,
      seq,
      messageId: pending.id,
      from: 'customer',
      sender,
      text: pending.text,
      at,
    },
  ]);
}

export type Delivery = 'sending' | 'failed' | 'sent' | 'delivered' | 'read';

/** The delivery state of a stored message of ours. */
export function delivery(log: Log, seq: number): Delivery {
  if (log.marks.agentRead >= seq) return 'read';
  return log.marks.agentReceived >= seq ? 'delivered' : 'sent';
}

/** The outbox without the messages that the log shows already: another tab's ack, or a lost one. */
export function settle(outbox: readonly Pending[], incoming: readonly ChatMessage[]): readonly Pending[] {
  const ids = new Set(incoming.map((message) => message.messageId));
  return outbox.some((pending) => ids.has(pending.id)) ? outbox.filter((pending) => !ids.has(pending.id)) : outbox;
}

/** How many of the other side's messages are above the number that was read. */
export function unread(log: Log): number {
  let n = 0;
  for (let i = log.messages.length - 1; i >= 0; i--) {
    const message = log.messages[i];
    if (message === undefined || message.seq <= log.marks.customerRead) break;
    if (message.from === 'agent') n++;
  }
  return n;
}

/** What to keep over a reload: the newest messages, still dense. */
export function tail(log: Log, keep: number): Log {
  if (log.messages.length <= keep) return { ...log, held: [] };
  const messages = log.messages.slice(-keep);
  return { ...log, messages, base: (messages[0]?.seq ?? log.last + 1) - 1, held: [] };
}
