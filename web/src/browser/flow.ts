// Everything about sending the picture: what may go out now, how much of it, and what came of it. One flow carries
// all streams of a session, over a lane where there is one, otherwise over `screen`.

import { type Frame, split } from '../core/frame.ts';
import { FRAME_KIND, MAX_FRAME_BYTES, MAX_STREAMS, type ScreenFeedback } from '../core/protocol.gen.ts';
import * as rate from '../core/rate.ts';
import type { Lane } from './lane.ts';
import type { Peer } from './peer.ts';

export interface FlowEvents {
  /** whether the customer's consent is in force now */
  allowed(): boolean;
  /** something that held frames back is gone: ask `skips` again */
  ready(): void;
  /** frames of this stream went with their lane: its chain must begin anew */
  lost(stream: number): void;
}

const UNDER_WAY_MS = 1_000; // a frame that was sent longer ago and not acknowledged may be lost for good
const STILL_TRIES = 3; // frames that were in the encoder may still come out

let numbered = 0; // the first frame number that was never used

export class Flow {
  readonly #peer: Peer;
  readonly #events: FlowEvents;
  #rate: rate.Rate = rate.initial;
  #sent = 0; // frames on the channel; a still that another one has cut begins anew or is given up
  #holding = false; // a still that somebody asked for is on its way
  #stills: Promise<unknown> = Promise.resolve(); // one at a time
  #drained: (() => void) | null = null;
  #lane: Lane | null = null; // that the chain is on
  readonly #broken = new Set<number>(); // streams that must go on with a key frame

  constructor(peer: Peer, events: FlowEvents) {
    this.#peer = peer;
    this.#events = events;
    peer.screen.bufferedAmountLowThreshold = rate.BUFFERED_MAX / 4;
    peer.screen.onbufferedamountlow = () => {
      this.#drained?.();
      events.ready();
    };
    peer.laneEvents = {
      allowed: () => events.allowed(),
      ready: () => {
        this.#open();
        events.ready();
      },
    };
  }

  /** Whether the path takes anything at all; while it is silent nothing should be encoded. */
  get flowing(): boolean {
    return this.#peer.flowing;
  }

  /** Whether the path is still being made: what is encoded now can be sent when it is there. */
  get opening(): boolean {
    return this.#peer.phase === 'connecting';
  }

  /** Bits a second that all streams together may have now. */
  get bitrate(): number {
    return this.#rate.bitrate;
  }

  /** Whether the path carries 30 frames a second. */
  get fast(): boolean {
    return rate.fast(this.#rate);
  }

  /** Whether something else than the encoder's bit rate sets the pace. */
  get paced(): boolean {
    return this.#open() !== null;
  }

  /** Frames that are not acknowledged. */
  get unacked(): number {
    return this.#rate.unacked.length;
  }

  /** When the oldest of them was sent; null: there is none. */
  get oldestMs(): number | null {
    return this.#rate.unacked[0]?.atMs ?? null;
  }

  /** Whether a frame left a moment ago and may still arrive. */
  underWay(stream: number, frame: number): boolean {
    const sent = this.#rate.unacked.find((one) => one.stream === stream && one.frame === frame);
    return sent !== undefined && Date.now() - sent.atMs < UNDER_WAY_MS;
  }

  /** The number that a new stream's first frame has: a lane's other end takes lower ones for late. */
  get firstFrame(): number {
    return numbered;
  }

  /** Whether a stream's picture must be skipped before its encoder, whose queue is so long. */
  skips(stream: number, encoderQueue: number, nowMs: number): boolean {
    if (this.#holding) return true;
    const lane = this.#open();
    if (lane === null) {
      const waiting = this.#peer.screen.bufferedAmount;
      return this.#peer.quiet || rate.skips(this.#rate, stream, waiting, encoderQueue, nowMs);
    }
    lane.pump(); // a path that has lost the last reports is asked again
    const { pace, backlog, backlogMs, held } = lane.sender;
    if (encoderQueue > 0 || backlog > rate.BUFFERED_MAX || backlogMs > rate.BACKLOG_MS || held > MAX_FRAME_BYTES)
      return true;
    const most = (4 * pace.rttMs + 300) / rate.INTERVAL_MS; // repair takes a few round trips; what follows need not wait
    return lane.sender.unfinished(stream) > most || rate.unseen(this.#rate, stream, nowMs);
  }

  /**
   * Sends an encoded frame. False when it can't be: the stream must go on with a key frame. Frames are whole and in
   * order at the other end, or it asks for a key frame.
   */
  send(frame: Frame): boolean {
    if (!this.#events.allowed() || this.#peer.screen.readyState !== 'open') return false; //guard:T22
    const lane = this.#open();
    const starts = frame.kind === FRAME_KIND.key;
    if (!starts && this.#broken.has(frame.stream)) return false;
    this.#broken.delete(frame.stream);
    numbered = Math.max(numbered, frame.frame + 1);
    if (lane !== null) {
      lane.sender.push(frame);
      lane.pump();
    } else {
      this.#sent++;
      try {
        for (const chunk of split(frame)) this.#peer.screen.send(chunk);
      } catch {
        return false; // the channel is full or closing
      }
    }
    this.#rate = rate.sent(this.#rate, frame.stream, frame.frame, frame.data.length, Date.now());
    return true;
  }

  /**
   * Sends a still when those before it are through, a little at a time. One that nobody asked for gives way to what
   * moves: `go` is asked again and again, and any frame that is sent meanwhile cuts it. For the others frames wait.
   */
  still(frame: Frame, auto: boolean, go: () => boolean): Promise<'sent' | 'motion' | 'off'> {
    const turn = this.#stills.then(async () => {
      this.#holding = !auto;
      for (let tries = auto ? 1 : STILL_TRIES; tries > 0; tries--) {
        const end = await this.#sendStill(frame, go);
        if (end !== 'cut') {
          this.#holding = false;
          this.#events.ready();
          return end;
        }
      }
      this.#holding = false;
      return 'motion';
    });
    this.#stills = turn;
    return turn;
  }

  async #sendStill(frame: Frame, go: () => boolean): Promise<'sent' | 'motion' | 'off' | 'cut'> {
    const { screen } = this.#peer;
    const mine = ++this.#sent;
    for (const chunk of split(frame)) {
      while (screen.bufferedAmount > screen.bufferedAmountLowThreshold) {
        await new Promise<void>((drained) => {
          this.#drained = drained;
        });
        if (this.#sent !== mine) return 'cut';
      }
      if (!this.#events.allowed() || screen.readyState !== 'open') return 'off'; //guard:T22
      if (!go()) return 'motion';
      try {
        screen.send(chunk);
      } catch {
        return 'off';
      }
    }
    return 'sent';
  }

  /**
   * Takes the agent's word on a frame: it has arrived, or is on the viewer's canvas. Returns how long that took; null: it
   * was known, or the frame is none of these.
   */
  feedback({ stream = 0, frame, receivedMs, decodedMs }: ScreenFeedback): number | null {
    const sent = this.#rate.unacked.find((one) => one.stream === stream && one.frame === frame);
    const sender = this.#open()?.sender;
    const path = sender && { queueMs: sender.pace.queueMs + sender.backlogMs, capacity: sender.pace.bandwidth };
    this.#rate = rate.acked(this.#rate, stream, frame, receivedMs, Date.now(), path);
    if (decodedMs !== undefined) this.#rate = rate.painted(this.#rate, stream, frame);
    this.#events.ready();
    return sent === undefined ? null : Date.now() - sent.atMs;
  }

  /** Nothing of a stream is waited for. */
  drop(stream: number): void {
    this.#rate = rate.without(this.#rate, stream);
  }

  /** Nothing that was on its way is waited for. */
  forget(): void {
    this.#rate = rate.forget(this.#rate);
  }

  /** Nothing is sent afterwards, nor sent again. */
  close(): void {
    this.#sent++;
    this.#drained?.();
    this.#peer.screen.onbufferedamountlow = null;
    this.#peer.laneEvents = null;
    this.#peer.lane?.sender.clear();
  }

  /** The lane that frames go on; a lane that ended took frames with it. */
  #open(): Lane | null {
    const lane = this.#peer.lane;
    const open = lane?.open === true ? lane : null;
    if (this.#lane !== null && this.#lane !== open) {
      const lost = new Set(this.#rate.unacked.map((one) => one.stream));
      queueMicrotask(() => {
        for (const stream of lost) this.#events.lost(stream);
      });
      this.#rate = rate.forget(this.#rate); // nothing of it is acknowledged any more
      for (let stream = 0; stream < MAX_STREAMS; stream++) this.#broken.add(stream);
    }
    if (open !== null && this.#lane !== open) this.#rate = rate.moved(this.#rate);
    this.#lane = open;
    return open;
  }
}
