// The two channels of direct messages: `direct`, ordered and reliable, and `copies`, which brings sooner what `direct`
// has lost (core/copies.ts). Messages come out once, in their order and within the limits (security.md T21).

import { Bucket } from '../core/bucket.ts';
import { Copies } from '../core/copies.ts';
import {
  COPIES_VERSION,
  COPIES_WITH_SIGNS,
  type DirectAck,
  type DirectHello,
  type DirectMessage,
  type PeerPing,
} from '../core/protocol.gen.ts';

export type Direct = DirectHello | DirectMessage | DirectAck;

const BUFFERED_MAX = 16 * 1024; // on a path that takes nothing no more copies are added

export class DirectChannels {
  /** whether the other end takes signs of life on `copies` */
  signs = false;
  readonly #copies = new Copies();
  readonly #second: RTCDataChannel;
  // Bursts: what was written while the path was silent, and four copies each of 20 messages and receipts a second.
  readonly #directBucket = new Bucket(20, 600);
  readonly #copyBucket = new Bucket(200, 800);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(direct: RTCDataChannel, copies: RTCDataChannel) {
    this.#second = copies;
    direct.onopen = () => direct.send(JSON.stringify({ type: 'direct.hello', copies: COPIES_VERSION }));
  }

  /** Whether one more message may come on a channel. */
  allows(copied: boolean, nowMs: number): boolean {
    return (copied ? this.#copyBucket : this.#directBucket).take(nowMs); //guard:T21
  }

  /** The message as it goes out on `direct`. */
  numbered(message: Direct): Direct {
    return message.type === 'direct.message' ? { ...message, n: this.#copies.next } : message;
  }

  /** It went out as this text. */
  sent(message: Direct, text: string): void {
    if (message.type === 'direct.ack') this.#copies.gave(message.id);
    if (message.type !== 'direct.message') return;
    this.#copies.sent(message.id, text, new TextEncoder().encode(text).length, performance.now());
    this.#repeat();
  }

  /** Takes a message: 'pass' it on, or it is 'done' with, or 'bad', or 'many' came. */
  receive(message: Direct, copied: boolean, nowMs: number): 'pass' | 'done' | 'bad' | 'many' {
    switch (message.type) {
      case 'direct.hello':
        if (copied) return 'bad';
        this.#copies.able = true;
        this.signs = message.copies >= COPIES_WITH_SIGNS;
        return 'done';
      case 'direct.ack':
        this.#copies.confirmed(message.id);
        return 'pass';
      case 'direct.message':
        switch (this.#copies.take(message.n, copied)) {
          case 'taken': // counts as one on `direct`, where it will be free
            return copied && !this.#directBucket.take(nowMs) ? 'many' : 'pass'; //guard:T21
          case 'again':
            if (!copied) this.#directBucket.give();
            else if (this.#copies.owes(message.id)) this.#copy(JSON.stringify({ type: 'direct.ack', id: message.id }));
            return 'done';
          case 'early':
            return 'done';
          case 'twice':
            return 'bad';
        }
    }
  }

  /** Sends a sign of life on `copies`, where nothing that was lost holds it up. */
  sign(message: PeerPing): void {
    this.#copy(JSON.stringify(message));
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Sends the copies that are due, and sets the clock for the next. */
  #repeat(): void {
    clearTimeout(this.#timer);
    for (const text of this.#copies.due(performance.now())) this.#copy(text);
    const waitMs = this.#copies.waitMs(performance.now());
    if (waitMs !== null) this.#timer = setTimeout(() => this.#repeat(), waitMs);
  }

  #copy(text: string): void {
    if (this.#second.readyState === 'open' && this.#second.bufferedAmount <= BUFFERED_MAX) this.#second.send(text);
  }
}
