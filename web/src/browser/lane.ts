// The customer's end of a lane: a second connection to the same agent, which offers it on `control`, for the
// picture's fragments. The browser checks that the other end has the certificate whose fingerprint came with the
// offer (security.md T19, T20).

import { Sender } from '../core/lanes.ts';
import { type FromPeer, LANE, type LaneOffer } from '../core/protocol.gen.ts';
import { allowsCandidate, laneSdp, MAX_CANDIDATES, partsOf } from '../core/sdp.ts';

export interface LaneEvents {
  send(message: FromPeer): boolean;
  /** whether fragments of the picture may leave now */
  allowed(): boolean;
  /** a report came, or the lane opened or closed: what was held back may go on */
  ready(): void;
}

const LOOK_MS = 60; // while something is on its way; reports are the better clock, but they may be lost
const BUFFERED_MAX = 16 * 1024; // what SCTP itself may hold back: it would distort the delay

export class Lane {
  readonly number: number;
  readonly sender = new Sender();
  readonly #pc: RTCPeerConnection;
  readonly #channel: RTCDataChannel;
  readonly #events: LaneEvents;
  readonly #loopbackOk: boolean;
  #early: string[] | null = []; // candidates before the description
  #remoteCount = 0;
  #localCount = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(offer: LaneOffer, configuration: RTCConfiguration, loopbackOk: boolean, events: LaneEvents) {
    this.number = offer.lane;
    this.#events = events;
    this.#loopbackOk = loopbackOk;
    this.#pc = new RTCPeerConnection(configuration);
    const init = { negotiated: true, id: LANE.id, ordered: false, maxRetransmits: 0 };
    this.#channel = this.#pc.createDataChannel(LANE.label, init);
    this.#channel.binaryType = 'arraybuffer';
    this.#channel.bufferedAmountLowThreshold = BUFFERED_MAX / 4;
    this.#channel.onbufferedamountlow = () => this.pump();
    this.#channel.onopen = () => {
      this.pump();
      events.ready();
    };
    this.#channel.onmessage = (event: MessageEvent<unknown>) => this.#receive(event.data);
    this.#channel.onclose = () => this.close();
    this.#pc.ondatachannel = () => this.close(); //guard:T21
    this.#pc.onconnectionstatechange = () => {
      if (this.#pc.connectionState === 'failed') this.close();
    };
    this.#pc.onicecandidate = (event) => {
      const candidate = event.candidate?.candidate ?? '';
      if (candidate === '' || ++this.#localCount > MAX_CANDIDATES) return;
      events.send({ type: 'lane.candidate', lane: this.number, candidate });
    };
    void this.#answer(offer).catch(() => this.close());
  }

  get open(): boolean {
    return !this.#closed && this.#channel.readyState === 'open';
  }

  candidate(text: string): void {
    if (++this.#remoteCount > MAX_CANDIDATES || !allowsCandidate(text, this.#loopbackOk)) return; //guard:T20
    if (this.#early !== null) this.#early.push(text);
    else void this.#add(text);
  }

  /** Sends what may go out now. */
  pump(): void {
    const nowMs = performance.now();
    if (this.open && this.sender.dead(nowMs)) {
      this.close();
      return;
    }
    while (this.open && this.#channel.bufferedAmount < BUFFERED_MAX) {
      if (!this.#events.allowed()) this.sender.clear(); //guard:T22
      const packet = this.sender.next(nowMs);
      if (packet === null) break;
      try {
        this.#channel.send(packet);
      } catch {
        this.close();
      }
    }
    if (!this.open || !this.sender.waiting) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.pump();
    }, LOOK_MS);
  }

  /** Ends the lane; the other end is told, and offers another one later. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#pc.close();
    this.#events.send({ type: 'lane.closed', lane: this.number });
    this.#events.ready();
  }

  async #answer(offer: LaneOffer): Promise<void> {
    const sdp = laneSdp(offer);
    if (sdp === null) throw new Error('an offer that can’t be used'); //guard:T19
    await this.#pc.setRemoteDescription({ type: 'offer', sdp });
    await this.#pc.setLocalDescription();
    const parts = partsOf(this.#pc.localDescription?.sdp ?? '');
    if (parts === null || this.#closed) throw new Error('no answer');
    this.#events.send({ type: 'lane.answer', lane: this.number, ...parts });
    const early = this.#early ?? [];
    this.#early = null;
    for (const one of early) await this.#add(one);
  }

  async #add(candidate: string): Promise<void> {
    try {
      await this.#pc.addIceCandidate({ candidate, sdpMid: '0' });
    } catch {
      // one that this browser can't use: others remain
    }
  }

  #receive(data: unknown): void {
    if (!(data instanceof ArrayBuffer) || !this.sender.report(new Uint8Array(data), performance.now())) return;
    this.pump();
    this.#events.ready();
  }
}
