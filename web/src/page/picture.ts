// The customer's consent and picture in a session. The consent machine (core/consent.ts) decides; this only does
// what its effects say, here first, and tells the others afterwards.

import type { Peer } from '../browser/peer.ts';
import { type Picked, pick, type Surface, type What } from '../browser/picker.ts';
import type { Picture as Frame } from '../browser/picture.ts';
import type { Share } from '../browser/share.ts';
import * as consent from '../core/consent.ts';
import type { Level } from '../core/level.ts';
import { type ConsentState, type FromPeer, MAX_STREAMS } from '../core/protocol.gen.ts';
import type { Client } from './client.ts';
import { consentNotice, stopCause } from './endings.ts';
import { agentName } from './model.ts';

const TICK_MS = 500;

/** One thing that is shown. */
interface Source {
  readonly track: MediaStreamTrack;
  readonly surface: Surface;
}

export class Picture {
  readonly #client: Client;
  #peer: Peer | null = null;
  #share: Share | null = null;
  readonly #sources = new Map<number, Source>(); // by stream; the first that was chosen is 0
  #codecs: readonly string[] | null = null;
  #offered = false; // the codecs came with the offer; the path has not confirmed them yet
  #paused = false;
  #picks = 0;
  #what: What = 'screen'; // that the customer was asked to show
  #untold: ConsentState[] = []; // told before the session had an id
  #told: ConsentState | null = null; // last, in this session
  #ticker: ReturnType<typeof setInterval> | undefined;
  /** draw the mirrors of what is sent, by stream; the components give them */
  readonly mirrors = new Map<number, (picture: Frame) => void>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** What the next capture is of. */
  wants(what: What): void {
    this.#what = what;
  }

  /** Takes one event of the consent machine and does its effects. */
  consent(event: consent.Event): void {
    const [next, effects] = consent.step(this.#client.model.consent, event, Date.now());
    if (next !== this.#client.model.consent) this.#client.update({ consent: next });
    for (const effect of effects) this.#do(effect);
    if (this.#client.model.consent.state === 'off') {
      clearInterval(this.#ticker);
      this.#ticker = undefined;
    } else {
      this.#ticker ??= setInterval(() => this.consent('tick'), TICK_MS);
    }
  }

  /** A session's peer is there. */
  attach(peer: Peer): void {
    this.#peer = peer;
    this.#codecs = null;
    this.#offered = false;
    this.#paused = false;
    if (this.#sources.size > 0) void this.#start();
  }

  /** The session is over: consent and picture with it. */
  detach(): void {
    this.consent('ended');
    this.#stop();
    this.#peer = null;
    this.#untold = [];
    this.#told = null;
  }

  /** What the agent's viewer could decode when the session began: the first picture need not wait for the path. */
  offered(decodable: readonly string[]): void {
    if (this.#codecs !== null) return; // an ICE restart's
    this.#offered = true;
    this.#codecs = decodable;
    this.#share?.codecs(decodable);
  }

  #decodable(list: readonly string[]): void {
    const known = this.#offered && list.join() === this.#codecs?.join();
    this.#offered = false;
    this.#codecs = list;
    if (!known) this.#share?.codecs(list); // it may be another viewer: a key frame
  }

  /** The path is there for the first time. */
  opened(): void {
    this.#share?.pump();
  }

  /** The path is back after a silence. */
  resume(): void {
    this.#share?.resume();
  }

  /** The page is visible again: its mirror may be old. */
  redraw(): void {
    this.#share?.redraw();
  }

  /** What the agent's end says about the picture. */
  receive(message: FromPeer): void {
    switch (message.type) {
      case 'screen.codecs':
        this.#viewer(true);
        this.#decodable(message.decodable);
        return;
      case 'screen.pause':
        this.#viewer(!message.paused);
        this.#paused = message.paused;
        this.#share?.pause(message.paused);
        return;
      case 'screen.keyframe':
        this.#share?.keyframe(message.stream ?? 0);
        return;
      case 'screen.feedback':
        this.#share?.feedback(message);
        return;
      case 'screen.still':
        if (this.#share !== null) void this.#share.still(message);
        else this.#peer?.send({ type: 'screen.refused', id: message.id, stream: message.stream ?? 0, why: 'off' });
        return;
      case 'record.state':
        this.consent(message.on ? 'forged' : 'record:done'); // a yes is the customer's alone //guard:T22
        return;
      default:
        return;
    }
  }

  /** Whether somebody has the agent's viewer open. */
  #viewer(open: boolean): void {
    const { session } = this.#client.model;
    if (session !== null) this.#client.update({ session: { ...session, viewer: open } });
  }

  /** Shows something else instead of this source. Call it in a click's handler. */
  replace(stream: number, what: What): void {
    this.#more(what, () => (this.#sources.has(stream) ? stream : -1));
  }

  /** Shows another source beside those that are shown. Call it in a click's handler. */
  add(what: What): void {
    this.#more(what, () => {
      for (let stream = 0; stream < MAX_STREAMS; stream++) if (!this.#sources.has(stream)) return stream;
      return -1;
    });
  }

  /** Shows this source no more. The share ends with the last one. */
  remove(stream: number, event: 'stop' | 'closed' | 'failed' = 'stop'): void {
    const source = this.#sources.get(stream);
    if (source === undefined) return;
    if (this.#sources.size === 1) {
      this.consent(event);
      return;
    }
    source.track.stop();
    this.#sources.delete(stream);
    this.mirrors.delete(stream);
    this.#share?.remove(stream);
    this.#show();
    this.#tell('on');
  }

  #more(what: What, place: () => number): void {
    const turn = ++this.#picks;
    void pick(what).then((picked) => {
      if (picked.kind !== 'track') return; // what is shown stays
      const stream = turn === this.#picks && this.#allowed() ? place() : -1;
      if (stream < 0) {
        picked.track.stop(); //guard:T22
        return;
      }
      this.#take(stream, picked);
      this.#show();
      this.#share?.show(stream, picked.track, picked.surface);
      this.#tell('on');
    });
  }

  /** The page says what is shown now. */
  #show(): void {
    const sources = [...this.#sources].map(([stream, { surface }]) => ({ stream, surface }));
    const { shown } = this.#client.model;
    this.#client.update({
      shown: { sources, sinceMs: shown?.sinceMs ?? Date.now(), level: shown?.level ?? 'video' },
    });
  }

  /** Tells what was decided before the session had its id. */
  flush(session: string): void {
    for (const message of this.#untold.splice(0)) this.#send({ ...message, session });
  }

  /** Tells the last step again: it may be lost with a socket, on either side. */
  retell(): void {
    if (this.#told !== null) this.#send(this.#told);
  }

  #send(message: ConsentState): void {
    this.#told = message;
    this.#client.socket?.send(message);
  }

  #allowed(): boolean {
    return consent.allows(this.#client.model.consent, Date.now());
  }

  #do(effect: consent.Effect): void {
    const { session } = this.#client.model;
    switch (effect) {
      case 'capture': {
        const turn = ++this.#picks;
        void pick(this.#what).then((picked) => this.#picked(picked, turn));
        // loads while the person chooses
        void import('../browser/share.ts').then(
          ({ prepare }) => prepare(),
          () => undefined,
        );
        return;
      }
      case 'prompt':
      case 'prompt:extend':
      case 'prompt:record': {
        const kind = effect === 'prompt' ? 'view' : effect === 'prompt:extend' ? 'extend' : 'record';
        const agent = session?.agent ?? agentName(this.#client.model);
        this.#client.update({ prompt: { kind, agent, session: session?.id ?? '', sinceMs: Date.now() } });
        return;
      }
      case 'unprompt':
        this.#client.update({ prompt: null });
        return;
      case 'discard':
        this.#clear();
        return;
      case 'start':
        this.#client.update({ notice: null });
        this.#show();
        void this.#start();
        return;
      case 'stop':
        this.#stop();
        return;
      case 'count':
        return;
      default: {
        const [grant, state = '', cause] = effect.split(':');
        if (grant === 'record') this.#tellRecord(state, cause);
        else this.#tell(state, cause);
      }
    }
  }

  #picked(picked: Picked, turn: number): void {
    if (turn !== this.#picks) {
      if (picked.kind === 'track') picked.track.stop(); //guard:T22
      return;
    }
    if (picked.kind !== 'track') {
      this.consent(picked.kind);
      return;
    }
    this.#clear(); // an older one that was never shown //guard:T22
    this.#take(0, picked);
    this.consent('captured');
  }

  #take(stream: number, { track, surface }: Extract<Picked, { kind: 'track' }>): void {
    this.#sources.get(stream)?.track.stop(); // one source in a place, also before the encoder is there //guard:T22
    this.#sources.set(stream, { track, surface });
    track.onended = () => {
      if (this.#sources.get(stream)?.track === track) this.remove(stream, 'closed');
    };
  }

  #clear(): void {
    for (const { track } of this.#sources.values()) track.stop();
    this.#sources.clear();
    this.mirrors.clear();
  }

  async #start(): Promise<void> {
    const peer = this.#peer;
    if (peer === null || this.#share !== null) return; // attach() starts it when the peer is there
    let module: typeof import('../browser/share.ts');
    try {
      module = await import('../browser/share.ts');
    } catch {
      this.consent('failed'); // the server can't be reached, or is newer than this page
      return;
    }
    if (peer !== this.#peer || this.#share !== null || this.#sources.size === 0 || !this.#allowed()) return;
    const share = new module.Share(peer, {
      allowed: () => this.#allowed(),
      shown: (stream, picture) => this.mirrors.get(stream)?.(picture),
      level: (level) => this.#level(level),
      failed: (stream) => this.remove(stream, 'failed'),
    });
    this.#share = share;
    for (const [stream, { track, surface }] of this.#sources) share.show(stream, track, surface);
    if (this.#paused) share.pause(true);
    if (this.#codecs !== null) share.codecs(this.#codecs);
  }

  /** The tracks and the encoder stop here, before anybody is told. */
  #stop(): void {
    this.#picks++;
    this.#clear();
    this.#share?.stop();
    this.#share = null;
    if (this.#client.model.shown !== null) this.#client.update({ shown: null });
  }

  /** What the path carries has changed: this side says so; the agent's is told on the path. */
  #level(level: Level): void {
    const { shown } = this.#client.model;
    if (shown !== null) this.#client.update({ shown: { ...shown, level } });
    for (const stream of this.#sources.keys()) this.#peer?.send({ type: 'screen.level', stream, level, why: 'path' });
  }

  /** The agent's end records on this message alone; the server is told what was decided. */
  #tellRecord(state: string, cause = ''): void {
    const now = this.#client.model.consent;
    const on = consent.records(now, Date.now()); //guard:T22
    // With the picture it is over too; screen.stopped says that.
    if (state !== 'asked' && now.state === 'on') this.#peer?.send({ type: 'record.state', on, atMs: Date.now() });
    const { session, text } = this.#client.model;
    this.#client.socket?.send({
      type: 'consent.state',
      session: session?.id ?? '',
      grant: 'record',
      state,
      ...(cause !== '' && { cause }),
    } as ConsentState); // state and cause come from the effects of core/consent.ts alone
    if (cause === 'stopped') this.#client.update({ notice: { text: text.endRecording, kind: 'info' } });
  }

  #tell(state: string, cause = ''): void {
    if (state === 'off') {
      const stopped = stopCause(cause);
      if (stopped !== null) this.#peer?.send({ type: 'screen.stopped', cause: stopped });
      const notice = consentNotice(cause, this.#client.model.text);
      if (notice !== null) this.#client.update({ notice });
    }
    const session = this.#client.model.session?.id ?? '';
    const message = {
      type: 'consent.state',
      session,
      grant: 'view',
      state,
      ...(cause !== '' && { cause }),
      ...(state === 'on' && { surface: this.#sources.values().next().value?.surface ?? 'unknown' }),
    } as ConsentState; // state and cause come from the effects of core/consent.ts alone
    if (session === '') this.#untold.push(message);
    else this.#send(message);
    if (state === 'off') this.#client.sharing.pictureOff(cause);
    if (state === 'on') this.#client.sharing.pictureOn();
  }
}
