// The customer's consent and picture in a session. The consent machine (core/consent.ts) decides; this only does
// what its effects say, here first, and tells the others afterwards.

import type { Peer } from '../browser/peer.ts';
import { type Picked, pick, type Surface } from '../browser/picker.ts';
import type { Picture as Frame } from '../browser/picture.ts';
import type { Share } from '../browser/share.ts';
import * as consent from '../core/consent.ts';
import type { ConsentState, ScreenFeedback } from '../core/protocol.gen.ts';
import type { Client } from './client.ts';
import { consentNotice, stopCause } from './endings.ts';
import { agentName } from './model.ts';

const TICK_MS = 500;

export class Picture {
  readonly #client: Client;
  #peer: Peer | null = null;
  #share: Share | null = null;
  #track: MediaStreamTrack | null = null;
  #surface: Surface = 'unknown';
  #codecs: readonly string[] | null = null;
  #paused = false;
  #picks = 0;
  #untold: ConsentState[] = []; // told before the session had an id
  #told: ConsentState | null = null; // last, in this session
  #ticker: ReturnType<typeof setInterval> | undefined;
  /** draws the mirror of what is sent; the component gives it */
  mirror: ((picture: Frame) => void) | null = null;

  constructor(client: Client) {
    this.#client = client;
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
    this.#paused = false;
    if (this.#track !== null) void this.#start();
  }

  /** The session is over: consent and picture with it. */
  detach(): void {
    this.consent('ended');
    this.#stop();
    this.#peer = null;
    this.#untold = [];
    this.#told = null;
  }

  /** The path is back after a silence. */
  resume(): void {
    this.#share?.resume();
  }

  /** The page is visible again: its mirror may be old. */
  redraw(): void {
    this.#share?.redraw();
  }

  codecs(decodable: readonly string[]): void {
    this.#codecs = decodable;
    this.#share?.codecs(decodable);
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    this.#share?.pause(paused);
  }

  keyframe(): void {
    this.#share?.keyframe();
  }

  feedback(message: ScreenFeedback): void {
    this.#share?.feedback(message);
  }

  /** Shows another source in the running share. Call it in a click's handler. */
  replace(): void {
    const turn = ++this.#picks;
    void pick().then((picked) => {
      if (picked.kind !== 'track') return; // what is shown stays
      if (turn !== this.#picks || !this.#allowed()) {
        picked.track.stop(); //guard:T22
        return;
      }
      this.#take(picked);
      const sinceMs = this.#client.model.shown?.sinceMs ?? Date.now();
      this.#client.update({ shown: { surface: picked.surface, sinceMs } });
      this.#share?.show(picked.track, picked.surface);
      this.#tell('on');
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
        void pick().then((picked) => this.#picked(picked, turn));
        void import('../browser/share.ts').catch(() => undefined); // loads while the person chooses
        return;
      }
      case 'prompt':
      case 'prompt:extend': {
        const kind = effect === 'prompt' ? 'view' : 'extend';
        const agent = session?.agent ?? agentName(this.#client.model);
        this.#client.update({ prompt: { kind, agent, session: session?.id ?? '', sinceMs: Date.now() } });
        return;
      }
      case 'unprompt':
        this.#client.update({ prompt: null });
        return;
      case 'discard':
        this.#track?.stop();
        this.#track = null;
        return;
      case 'start':
        this.#client.update({ shown: { surface: this.#surface, sinceMs: Date.now() }, notice: null });
        void this.#start();
        return;
      case 'stop':
        this.#stop();
        return;
      case 'count':
        return;
      default: {
        const [, state = '', cause] = effect.split(':');
        this.#tell(state, cause);
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
    this.#take(picked);
    this.consent('captured');
  }

  #take(picked: Extract<Picked, { kind: 'track' }>): void {
    if (this.#track !== picked.track) this.#track?.stop(); // one source at a time, also before the encoder is there //guard:T22
    this.#track = picked.track;
    this.#surface = picked.surface;
    picked.track.onended = () => {
      if (picked.track === this.#track) this.consent('closed');
    };
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
    const track = this.#track;
    if (peer !== this.#peer || this.#share !== null || track === null || !this.#allowed()) return;
    const share = new module.Share(peer, {
      allowed: () => this.#allowed(),
      shown: (picture) => this.mirror?.(picture),
      failed: () => this.consent('failed'),
    });
    this.#share = share;
    share.show(track, this.#surface);
    if (this.#paused) share.pause(true);
    if (this.#codecs !== null) share.codecs(this.#codecs);
  }

  /** The tracks and the encoder stop here, before anybody is told. */
  #stop(): void {
    this.#picks++;
    this.#track?.stop();
    this.#track = null;
    this.#share?.stop();
    this.#share = null;
    if (this.#client.model.shown !== null) this.#client.update({ shown: null });
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
      ...(state === 'on' && { surface: this.#surface }),
    } as ConsentState; // state and cause come from the effects of core/consent.ts alone
    if (session === '') this.#untold.push(message);
    else this.#send(message);
    if (state === 'off') this.#client.sharing.pictureOff(cause);
    if (state === 'on') this.#client.sharing.pictureOn();
  }
}
