// The direct messages of this browser: kept here, never on the server, and never sent another way by themselves.

import type { DirectMessage } from '../core/protocol.gen.ts';
import type { Client } from './client.ts';
import type { Direct } from './model.ts';

const TEXT_MAX = 16_000;

export class Directs {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Adds a message of ours; possible: there is somebody whom it can reach. */
  add(text: string, possible: boolean): Direct {
    const one = this.#make(crypto.randomUUID(), true, '', text, possible ? 'sending' : 'failed');
    this.#set([...this.#all, one]);
    return one;
  }

  /** Takes the peer's; a repeated one changes nothing. */
  received(message: DirectMessage, name: string): void {
    if (message.text.length > TEXT_MAX || this.#all.some((one) => one.id === message.id)) return;
    this.#set([...this.#all, this.#make(message.id, false, name, message.text, 'delivered')]);
  }

  delivered(id: string): void {
    this.#change((one) => one.mine && one.id === id && one.state !== 'delivered', 'delivered');
  }

  failed(id: string): void {
    this.#change((one) => one.id === id, 'failed');
  }

  /** The session is over: what has no ack is not delivered. */
  ended(): void {
    this.#change((one) => one.state === 'sending', 'failed');
  }

  /** Those that wait for a connection. */
  waiting(): readonly Direct[] {
    return this.#all.filter((one) => one.state === 'sending');
  }

  /** Sends an undelivered one through the server: only at the customer's own click. */
  viaServer(id: string): void {
    const one = this.#all.find((other) => other.id === id);
    this.drop(id);
    if (one) this.#client.post(one.text);
  }

  drop(id: string): void {
    this.#set(this.#all.filter((one) => one.id !== id));
  }

  get #all(): readonly Direct[] {
    return this.#client.model.direct;
  }

  #set(direct: readonly Direct[]): void {
    this.#client.setDirect(direct);
  }

  #change(which: (one: Direct) => boolean, state: Direct['state']): void {
    if (this.#all.some(which)) this.#set(this.#all.map((one) => (which(one) ? { ...one, state } : one)));
  }

  #make(id: string, mine: boolean, name: string, text: string, state: Direct['state']): Direct {
    const { conversation, last } = this.#client.model.log;
    return { id, conversation, mine, name, text, atMs: Date.now(), after: last, state };
  }
}
