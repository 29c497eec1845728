// Everything about sending the picture: what may go out now, how much of it, and what came of it. One flow carries
// all streams of a session.

import { type Frame, split } from '../core/frame.ts';
import type { ScreenFeedback } from '../core/protocol.gen.ts';
import * as rate from '../core/rate.ts';
import type { Peer } from './peer.ts';

export interface FlowEvents {
  /** whether the customer's consent is in force now */
  allowed(): boolean;
  /** something that held frames back is gone: ask `skips` again */
  ready(): void;
}

export class Flow {
  readonly #peer: Peer;
  readonly #events: FlowEvents;
  #rate: rate.Rate = rate.initial;

  constructor(peer: Peer, events: FlowEvents) {
    this.#peer = peer;
    this.#events = events;
    peer.screen.bufferedAmountLowThreshold = rate.BUFFERED_MAX / 4;
    peer.screen.onbufferedamountlow = () => events.ready();
  }

  /** Whether the path takes anything at all; while it is silent nothing should be encoded. */
  get flowing(): boolean {
    return this.#peer.flowing;
  }

  /** Bits a second that all streams together may have now. */
  get bitrate(): number {
    return this.#rate.bitrate;
  }

  /** Whether a stream's picture must be skipped before its encoder, whose queue is so long. */
  skips(stream: number, encoderQueue: number, nowMs: number): boolean {
    return rate.skips(this.#rate, stream, this.#peer.screen.bufferedAmount, encoderQueue, nowMs);
  }

  /**
   * Sends an encoded frame. False when it can't be: the stream must go on with a key frame. Frames are whole and in
   * order at the other end, or it asks for a key frame.
   */
  send(frame: Frame): boolean {
    if (!this.#events.allowed() || this.#peer.screen.readyState !== 'open') return false; //guard:T22
    this.#rate = rate.sent(this.#rate, frame.stream, frame.frame, frame.data.length, Date.now());
    try {
      for (const chunk of split(frame)) this.#peer.screen.send(chunk);
    } catch {
      return false; // the channel is full or closing
    }
    return true;
  }

  /** Takes the agent's word on a frame: it has arrived, or is on the viewer's canvas. */
  feedback({ stream = 0, frame, receivedMs, decodedMs }: ScreenFeedback): void {
    this.#rate = rate.acked(this.#rate, stream, frame, receivedMs, Date.now());
    if (decodedMs !== undefined) this.#rate = rate.painted(this.#rate, stream, frame);
    this.#events.ready();
  }

  /** The path is back after a silence: nothing that was on its way is waited for. */
  forget(): void {
    this.#rate = rate.forget(this.#rate);
  }

  /** Nothing is sent afterwards. */
  close(): void {
    this.#peer.screen.onbufferedamountlow = null;
  }
}
