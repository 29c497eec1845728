// The customer's side of a peer session: who asks, the questions, the peer, direct messages, and the sentence at
// the end. The consent and the picture are in picture.ts.

import { Peer } from '../browser/peer.ts';
import { shows, type What } from '../browser/picker.ts';
import * as consent from '../core/consent.ts';
import type { ConversationState, FromPeer, FromServer, SessionEnd, SessionState } from '../core/protocol.gen.ts';
import type { Client } from './client.ts';
import { Directs } from './direct.ts';
import { endReason, fresh, sessionNotice } from './endings.ts';
import { agentName, type Direct, type Notice } from './model.ts';
import { Picture } from './picture.ts';
import { cutByReload, letGo, remember } from './tab.ts';

const EARLY_MAX = 40; // offers and candidates that come before the peer

export class Sharing {
  readonly picture: Picture;
  readonly directs: Directs;
  readonly #client: Client;
  #peer: Peer | null = null;
  #early: FromServer[] = [];
  #unsent: SessionEnd[] = []; // said while the socket was down
  #asking = false; // our own session.request has no answer yet
  #mine = ''; // the session that our own click on "Share my screen" began
  #peerOnline = true;
  #cut = ''; // the session that a reload has cut
  #yes = ''; // the session that this tab asked for or accepted: the only one it connects for
  #leaving = false;
  #over = ''; // the session that ended last; the server may still name it

  constructor(client: Client) {
    this.#client = client;
    this.picture = new Picture(client);
    this.directs = new Directs(client);
  }

  // ---- what the customer does

  /** The click on "Share my screen", or on "Show with the camera". */
  click(what: What): void {
    this.picture.wants(what);
    this.picture.consent('click'); // opens the picker before anything else happens
    if (this.#client.model.consent.state === 'picking' && this.#client.model.session === null) this.#request(true);
  }

  stop(): void {
    this.picture.consent('stop');
  }

  /** The customer's answer to the prompt that is shown. */
  answer(yes: boolean): void {
    const prompt = this.#client.model.prompt;
    if (prompt === null) return;
    if (prompt.kind === 'extend') {
      this.picture.consent(yes ? 'extend' : 'stop');
    } else if (prompt.kind === 'record') {
      this.picture.consent(yes ? 'record:allow' : 'record:deny');
    } else if (prompt.kind === 'view') {
      this.picture.wants(shows() ?? 'screen');
      this.picture.consent(yes ? 'allow' : 'deny');
      const { state } = this.#client.model.consent;
      if (state === 'picking' && this.#requested(prompt.session)) this.#accept(prompt.session);
    } else if (!yes || Date.now() - prompt.sinceMs >= consent.ARM_MS) {
      //guard:T23
      this.#client.update({ prompt: null });
      if (yes) this.#accept(prompt.session);
      else this.#decline(prompt.session);
    }
  }

  disconnect(): void {
    this.#end('stopped', { text: this.#client.model.text.endDisconnected, kind: 'info' });
  }

  /** The switch "Direct message". */
  direct(on: boolean): void {
    this.#client.setDirectOn(on);
    if (on && this.#client.model.session === null && agentName(this.#client.model) !== '') this.#request(false);
  }

  sendDirect(text: string): void {
    const { session } = this.#client.model;
    const possible = session !== null ? !session.elsewhere : agentName(this.#client.model) !== '';
    const one = this.directs.add(text, possible);
    if (!possible) return;
    if (this.#peer !== null) this.#pass(one);
    else if (session === null) this.#request(false);
  }

  /** The page goes away: a reload, a closed tab. */
  leave(): void {
    const session = this.#client.model.session;
    this.#leaving = true;
    this.picture.detach();
    this.#peer?.close('left');
    if (session !== null && this.#peer !== null) this.#sayEnd(session.id, 'left');
    letGo();
  }

  /** The page is loaded: a share does not survive that, and the customer is told. */
  start(): void {
    addEventListener('pagehide', () => this.leave());
    addEventListener('pageshow', (event) => {
      if (!event.persisted) return;
      this.#leaving = false; // out of the browser's back-forward cache
      if (this.#client.model.session !== null) this.#ended('lost');
    });
    void cutByReload().then((cut) => {
      if (cut === null) return;
      this.#cut = cut.session;
      const { conversation, text } = this.#client.model;
      if (cut.shows) this.#client.update({ notice: { text: text.endReload, kind: 'warn' } });
      if (conversation !== null) this.conversation(conversation);
    });
  }

  // ---- what the server says

  /** The socket is back. */
  welcome(): void {
    for (const message of this.#unsent.splice(0)) this.#client.socket?.send(message);
    if (this.#peer !== null) void this.#rejoin(this.#peer);
  }

  conversation(state: ConversationState): void {
    if (this.#peer !== null || this.#asking) return;
    const own = this.#client.model.session;
    // A request ends with the socket that asked; its end may have been told while this page was not connected.
    if (own?.phase === 'requested' && !own.elsewhere && own.id !== state.session) this.#ended('expired');
    const { session } = this.#client.model;
    if (state.session === undefined) {
      if (session?.elsewhere === true) this.#client.update({ session: null });
    } else if (state.session === this.#cut) {
      this.#cut = '';
      this.#over = state.session;
      this.#sayEnd(state.session, 'left');
      if (session?.id === state.session) this.#client.update({ session: null });
    } else if (session === null && state.session !== this.#over) {
      this.#client.update({ session: fresh(state.session, 'connected', state.agent?.name ?? '', true) });
    }
  }

  receive(message: FromServer): void {
    if (this.#leaving) return;
    switch (message.type) {
      case 'session.state':
        this.#state(message);
        return;
      case 'session.offer':
      case 'session.candidate':
        if (message.session !== this.#client.model.session?.id) return;
        if (this.#peer === null) {
          if (this.#early.length < EARLY_MAX) this.#early.push(message);
        } else if (message.type === 'session.offer') {
          this.#peer.offer(message);
          if (message.decodable !== undefined) this.picture.offered(message.decodable);
        } else this.#peer.candidate(message);
        return;
      case 'consent.ask':
        if (message.session !== this.#client.model.session?.id || this.#peer === null) return;
        if (message.grant === 'record') this.picture.consent('record:ask');
        else if (shows() !== null) this.picture.consent('ask');
        else this.#cant(message.session);
        return;
      case 'consent.state':
        // It may tell what another tab of ours decided; it decides nothing here.
        if (this.#client.model.session?.elsewhere !== true) this.picture.consent('forged'); //guard:T22
        return;
      default:
        return;
    }
  }

  #state(message: SessionState): void {
    const { session } = this.#client.model;
    if (message.state === 'ended') {
      if (session?.id !== message.session) return;
      if (session.elsewhere && message.reason === 'left') this.#client.update({ session: null });
      else this.#ended(message.reason ?? '');
      return;
    }
    if (session !== null && session.id !== message.session && this.#peer !== null) return; // one at a time
    if (message.session === this.#over) return; // ended here; the server does not know yet
    const known = session?.id === message.session;
    const agent = message.agent?.name ?? agentName(this.#client.model);
    const back = message.peerOnline === true && !this.#peerOnline;
    this.#peerOnline = message.peerOnline === true;
    if (message.state === 'requested') {
      if (known && !session.elsewhere) return;
      const elsewhere = message.by === 'customer' && !this.#asking;
      this.#client.update({ session: fresh(message.session, 'requested', agent, elsewhere) });
      this.picture.flush(message.session);
      if (message.by === 'agent') this.#asked(message, agent);
    } else if (this.#peer !== null) {
      if (known) this.#client.update({ session: { ...session, agent, path: message.path ?? session.path } });
      if (known && back) this.picture.retell();
    } else if (message.bound === true) {
      if (message.session === this.#yes) this.#connect(message, agent);
      else this.#sayEnd(message.session, 'left'); // not on the server's word alone //guard:T22
    } else {
      this.picture.detach(); // another tab of this customer has it
      this.#client.update({ session: fresh(message.session, 'connected', agent, true), prompt: null });
    }
  }

  #asked(message: SessionState, agent: string): void {
    const { state } = this.#client.model.consent;
    if (this.#asking && (state === 'picking' || state === 'on')) {
      this.#accept(message.session); // both asked at the same time: the click was the yes
    } else if (message.picture !== true) {
      const [counted, muted] = consent.count(this.#client.model.consent, Date.now());
      const prompt = { kind: 'direct', agent, session: message.session, sinceMs: Date.now() } as const;
      this.#client.update({ consent: counted, ...(!muted && { prompt }) });
      if (muted) this.#decline(message.session);
    } else if (shows() !== null) {
      this.picture.consent('ask'); // muted, it ends in pictureOff
    } else {
      this.#cant(message.session);
    }
  }

  /** This device can't show its screen: both sides get a sentence. */
  #cant(session: string): void {
    const cause = 'not_possible';
    this.#client.socket?.send({ type: 'consent.state', session, grant: 'view', state: 'off', cause });
    this.#client.update({ notice: { text: this.#client.model.text.endImpossible, kind: 'warn' } });
    if (this.#requested(session)) this.#decline(session);
  }

  /** The picture is on: from now on the session stays when it is off again. */
  pictureOn(): void {
    this.#mine = '';
    this.#keep(true);
  }

  /** The picture is off. A session that was only asked for its sake, and never had one, goes with it. */
  pictureOff(cause: string): void {
    const session = this.#client.model.session;
    if (session === null) return;
    this.#keep(false);
    const requested = session.phase === 'requested';
    if (session.id === this.#mine || (requested && session.id === this.#yes)) {
      this.#end(cause === 'refused' ? cause : 'stopped', null); // too late to decline
    } else if (requested && !this.#asking) this.#decline(session.id);
  }

  #keep(shows: boolean): void {
    const id = this.#peer?.session ?? '';
    if (id !== '' && !this.#leaving) remember(id, shows);
  }

  #requested(id: string): boolean {
    const session = this.#client.model.session;
    return session?.id === id && session.phase === 'requested';
  }

  #accept(session: string): void {
    this.#yes = session;
    void this.#client.socket?.request({ type: 'session.accept', session }).then((answer) => {
      const waits = this.#peer === null && this.#client.model.session?.id === session;
      if (answer?.type === 'session.state' || !waits) return;
      this.#sayEnd(session, 'left'); // the server may have taken it, with the socket that is lost
      this.#ended('expired');
    });
  }

  #decline(session: string): void {
    this.#client.socket?.send({ type: 'session.decline', id: crypto.randomUUID(), session });
    if (this.#client.model.session?.id === session) this.#finish();
  }

  /** Asks for a session of our own; with a picture after the click that opened the picker. */
  #request(picture: boolean): void {
    const conversation = this.#client.model.conversation?.conversation;
    if (conversation === undefined || this.#asking) return;
    this.#asking = true;
    void this.#client.socket?.request({ type: 'session.request', conversation, picture }).then((answer) => {
      this.#asking = false;
      if (answer?.type === 'session.state') {
        this.#yes = answer.session;
        if (picture && this.#client.model.consent.state !== 'on') this.#mine = answer.session;
        if (picture && this.#client.model.consent.state === 'off') this.pictureOff('refused'); // dismissed meanwhile
        return;
      }
      if (this.#client.model.session !== null) return; // the agent's own request was first
      const text = answer?.type === 'error' ? answer.text : this.#client.model.text.shareOffline;
      this.#finish();
      this.#client.update({ notice: { text, kind: 'warn' } });
    });
  }

  // ---- the peer

  #connect(message: SessionState, agent: string): void {
    this.#client.update({ session: fresh(message.session, 'connecting', agent, false), prompt: null, notice: null });
    remember(message.session, false);
    this.#peer = new Peer(message, {
      signal: (out) => this.#client.socket?.send(out) === true,
      message: (from) => this.#fromPeer(from),
      peerGone: () => this.#client.model.link.type === 'online' && !this.#peerOnline,
      ended: (reason) => this.#peerEnded(reason),
      phase: (phase, silenceMs) => {
        const session = this.#client.model.session;
        if (session === null) return;
        this.#client.update({ session: { ...session, phase, silenceMs } });
        if (phase !== 'connected') return;
        if (session.phase === 'reconnecting') {
          this.picture.resume();
          return;
        }
        this.picture.opened();
        for (const one of this.directs.waiting()) this.#pass(one);
      },
    });
    this.picture.flush(message.session);
    this.picture.attach(this.#peer);
    for (const one of this.#early.splice(0)) this.receive(one);
    this.#keep(this.#client.model.consent.state === 'on');
  }

  async #rejoin(peer: Peer): Promise<void> {
    const answer = await this.#client.socket?.request({ type: 'session.rejoin', session: peer.session });
    if (peer !== this.#peer) return;
    if (answer?.type === 'session.state' && answer.state !== 'ended') peer.renew(answer);
    else if (answer?.type === 'error') this.#ended('lost');
    if (peer === this.#peer && answer !== null) this.picture.retell();
  }

  #fromPeer(message: FromPeer): void {
    const { session } = this.#client.model;
    switch (message.type) {
      case 'direct.message':
        this.#peer?.send({ type: 'direct.ack', id: message.id });
        this.directs.received(message, session?.agent ?? '');
        return;
      case 'direct.ack':
        this.directs.delivered(message.id);
        return;
      default:
        this.picture.receive(message);
    }
  }

  #pass(one: Direct): void {
    if (this.#peer?.phase === 'connecting') return; // goes out when it is open
    const at = new Date(one.atMs).toISOString();
    if (this.#peer?.send({ type: 'direct.message', id: one.id, text: one.text, at }) !== true)
      this.directs.failed(one.id);
  }

  // ---- the end

  #peerEnded(reason: string): void {
    const session = this.#client.model.session;
    if (session !== null) this.#sayEnd(session.id, endReason(reason));
    this.#ended(reason);
  }

  #ended(reason: string): void {
    const { session, text, notice } = this.#client.model;
    const next = sessionNotice(reason, session?.agent || text.agent, text, notice);
    this.#finish();
    this.#client.update({ notice: next });
  }

  #end(reason: 'stopped' | 'refused', notice: Notice | null): void {
    const { session } = this.#client.model;
    if (session === null) return;
    this.picture.detach(); // here first
    this.#peer?.close(reason);
    this.#sayEnd(session.id, reason);
    this.#finish();
    if (notice !== null) this.#client.update({ notice });
  }

  #sayEnd(session: string, reason: SessionEnd['reason']): void {
    const message: SessionEnd = { type: 'session.end', id: crypto.randomUUID(), session, reason };
    if (this.#client.socket?.send(message) !== true) this.#unsent.push(message);
  }

  #finish(): void {
    const peer = this.#peer;
    this.#peer = null;
    this.#over = this.#client.model.session?.id ?? this.#over;
    this.picture.detach();
    peer?.close('stopped');
    this.#early = [];
    this.#mine = '';
    this.#yes = '';
    remember('', false);
    this.directs.ended();
    this.#client.update({ session: null, prompt: null });
  }
}
