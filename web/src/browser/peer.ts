// The customer's end of a peer session: answers the agent's offers, holds the negotiated channels, keeps
// the path alive and says how it is. It checks what it accepts (security.md T19–T21).

import { Bucket } from '../core/bucket.ts';
import { decode } from '../core/decode.ts';
import {
  CHANNELS,
  type FromCustomer,
  type FromPeer,
  LANES_VERSION,
  MAX_CHANNEL_BYTES,
  MAX_COPY_BYTES,
  type SessionCandidate,
  type SessionOffer,
  type SessionState,
} from '../core/protocol.gen.ts';
import { allowsCandidate, checkSdp, filterSdp, MAX_CANDIDATES } from '../core/sdp.ts';
import { CONNECT_MS, judge, type Phase, restartsDue, step } from '../core/session.ts';
import { type Direct, DirectChannels } from './direct.ts';
import { Lane } from './lane.ts';

export interface PeerEvents {
  /** to the server; false when the socket is down */
  signal(message: FromCustomer): boolean;
  /** each change of phase, and each second of silence */
  phase(phase: Phase, silenceMs: number): void;
  /** a message on `control` or `direct`, keep-alive excepted */
  message(message: FromPeer): void;
  /** whether the server is reachable and says that the other end's program is gone */
  peerGone(): boolean;
  /** It is over: lost, failed, gone (the other program ended), or the reason of a bye. Called once. */
  ended(reason: string): void;
}

const PING_MS = 1_000;
const BAD_MAX = 50; // messages that break the contract, in one session
const SHOWN = 4; // packets behind a lost one: three that arrive make SCTP repeat it at once
const QUIET_MS = 2_000;
const TICK_MS = 250; // how late silence may be seen; a hidden tab's timers come once a second

export class Peer {
  readonly session: string;
  readonly control: RTCDataChannel;
  readonly direct: RTCDataChannel;
  readonly screen: RTCDataChannel;
  /** the lane for the picture's fragments, once the agent has offered one */
  lane: Lane | null = null;
  /** what the lane asks before a fragment leaves, and whom it wakes: the flow's while there is one */
  laneEvents: { allowed(): boolean; ready(): void } | null = null;
  readonly #pc: RTCPeerConnection;
  readonly #events: PeerEvents;
  readonly #loopbackOk: boolean;
  readonly #startedMs = Date.now();
  readonly #ticker: ReturnType<typeof setInterval>;
  #state: SessionState;
  #phase: Phase = 'connecting';
  #work: Promise<void> = Promise.resolve();
  #fingerprint = '';
  #remote: SessionCandidate[] = []; // that came before their description
  #remoteCount = 0;
  #localCount = 0;
  #heardMs = 0;
  #silenceMs = 0;
  #asked = 0;
  #n = 0;
  #pingedMs = 0;
  #closed = false;
  #bad = 0;
  readonly #directs: DirectChannels;
  readonly #controlBucket = new Bucket(500, 2_000);

  constructor(state: SessionState, events: PeerEvents) {
    this.session = state.session;
    this.#events = events;
    this.#loopbackOk = state.loopbackOk === true;
    this.#state = state;
    this.#pc = new RTCPeerConnection(configuration(state));
    this.control = this.#channel('control');
    this.direct = this.#channel('direct');
    this.screen = this.#channel('screen');
    this.#directs = new DirectChannels(this.direct, this.#channel('copies'));
    this.control.onopen = () => this.#opened();
    this.control.onclose = () => this.#end('gone');
    this.#pc.ondatachannel = () => this.#end('failed'); //guard:T21
    this.#pc.oniceconnectionstatechange = () => {
      if (this.#phase === 'reconnecting' && this.#pc.iceConnectionState === 'connected') this.#ping();
    };
    this.#pc.onicecandidate = (event) => this.#sendCandidate(event.candidate);
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    addEventListener('online', this.#networkChanged);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Whether frames may be put on the way now. */
  get flowing(): boolean {
    return this.#phase === 'connected' && this.screen.readyState === 'open';
  }

  /** Whether a sign of life is overdue: what is put on a reliable channel now may stand before all else later. */
  get quiet(): boolean {
    return this.#phase === 'connected' && Date.now() - this.#heardMs > QUIET_MS;
  }

  /** Takes new ICE servers after a rejoin. */
  renew(state: SessionState): void {
    if (this.#closed || state.iceServers === undefined) return;
    this.#state = state;
    this.#pc.setConfiguration(configuration(state));
  }

  /** Sends on a channel; false when it is not open. */
  send(message: FromPeer): boolean {
    const direct = isDirect(message) ? message : null;
    const channel = direct ? this.direct : this.control;
    if (channel.readyState !== 'open') return false;
    const text = JSON.stringify(direct ? this.#directs.numbered(direct) : message);
    if (text.length * 3 > MAX_CHANNEL_BYTES && new TextEncoder().encode(text).length > MAX_CHANNEL_BYTES) return false; //guard:T21
    channel.send(text);
    if (direct) this.#directs.sent(direct, text);
    return true;
  }

  offer(message: SessionOffer): void {
    this.#enqueue(async () => {
      const checked = checkSdp(message.sdp, this.#fingerprint); //guard:T19
      if ('refused' in checked) {
        this.#end('failed');
        return;
      }
      this.#fingerprint = checked.fingerprint;
      this.#remoteCount = 0;
      this.#localCount = 0;
      await this.#pc.setRemoteDescription({ type: 'offer', sdp: filterSdp(message.sdp, this.#loopbackOk) });
      await this.#pc.setLocalDescription();
      const sdp = this.#pc.localDescription?.sdp;
      if (sdp !== undefined) this.#events.signal({ type: 'session.answer', session: this.session, sdp });
      const early = this.#remote;
      this.#remote = [];
      for (const one of early) await this.#add(one);
    });
  }

  candidate(message: SessionCandidate): void {
    this.#enqueue(async () => {
      if (this.#pc.remoteDescription !== null) await this.#add(message);
      else if (this.#remote.length < MAX_CANDIDATES) this.#remote.push(message);
    });
  }

  /** Ends this end: says goodbye on `control`, then closes. */
  close(reason: string): void {
    if (this.#closed) return;
    this.send({ type: 'peer.bye', reason });
    this.#shut();
  }

  #channel(label: keyof typeof CHANNELS): RTCDataChannel {
    const channel = this.#pc.createDataChannel(label, {
      negotiated: true,
      id: CHANNELS[label],
      ...(label === 'copies' ? { ordered: false, maxRetransmits: 0 } : { ordered: true }),
    });
    channel.binaryType = 'arraybuffer';
    channel.onmessage = (event: MessageEvent<unknown>) => this.#receive(label, event.data);
    return channel;
  }

  #receive(label: string, data: unknown): void {
    if (this.#closed) return;
    const nowMs = Date.now();
    const copied = label === 'copies';
    const direct = copied || label === 'direct';
    if (!(direct ? this.#directs.allows(copied, nowMs) : this.#controlBucket.take(nowMs))) {
      this.#end('failed'); //guard:T21
      return;
    }
    this.#heard();
    // Nothing binary comes to the customer, and nothing at all on `screen`.
    const fits =
      typeof data === 'string' && label !== 'screen' && data.length <= (copied ? MAX_COPY_BYTES : MAX_CHANNEL_BYTES);
    const result = fits ? decode(data, 'peer') : null;
    if (result?.kind === 'unknown') return; // of a newer version
    const message = result?.kind === 'message' ? result.message : null;
    const sign = copied && message?.type === 'peer.pong'; // to a ping that came so
    if (message === null || (isDirect(message) !== direct && !sign)) {
      this.#broken();
      return;
    }
    if (isDirect(message)) {
      const next = this.#directs.receive(message, copied, nowMs);
      if (next === 'pass') this.#events.message(message);
      else if (next === 'bad') this.#broken();
      else if (next === 'many') this.#end('failed'); //guard:T21
      return;
    }
    switch (message.type) {
      case 'peer.ping':
        this.send({ type: 'peer.pong', n: message.n, sentMs: message.sentMs, atMs: Date.now() });
        return;
      case 'peer.pong':
        return;
      case 'peer.bye':
        this.#end(message.reason);
        return;
      case 'lane.offer':
        this.lane?.close();
        this.lane = new Lane(message, configuration(this.#state), this.#loopbackOk, {
          send: (out) => this.send(out),
          allowed: () => this.laneEvents?.allowed() ?? false,
          ready: () => this.laneEvents?.ready(),
        });
        return;
      case 'lane.candidate':
        if (this.lane?.number === message.lane) this.lane.candidate(message.candidate);
        return;
      case 'lane.closed':
        if (this.lane?.number === message.lane) this.lane.close();
        return;
      default:
        this.#events.message(message);
    }
  }

  /** A message broke the contract. */
  #broken(): void {
    if (++this.#bad > BAD_MAX) this.#end('failed'); //guard:T21
  }

  #opened(): void {
    this.#heard();
    this.#move('open');
    this.send({ type: 'lane.hello', version: LANES_VERSION });
  }

  #heard(): void {
    this.#heardMs = Date.now();
    this.#silenceMs = 0;
    this.#asked = 0;
    if (this.#phase !== 'reconnecting') return;
    this.#move('heard');
    if (this.#directs.signs) for (let i = 0; i < SHOWN; i++) this.#ping(true);
  }

  /**
   * On a silent path by copies, and a few when it is back: they are not held up by what was lost on `control`, which
   * SCTP repeats when its timer runs out, after 3 s by then, or when three later packets have arrived.
   */
  #ping(copied = this.#phase === 'reconnecting' && this.#directs.signs): void {
    this.#pingedMs = Date.now();
    const message = { type: 'peer.ping', n: this.#n++, sentMs: this.#pingedMs } as const;
    if (copied) this.#directs.sign(message);
    else this.send(message);
  }

  #tick(): void {
    const now = Date.now();
    if (this.#phase === 'connecting') {
      if (now - this.#startedMs > CONNECT_MS) this.#end('failed');
      return;
    }
    const everyMs = this.#phase === 'reconnecting' ? PING_MS / 2 : PING_MS;
    const due = now - this.#pingedMs >= everyMs - TICK_MS / 2;
    if (due) this.#ping();
    this.#silenceMs = now - this.#heardMs;
    const verdict = judge(this.#silenceMs, this.#events.peerGone());
    if (verdict === 'lost' || verdict === 'gone') {
      this.#end(verdict);
      return;
    }
    if (verdict === 'fine') return;
    if (this.#phase === 'connected') {
      this.#move('silent');
      this.lane?.close(); // the agent's end has closed its own: what goes on it now is lost
    } else if (due) this.#events.phase(this.#phase, this.#silenceMs);
    const restarts = restartsDue(this.#silenceMs);
    if (restarts > this.#asked) {
      this.#asked = restarts;
      this.#askRestart();
    }
  }

  #networkChanged = (): void => {
    if (this.#phase !== 'connecting') this.#askRestart();
  };

  #askRestart(): void {
    this.#events.signal({ type: 'session.restart', session: this.session });
  }

  #move(event: 'open' | 'silent' | 'heard'): void {
    const phase = step(this.#phase, event);
    if (phase === null || this.#closed) return;
    this.#phase = phase;
    this.#events.phase(phase, this.#silenceMs);
  }

  async #add(message: SessionCandidate): Promise<void> {
    if (++this.#remoteCount > MAX_CANDIDATES + 1) return; //guard:T19
    const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = message;
    if (candidate !== '' && !allowsCandidate(candidate, this.#loopbackOk)) return; //guard:T20
    try {
      await this.#pc.addIceCandidate({
        candidate,
        ...(sdpMid !== undefined && { sdpMid }),
        sdpMLineIndex: sdpMLineIndex ?? 0,
        ...(usernameFragment !== undefined && usernameFragment !== '' && { usernameFragment }),
      });
    } catch {
      // A candidate of an older generation, or one that this browser can't use: others remain.
    }
  }

  #sendCandidate(candidate: RTCIceCandidate | null): void {
    const text = candidate?.candidate ?? '';
    if (text !== '' && ++this.#localCount > MAX_CANDIDATES) return;
    this.#events.signal({
      type: 'session.candidate',
      session: this.session,
      candidate: text,
      ...(candidate?.sdpMid != null && { sdpMid: candidate.sdpMid }),
      ...(candidate?.sdpMLineIndex != null && { sdpMLineIndex: candidate.sdpMLineIndex }),
      ...(candidate?.usernameFragment != null && { usernameFragment: candidate.usernameFragment }),
    });
  }

  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#closed) return;
      try {
        await work();
      } catch {
        if (this.#phase === 'connecting') this.#end('failed');
      }
    });
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#shut();
    this.#events.ended(reason);
  }

  #shut(): void {
    this.#closed = true;
    this.#phase = 'ended';
    this.lane?.close();
    this.#directs.close();
    clearInterval(this.#ticker);
    removeEventListener('online', this.#networkChanged);
    this.#pc.close();
  }
}

function isDirect(message: FromPeer): message is Direct {
  return message.type.startsWith('direct.');
}

function configuration(state: SessionState): RTCConfiguration {
  return {
    iceServers: (state.iceServers ?? []).map((server) => ({
      urls: [...server.urls],
      ...(server.username !== undefined && { username: server.username }),
      ...(server.credential !== undefined && { credential: server.credential }),
    })),
    iceTransportPolicy: state.relayOnly === true ? 'relay' : 'all',
    bundlePolicy: 'max-bundle',
  };
}
