// The page's one socket to signaling: does what core/lifecycle decides, answers the challenge, matches answers
// with their requests.

import { decode } from '../core/decode.ts';
import { type Effect, type Input, type Phase, step } from '../core/lifecycle.ts';
import {
  CLOSE,
  type FromCustomer,
  type FromServer,
  type HelloChallenge,
  type HelloWelcome,
  SUBPROTOCOL,
} from '../core/protocol.gen.ts';
import { prove } from './keys.ts';

/** A request without its id, which the socket makes unless the caller has one. */
type Distribute<T> = T extends { readonly id: string } ? Omit<T, 'id'> & { id?: string } : never;
export type Request = Distribute<FromCustomer>;

export interface SocketEvents {
  phase(phase: Phase): void;
  welcome(message: HelloWelcome): void;
  message(message: FromServer): void;
}

export class Socket {
  readonly #key: CryptoKeyPair;
  readonly #events: SocketEvents;
  #locale: string;
  #phase: Phase = { type: 'idle' };
  #ws: WebSocket | null = null;
  #challenge: HelloChallenge | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting = new Map<string, (answer: FromServer | null) => void>();
  /** messages from the server that broke the contract, or that this version does not know */
  ignored = 0;

  constructor(key: CryptoKeyPair, locale: string, events: SocketEvents) {
    this.#key = key;
    this.#locale = locale;
    this.#events = events;
  }

  get phase(): Phase {
    return this.#phase;
  }

  setLocale(locale: string): void {
    this.#locale = locale;
  }

  start(): void {
    const wake = () => this.#step({ type: 'wake' });
    addEventListener('online', wake);
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') wake();
    });
    addEventListener('pageshow', (event) => {
      if (event.persisted) wake();
    });
    this.#step({ type: 'start' });
  }

  /** A person wants a connection now. */
  again(): void {
    this.#step({ type: 'again' });
  }

  /** Sends a message if the socket is online; false if it was not sent. */
  send(message: FromCustomer): boolean {
    if (this.#phase.type !== 'online' || this.#ws === null) return false;
    this.#ws.send(JSON.stringify(message));
    return true;
  }

  /** Sends a request and gives its answer: the reply, an `error`, or null when the socket was lost before. */
  request(message: Request): Promise<FromServer | null> {
    const id = message.id ?? crypto.randomUUID();
    return new Promise((resolve) => {
      // The spread of a union loses its members' link between type and fields; Request has checked them.
      if (this.send({ ...message, id } as FromCustomer)) this.#waiting.set(id, resolve);
      else resolve(null);
    });
  }

  #step(input: Input): void {
    const [phase, effects] = step(this.#phase, input, Date.now(), Math.random());
    const changed = phase !== this.#phase && input.type !== 'heard';
    this.#phase = phase;
    for (const effect of effects) this.#do(effect);
    if (phase.type !== 'online') this.#forget();
    if (changed) this.#events.phase(phase);
  }

  #do(effect: Effect): void {
    switch (effect.type) {
      case 'timer':
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#step({ type: 'timer' }), effect.inMs);
        return;
      case 'open':
        this.#open();
        return;
      case 'close':
        this.#drop();
        return;
      case 'ping':
        this.#ws?.send(JSON.stringify({ type: 'ping', id: crypto.randomUUID() } satisfies FromCustomer));
        return;
      case 'prove':
        void this.#prove();
        return;
    }
  }

  #open(): void {
    this.#drop();
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const ws = new WebSocket(`${scheme}://${location.host}/ws/customer`, SUBPROTOCOL);
    this.#ws = ws;
    ws.onmessage = (event) => {
      if (ws === this.#ws && typeof event.data === 'string') this.#receive(event.data);
    };
    ws.onclose = (event) => {
      if (ws !== this.#ws) return;
      this.#ws = null;
      this.#step({ type: 'closed', code: event.code, reason: event.reason });
    };
  }

  #drop(): void {
    const ws = this.#ws;
    this.#ws = null;
    ws?.close();
  }

  #forget(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const resolve of waiting) resolve(null);
  }

  async #prove(): Promise<void> {
    const ws = this.#ws;
    if (ws === null || this.#challenge === null) return;
    const proof = await prove(this.#key, this.#challenge, location.host, this.#locale);
    if (ws !== this.#ws) return;
    if (proof === null) {
      this.#drop();
      this.#step({ type: 'closed', code: CLOSE.version.code, reason: 'E_VERSION' });
      return;
    }
    ws.send(JSON.stringify(proof));
  }

  #receive(data: string): void {
    this.#step({ type: 'heard' });
    const result = decode(data, 'server');
    if (result.kind !== 'message') {
      this.ignored++;
      return;
    }
    const message = result.message;
    switch (message.type) {
      case 'hello.challenge':
        this.#challenge = message;
        this.#step({ type: 'challenge' });
        return;
      case 'hello.welcome':
        this.#step({ type: 'welcome', spreadMs: message.reconnectSpreadMs });
        this.#events.welcome(message);
        return;
      case 'pong':
        return;
    }
    if (this.#phase.type !== 'online') return; // an error before the welcome; the close code says the rest
    this.#events.message(message);
    const id = 'id' in message ? message.id : undefined;
    const resolve = id === undefined ? undefined : this.#waiting.get(id);
    if (id !== undefined && resolve !== undefined) {
      this.#waiting.delete(id);
      resolve(message);
    }
  }
}
