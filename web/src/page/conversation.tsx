// The conversation: stored messages, direct ones and those on their way, with their delivery.

import { Component } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type Delivery, delivery } from '../core/log.ts';
import { langTag } from '../core/text.ts';
import type { Props } from './app.tsx';
import { AlertIcon, CheckIcon, ChecksIcon, ClockIcon, LockIcon } from './icons.tsx';
import type { Direct, Model } from './model.ts';

interface Row {
  readonly key: string;
  readonly from: 'me' | 'agent' | 'system';
  readonly name: string;
  readonly text: string;
  readonly atMs: number;
  readonly mark: Delivery | '';
  readonly direct: boolean;
  readonly failed: string;
}

const NEAR_PX = 60; // so near to the end the view follows new messages

export function Conversation({ client, model }: Props) {
  const { text, log } = model;
  const box = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const [below, setBelow] = useState(false);
  const rows = collect(model);
  const days = rows.map((row) => new Date(row.atMs).toDateString());
  const today = new Date().toDateString();
  const last = rows.at(-1);
  const mineLast = rows.findLast((row) => row.from === 'me' && !row.direct)?.key;

  const toEnd = () => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  };
  useLayoutEffect(() => {
    if (follow.current || last?.from === 'me') toEnd();
    else if (last !== undefined) setBelow(true);
  }, [last?.key]);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      if (follow.current) toEnd();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const onScroll = () => {
    const element = box.current;
    if (element === null) return;
    follow.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
    if (follow.current) setBelow(false);
  };

  return (
    <div class="conversation">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled region must be reachable by keyboard */}
      <div class="log" role="log" aria-label={text.conversation} tabIndex={0} ref={box} onScroll={onScroll}>
        {log.base > 0 && log.messages.length > 0 && (
          <button type="button" class="quiet earlier" onClick={() => void client.earlier()}>
            {text.earlier}
          </button>
        )}
        {rows.length === 0 && model.loaded && (
          <div class="hero">
            <h2>{text.welcome}</h2>
            <p>{text.welcomeText}</p>
          </div>
        )}
        {rows.map((row, i) => (
          <KeptRow
            key={row.key}
            client={client}
            text={text}
            lang={model.lang}
            row={row}
            day={days[i] === days[i - 1] ? '' : days[i] === today ? 'today' : 'before'}
            joined={joins(rows[i - 1], row)}
            labelled={row.key === mineLast}
          />
        ))}
      </div>
      {below && (
        <button
          type="button"
          class="jump"
          onClick={() => {
            toEnd();
            setBelow(false);
          }}
        >
          {text.newMessages} ↓
        </button>
      )}
    </div>
  );
}

interface RowProps {
  readonly client: Props['client'];
  readonly text: Model['text'];
  readonly lang: Model['lang'];
  readonly row: Row;
  /** the line with the date above it */
  readonly day: '' | 'today' | 'before';
  /** it has the same author as the one above */
  readonly joined: boolean;
  readonly labelled: boolean;
}

function joins(before: Row | undefined, row: Row): boolean {
  return before?.from === row.from && before.name === row.name && before.direct === row.direct;
}

/** A row that is drawn again only when something of it has changed: every key that is typed changes the model. */
class KeptRow extends Component<RowProps> {
  override shouldComponentUpdate({ row, ...next }: RowProps): boolean {
    const { row: was, ...now } = this.props;
    return !same(was, row) || !same(now, next);
  }

  override render() {
    return <MessageRow {...this.props} />;
  }
}

function same<T extends object>(a: T, b: T): boolean {
  return (Object.keys(a) as (keyof T)[]).every((key) => a[key] === b[key]);
}

function MessageRow({ client, text, lang, row, day, joined: sameAuthor, labelled }: RowProps) {
  const tag = langTag(lang);
  const at = new Date(row.atMs);
  const joined = day === '' && sameAuthor;
  const who = row.from === 'me' ? text.you : row.from === 'system' ? text.system : row.name || text.agent;
  const id = row.key.slice(row.key.indexOf(':') + 1);
  return (
    <>
      {day !== '' && <p class="day">{day === 'today' ? text.today : dayText(at, tag)}</p>}
      <div class={`row ${row.from}${row.direct ? ' direct' : ''}${joined ? ' joined' : ''}`}>
        <p class={row.from === 'agent' && !joined ? 'name' : 'hidden'}>{who}</p>
        <div class="bubble">
          {row.direct && (
            <p class="lock">
              <LockIcon />
              {text.directMark}
            </p>
          )}
          <p class="words" dir="auto">
            <Linked text={row.text} />
          </p>
        </div>
        <p class="meta">
          <time dateTime={at.toISOString()}>{at.toLocaleTimeString(tag, { hour: '2-digit', minute: '2-digit' })}</time>
          {row.mark !== '' && (
            <Mark text={text} mark={row.mark} direct={row.direct} visible={labelled || row.mark === 'failed'} />
          )}
        </p>
        {row.mark === 'failed' && (
          <p class="retry">
            {row.direct ? text.directOffer : row.failed}
            <button
              type="button"
              class="small"
              onClick={() => (row.direct ? client.sharing.directs.viaServer(id) : client.repost(id))}
            >
              {row.direct ? text.directSendServer : text.sendAgain}
            </button>
            <button
              type="button"
              class="small quiet"
              onClick={() => (row.direct ? client.sharing.directs.drop(id) : client.discard(id))}
            >
              {text.discard}
            </button>
          </p>
        )}
      </div>
    </>
  );
}

interface MarkProps {
  readonly text: Model['text'];
  readonly mark: Delivery;
  readonly direct: boolean;
  readonly visible: boolean;
}

function Mark({ text, mark, direct, visible }: MarkProps) {
  const words = {
    sending: text.sending,
    sent: text.sent,
    delivered: text.delivered,
    read: text.read,
    failed: direct ? text.directFailed : text.notSent,
  }[mark];
  const Icon = { sending: ClockIcon, sent: CheckIcon, delivered: ChecksIcon, read: ChecksIcon, failed: AlertIcon }[
    mark
  ];
  return (
    <span class={`mark ${mark}`} title={words}>
      <Icon />
      <span class={visible ? 'words' : 'hidden'}>{words}</span>
    </span>
  );
}

/** A text whose http and https addresses are links; everything else stays text. */
function Linked({ text }: { text: string }) {
  const parts = text.split(/(https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}。，；：！？）】」])/);
  return (
    <>
      {parts.map((part, i) =>
        i % 2 === 1 && URL.canParse(part) ? (
          <a key={i} href={part} target="_blank" rel="noopener noreferrer">
            {part}
          </a>
        ) : (
          part
        ),
      )}
    </>
  );
}

function dayText(at: Date, tag: string): string {
  return at.toLocaleDateString(tag, { weekday: 'long', day: 'numeric', month: 'long' });
}

/** All rows in their order: direct messages stand where they came, what is unsent comes last. */
function collect(model: Model): Row[] {
  const { log } = model;
  const rows: Row[] = [];
  const direct = [...model.direct];
  const place = (upTo: number) => {
    while (direct[0] !== undefined && direct[0].after <= upTo) rows.push(directRow(direct.shift() as Direct));
  };
  for (const message of log.messages) {
    place(message.seq - 1);
    const mine = message.from === 'customer';
    rows.push({
      key: `s:${message.messageId}`,
      from: mine ? 'me' : message.from === 'system' ? 'system' : 'agent',
      name: message.name ?? '',
      text: message.text,
      atMs: Date.parse(message.at),
      mark: mine ? delivery(log, message.seq) : '',
      direct: false,
      failed: '',
    });
  }
  place(Number.POSITIVE_INFINITY);
  for (const one of model.outbox) {
    rows.push({
      key: `s:${one.id}`,
      from: 'me',
      name: '',
      text: one.text,
      atMs: one.atMs,
      mark: one.failed === undefined ? 'sending' : 'failed',
      direct: false,
      failed: one.failed ?? '',
    });
  }
  return rows;
}

function directRow(one: Direct): Row {
  const mark = one.mine ? one.state : '';
  return {
    key: `d:${one.id}`,
    from: one.mine ? 'me' : 'agent',
    name: one.name,
    text: one.text,
    atMs: one.atMs,
    mark,
    direct: true,
    failed: '',
  };
}
