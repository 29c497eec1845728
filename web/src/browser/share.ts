// All that the customer shows in a session: up to four sources over one flow. Loaded when a share comes up.

import * as level from '../core/level.ts';
import { type FromPeer, MAX_STREAMS, type ScreenFeedback, type ScreenStill } from '../core/protocol.gen.ts';
import { Flow } from './flow.ts';
import { warmImages } from './image.ts';
import type { Peer } from './peer.ts';
import type { Surface } from './picker.ts';
import type { Picture } from './picture.ts';
import { Stream } from './stream.ts';

export interface ShareEvents {
  /** whether the customer's consent is in force now */
  allowed(): boolean;
  /** a frame was handed to the encoder: what the other side is about to see */
  shown(stream: number, picture: Picture): void;
  /** what the path carries now */
  level(now: level.Level): void;
  /** this source can't go on */
  failed(stream: number): void;
}

const LOOK_MS = 1_000; // at how old what was sent is

/** Begins what takes time and touches no picture, while the person still chooses. */
export const prepare = warmImages;

export class Share {
  readonly #peer: Peer;
  readonly #events: ShareEvents;
  readonly #flow: Flow;
  readonly #streams = new Map<number, Stream>();
  readonly #ticker: ReturnType<typeof setInterval>;
  #decodable: readonly string[] | null = null;
  #paused = false;
  #path = level.initial;

  constructor(peer: Peer, events: ShareEvents) {
    this.#peer = peer;
    this.#events = events;
    this.#flow = new Flow(peer, {
      allowed: () => events.allowed(),
      ready: () => this.pump(),
      lost: (stream) => this.#streams.get(stream)?.keyframe(),
    });
    this.#ticker = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Shows this track from now on, as another source or instead of the one that had the number. */
  show(stream: number, track: MediaStreamTrack, surface: Surface): void {
    if (stream >= MAX_STREAMS) throw new RangeError(`share: stream ${stream}`);
    let one = this.#streams.get(stream);
    if (one === undefined) {
      one = this.#make(stream);
      this.#streams.set(stream, one);
      if (this.#paused) one.pause(true);
      if (this.#decodable !== null) one.codecs(this.#decodable);
    }
    one.show(track, surface);
  }

  /** Shows this source no more; the others go on. */
  remove(stream: number): void {
    const one = this.#streams.get(stream);
    if (one === undefined) return;
    one.stop();
    this.#streams.delete(stream);
    this.#flow.drop(stream);
    this.#peer.send({ type: 'screen.removed', stream } satisfies FromPeer);
  }

  /** Takes what the agent's viewer can decode. */
  codecs(decodable: readonly string[]): void {
    this.#decodable = decodable;
    for (const one of this.#streams.values()) one.codecs(decodable);
  }

  keyframe(stream: number): void {
    this.#streams.get(stream)?.wanted();
  }

  /** Answers the agent's wish for a lossless still: with the still, or with why there is none. */
  async still({ id, stream = 0, auto = false }: ScreenStill): Promise<void> {
    const one = this.#streams.get(stream);
    const why = one === undefined ? 'off' : await one.still(auto);
    if (why !== '') this.#peer.send({ type: 'screen.refused', id, stream, why } satisfies FromPeer);
  }

  /** No viewer is there to see it. */
  pause(paused: boolean): void {
    this.#paused = paused;
    for (const one of this.#streams.values()) one.pause(paused);
  }

  /** The path is back after a silence. */
  resume(): void {
    this.#flow.forget();
    this.#move(level.forget(Date.now()));
    for (const one of this.#streams.values()) one.keyframe();
  }

  /** Shows the latest pictures in the mirrors again. */
  redraw(): void {
    for (const one of this.#streams.values()) one.redraw();
  }

  /** The agent's word on a frame: it has arrived, or is on the viewer's canvas. */
  feedback(message: ScreenFeedback): void {
    const tookMs = this.#flow.feedback(message);
    if (tookMs !== null) this.#move(level.arrived(this.#path, tookMs, Date.now()));
  }

  /** Stops the tracks first, then the encoders. Nothing leaves this page afterwards. */
  stop(): void {
    clearInterval(this.#ticker);
    for (const one of this.#streams.values()) one.stop();
    this.#streams.clear();
    this.#flow.close();
  }

  #make(stream: number): Stream {
    return new Stream(stream, this.#flow, {
      allowed: () => this.#events.allowed(),
      level: () => {
        if (!level.may(this.#path, this.#flow.unacked, Date.now())) return 'wait';
        return this.#path.level === 'video' ? 'video' : 'stills';
      },
      configured: (config) => this.#peer.send(config),
      shown: (picture) => this.#events.shown(stream, picture),
      sent: () => {
        this.#path = level.tried(this.#path, Date.now());
      },
      failed: () => this.#events.failed(stream),
    });
  }

  /** Something that held pictures back is gone. */
  pump(): void {
    for (const one of this.#streams.values()) one.pump();
  }

  #look(): void {
    if (!this.#flow.flowing || this.#paused) return; // a silent path has a clock of its own
    const now = Date.now();
    this.#move(level.waited(this.#path, now - (this.#flow.oldestMs ?? now), now));
  }

  #move(path: level.Path): void {
    const before = this.#path.level;
    this.#path = path;
    if (path.level === before) return;
    this.#flow.forget(); // what is on its way must not hold up the first of this level
    this.#events.level(path.level);
    for (const one of this.#streams.values()) one.keyframe();
  }
}
