// The customer's client: owns the model, the socket and the chat. Sharing (sharing.ts) is its other half.

import { loadKey } from '../browser/keys.ts';
import { Socket } from '../browser/socket.ts';
import { openStore, type Store } from '../browser/store.ts';
import { codePoints } from '../core/decode.ts';
import * as log from '../core/log.ts';
import type { ChatMessage, ConversationState, FromServer, HelloWelcome } from '../core/protocol.gen.ts';
import { type Lang, langTag, pickLang, texts } from '../core/text.ts';
import { type Direct, first, type Model } from './model.ts';
import { Sharing } from './sharing.ts';

const KEEP_MESSAGES = 200;
const SAVE_MS = 250;
const TYPING_EVERY_MS = 3_000;
const TYPING_LAPSES_MS = 6_000;
const SLOW_MS = 2_000; // then the person is told that saving takes long
const RETRY_MS = 2_000; // when the server names no time
const OPEN_RETRY_MS = 10_000;
const RETRYABLE = new Set(['E_RATE', 'E_BUSY', 'E_RETRY', 'E_READONLY', 'E_SLOW', 'E_INTERNAL']);

export class Client {
  model: Model;
  socket: Socket | null = null;
  readonly sharing: Sharing;
  readonly #changed: () => void;
  #store: Store | null = null;
  #customer = '';
  #flushing = false;
  #fetching = false;
  #marked = '';
  #typedMs = 0;
  #typingTimer: ReturnType<typeof setTimeout> | undefined;
  #holdTimer: ReturnType<typeof setTimeout> | undefined;
  #fetchTimer: ReturnType<typeof setTimeout> | undefined;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(changed: () => void) {
    this.#changed = changed;
    const lang = pickLang(navigator.languages);
    this.model = first(lang, texts[lang]);
    this.sharing = new Sharing(this);
  }

  update(patch: Partial<Model>): void {
    this.model = { ...this.model, ...patch };
    this.#changed();
  }

  async start(): Promise<void> {
    const store = await openStore();
    this.#store = store;
    const lang = await store.get('lang');
    const draft = await store.get('draft');
    const direct = await store.get('direct');
    const directOn = await store.get('directOn');
    const kept = await store.get('log');
    const key = await loadKey(store);
    if (lang === 'en' || lang === 'zh') this.#speak(lang);
    this.update({
      kept: store.kept,
      draft: typeof draft === 'string' ? draft : '',
      outbox: await store.outbox(),
      directOn: directOn === true,
      direct: Array.isArray(direct) ? direct.filter(isDirect).map(undelivered) : [],
      log: isLog(kept) ? { ...log.empty, ...kept, held: [] } : log.empty,
      loaded: true,
    });
    this.socket = new Socket(key, langTag(this.model.lang), {
      phase: (phase) => {
        const lost = phase.type === 'waiting' && this.model.link.type !== 'waiting';
        const failures = phase.type === 'online' ? 0 : this.model.failures + (lost ? 1 : 0);
        this.update({ link: phase, failures, ...(phase.type !== 'online' && { typing: '' }) });
      },
      welcome: (message) => this.#welcome(message),
      message: (message) => this.#receive(message),
    });
    document.addEventListener('visibilitychange', () => this.#seen());
    addEventListener('focus', () => this.#seen());
    this.sharing.start();
    this.update({ visible: document.visibilityState === 'visible' });
    this.socket.start();
  }

  speak(lang: Lang): void {
    this.#speak(lang);
    void this.#store?.put('lang', lang);
    this.#present();
  }

  #speak(lang: Lang): void {
    this.socket?.setLocale(langTag(lang));
    this.update({ lang, text: texts[lang] });
  }

  draft(text: string): void {
    if (text === this.model.draft) return;
    this.update({ draft: text });
    void this.#store?.put('draft', text);
    this.#typing(text !== '' && !this.model.directOn);
  }

  /** Sends the draft, through the server or directly. */
  send(): void {
    const text = this.model.draft.trim();
    if (text === '' || codePoints(text) > this.model.maxChars) return;
    this.draft('');
    this.#typing(false);
    if (this.model.directOn) this.sharing.sendDirect(text);
    else this.post(text);
  }

  /** Puts a text into the outbox. */
  post(text: string): void {
    const pending = { id: crypto.randomUUID(), text, atMs: Date.now() };
    this.update({ outbox: [...this.model.outbox, pending] });
    void this.#store?.keep(pending);
    void this.#flush();
  }

  /** Gives a refused message another try, under a new id. */
  repost(id: string): void {
    const pending = this.model.outbox.find((one) => one.id === id);
    this.discard(id);
    if (pending) this.post(pending.text);
  }

  discard(id: string): void {
    this.update({ outbox: this.model.outbox.filter((one) => one.id !== id) });
    void this.#store?.drop(id);
  }

  async earlier(): Promise<void> {
    const { conversation, base } = this.model.log;
    const answer = await this.socket?.request({
      type: 'chat.history',
      conversation,
      before: base + 1,
      limit: log.PAGE_LIMIT,
    });
    if (answer?.type === 'chat.page') this.update({ log: log.prepend(this.model.log, answer.messages) });
  }

  setDirect(direct: readonly Direct[]): void {
    this.update({ direct: direct.slice(-KEEP_MESSAGES) });
    void this.#store?.put('direct', this.model.direct);
  }

  setDirectOn(directOn: boolean): void {
    this.update({ directOn });
    void this.#store?.put('directOn', directOn);
  }

  /** The conversation's id, opening one if there is none; null when that is not possible now. */
  async conversation(again = false): Promise<string | null> {
    const known = this.model.conversation;
    if (known !== null && !again) return known.conversation;
    const answer = await this.socket?.request({ type: 'conversation.open' });
    if (answer?.type === 'error') this.#hold(answer.code, answer.retryAfterMs ?? OPEN_RETRY_MS);
    return answer?.type === 'conversation.state' ? answer.conversation : null;
  }

  #welcome(message: HelloWelcome): void {
    this.#customer = message.customer ?? '';
    this.#marked = '';
    this.update({ site: message.siteName, maxChars: message.limits.textChars, hold: null });
    this.#present();
    this.sharing.welcome();
    void this.#flush();
    void this.#fetch();
  }

  #receive(message: FromServer): void {
    switch (message.type) {
      case 'conversation.state':
        this.#state(message);
        return;
      case 'chat.message':
        this.#arrived([message]);
        return;
      case 'chat.marks':
        if (message.conversation === this.model.log.conversation) {
          this.update({ log: log.mark(this.model.log, message.marks) });
          this.#save();
        }
        return;
      case 'presence.team':
        this.update({ team: message });
        return;
      case 'presence.agent': {
        const conversation = this.model.conversation;
        if (conversation?.conversation === message.conversation) {
          this.update({ conversation: { ...conversation, agent: message.agent } });
        }
        return;
      }
      case 'presence.typing':
        this.#otherTypes(message.conversation, message.typing ? (message.name ?? '') : '');
        return;
      default:
        this.sharing.receive(message);
    }
  }

  #state(state: ConversationState): void {
    const changed = state.conversation !== this.model.log.conversation;
    this.update({
      conversation: state,
      log: log.enter(this.model.log, state.conversation, state.lastSeq, state.marks),
      ...(changed && { direct: this.model.direct.filter((one) => one.conversation === state.conversation) }),
    });
    this.sharing.conversation(state);
    void this.#fetch();
  }

  #arrived(messages: readonly ChatMessage[]): void {
    const outbox = log.settle(this.model.outbox, messages);
    for (const gone of this.model.outbox) if (!outbox.includes(gone)) void this.#store?.drop(gone.id);
    const typing = messages.some((message) => message.from === 'agent') ? '' : this.model.typing;
    this.update({ log: log.receive(this.model.log, messages), outbox, typing });
    this.#mark();
    this.#save();
    void this.#fetch();
  }

  /** Asks for what is missing, page by page. */
  async #fetch(): Promise<void> {
    if (this.#fetching) return;
    this.#fetching = true;
    for (let after = log.missing(this.model.log); after !== null; after = log.missing(this.model.log)) {
      const { conversation } = this.model.log;
      const answer = await this.socket?.request({ type: 'chat.history', conversation, after, limit: log.PAGE_LIMIT });
      if (answer?.type === 'error' && RETRYABLE.has(answer.code)) {
        clearTimeout(this.#fetchTimer);
        this.#fetchTimer = setTimeout(() => void this.#fetch(), answer.retryAfterMs ?? RETRY_MS);
      }
      if (answer?.type !== 'chat.page' || answer.messages.length === 0) break;
      if (answer.conversation !== conversation) break;
      if (conversation !== this.model.log.conversation) continue; // a new one began meanwhile
      this.update({ log: { ...this.model.log, lastSeq: Math.max(this.model.log.lastSeq, answer.lastSeq) } });
      const before = this.model.log.last;
      this.update({
        log: log.receive(this.model.log, answer.messages),
        outbox: log.settle(this.model.outbox, answer.messages),
      });
      if (this.model.log.last === before) break; // a page that does not fit would be asked for for ever
    }
    this.#fetching = false;
    this.#mark();
    this.#save();
  }

  /** Sends the outbox in order, one at a time, until it is empty or the server asks to wait. */
  async #flush(): Promise<void> {
    if (this.#flushing || Date.now() < (this.model.hold?.untilMs ?? 0)) return;
    this.#flushing = true;
    let reopen = false;
    let reopened = '';
    for (let one = this.#next(); one !== undefined; one = this.#next()) {
      const conversation = await this.conversation(reopen);
      if (conversation === null) break; // the next welcome goes on, or the hold's end
      reopen = false;
      const { id, text } = one;
      const slow = setTimeout(() => this.update({ slow: true }), SLOW_MS);
      const answer = await this.socket?.request({ type: 'chat.send', id, conversation, text });
      clearTimeout(slow);
      if (this.model.slow) this.update({ slow: false });
      if (answer === null || answer === undefined) break; // the next welcome goes on
      if (answer.type === 'ack') {
        const at = answer.at ?? new Date().toISOString();
        this.update({ log: log.acked(this.model.log, one, this.#customer, answer.seq ?? 0, at) });
        this.discard(id);
        this.#save();
        void this.#fetch();
      } else if (answer.type === 'error') {
        const { code, text: why, retryAfterMs } = answer;
        if (code === 'E_CONV_CLOSED' || code === 'E_NOT_FOUND' || code === 'E_FORBIDDEN') {
          if (reopened === id) this.#refused(id, why);
          reopen = true;
          reopened = id;
        } else if (RETRYABLE.has(code)) {
          this.#hold(code, retryAfterMs ?? RETRY_MS);
          break;
        } else {
          this.#refused(id, why);
        }
      }
    }
    this.#flushing = false;
  }

  #next(): log.Pending | undefined {
    return this.model.link.type === 'online' ? this.model.outbox.find((one) => one.failed === undefined) : undefined;
  }

  #refused(id: string, failed: string): void {
    this.update({ outbox: this.model.outbox.map((one) => (one.id === id ? { ...one, failed } : one)) });
    const pending = this.model.outbox.find((one) => one.id === id);
    if (pending) void this.#store?.keep(pending);
  }

  #hold(code: string, ms: number): void {
    const wait = Math.max(500, ms);
    this.update({ hold: { untilMs: Date.now() + wait, code } });
    clearTimeout(this.#holdTimer);
    this.#holdTimer = setTimeout(() => {
      this.update({ hold: null });
      void this.#flush();
    }, wait);
  }

  #seen(): void {
    this.update({ visible: document.visibilityState === 'visible' });
    this.#present();
    this.#mark();
  }

  #present(): void {
    const page = {
      title: this.model.text.title.slice(0, 200),
      url: (location.origin + location.pathname).slice(0, 1000),
      active: document.visibilityState === 'visible',
    };
    this.socket?.send({ type: 'presence.page', page });
  }

  #mark(): void {
    const { conversation, last, marks } = this.model.log;
    if (conversation === '' || last === 0 || this.model.conversation === null) return;
    const read = this.model.visible ? last : marks.customerRead;
    const now = `${conversation} ${last} ${read}`;
    if (now === this.#marked) return;
    if (this.socket?.send({ type: 'chat.mark', conversation, received: last, read }) !== true) return;
    this.#marked = now;
    const mine = { ...marks, customerReceived: last, customerRead: read };
    this.update({ log: log.mark(this.model.log, mine) });
  }

  #typing(typing: boolean): void {
    const conversation = this.model.conversation;
    const now = Date.now();
    if (conversation === null || conversation.state === 'closed') return;
    if (typing ? now - this.#typedMs < TYPING_EVERY_MS : this.#typedMs === 0) return;
    this.#typedMs = typing ? now : 0;
    this.socket?.send({ type: 'chat.typing', conversation: conversation.conversation, typing });
  }

  #otherTypes(conversation: string, name: string): void {
    if (conversation !== this.model.log.conversation) return;
    this.update({ typing: name });
    clearTimeout(this.#typingTimer);
    this.#typingTimer = setTimeout(() => this.update({ typing: '' }), TYPING_LAPSES_MS);
  }

  #save(): void {
    if (this.#saveTimer !== undefined) return;
    this.#saveTimer = setTimeout(() => {
      this.#saveTimer = undefined;
      void this.#store?.put('log', log.tail(this.model.log, KEEP_MESSAGES));
    }, SAVE_MS);
  }
}

function isDirect(value: unknown): value is Direct {
  return typeof value === 'object' && value !== null && 'id' in value && 'after' in value && 'text' in value;
}

/** A direct message that was on its way at a reload: its session is over. */
function undelivered(one: Direct): Direct {
  return one.state === 'sending' ? { ...one, state: 'failed' } : one;
}

function isLog(value: unknown): value is log.Log {
  return (
    typeof value === 'object' &&
    value !== null &&
    'conversation' in value &&
    'messages' in value &&
    Array.isArray(value.messages) &&
    'last' in value
  );
}
