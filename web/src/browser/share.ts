// Captures and encodes the picture; flow.ts sends it. Loaded when a share comes up. A frame passes three gates: consent is
// asked when it is captured, before it is encoded and before its bytes are sent; frames are dropped only before
// the encoder.

import * as codec from '../core/codec.ts';
import {
  FRAME_KIND,
  type FromPeer,
  MAX_FRAME_BYTES,
  MAX_FRAME_PIXELS,
  MAX_FRAME_SIDE,
  type ScreenFeedback,
} from '../core/protocol.gen.ts';
import { type Capture, capture } from './capture.ts';
import { type Encoded, Encoder, needsEven } from './encoder.ts';
import { Flow } from './flow.ts';
import type { Peer } from './peer.ts';
import type { Surface } from './picker.ts';
import { type Picture, sizeOf } from './picture.ts';

export interface ShareEvents {
  /** whether the customer's consent is in force now */
  allowed(): boolean;
  /** a frame was handed to the encoder: what the other side is about to see */
  shown(picture: Picture): void;
  /** the picture can't go on */
  failed(): void;
}

const STREAM = 0;
const RETRY_MS = 500; // after a skip, if neither an ack nor a new picture comes

export class Share {
  readonly #peer: Peer;
  readonly #events: ShareEvents;
  readonly #encoder: Encoder;
  readonly #flow: Flow;
  #track: MediaStreamTrack | null = null;
  #capture: Capture | null = null;
  #surface: Surface = 'unknown';
  #latest: Picture | null = null;
  #captureMs = 0;
  #dirty = false; // the latest frame is not encoded yet
  #needKey = true;
  #paused = false;
  #stopped = false;
  #choices: readonly string[] = [];
  #at = 0; // the choice in use
  #choosing = false;
  #codec = '';
  #config = ''; // of the last screen.config
  #width = 0;
  #height = 0;
  #frame = 0;
  #pace: codec.Pace = codec.unmeasured;
  #configuredBitrate = 0;
  #notBeforeMs = 0; // whole images know no bit rate: their number is limited instead
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** pictures that were not encoded because too much was on its way */
  skipped = 0;

  constructor(peer: Peer, events: ShareEvents) {
    this.#peer = peer;
    this.#events = events;
    this.#encoder = new Encoder({
      output: (encoded) => this.#output(encoded),
      failed: () => this.#nextCodec(),
      ready: () => this.#pump(),
    });
    this.#flow = new Flow(peer, { allowed: () => events.allowed(), ready: () => this.#pump() });
  }

  /** Shows this track from now on, instead of the one before. */
  show(track: MediaStreamTrack, surface: Surface): void {
    this.#track?.stop();
    this.#capture?.stop();
    this.#track = track;
    this.#surface = surface;
    this.#needKey = true;
    this.#latest?.close(); // of the source before: it must not go out any more
    this.#latest = null;
    this.#dirty = false;
    if (this.#encoder.ready) this.#encoder.reset(); // with what waits in it
    this.#capture = capture(track, {
      picture: (picture) => this.#take(picture),
      failed: () => this.#events.failed(),
    });
  }

  /** Takes what the agent's viewer can decode; encoding starts with the first that this browser can encode. */
  codecs(decodable: readonly string[]): void {
    const choices = codec.CODECS.filter((one) => decodable.includes(one));
    if (choices.join() === this.#choices.join()) {
      this.keyframe(); // another viewer of the same kind
      return;
    }
    this.#choices = choices;
    void this.#choose(0);
  }

  keyframe(): void {
    this.#needKey = true;
    this.#dirty = this.#latest !== null;
    this.#pump();
  }

  /** No viewer is there to see it. */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (!paused) this.keyframe();
  }

  /** The path is back after a silence. */
  resume(): void {
    this.#flow.forget();
    this.keyframe();
  }

  /** Shows the latest frame in the mirror again. */
  redraw(): void {
    if (this.#latest !== null && !this.#dirty) this.#events.shown(this.#latest);
  }

  /** The agent's word on a frame: it has arrived, or is on the viewer's canvas. */
  feedback(message: ScreenFeedback): void {
    this.#flow.feedback(message);
  }

  /** Stops the tracks first, then the encoder. Nothing leaves this page afterwards. */
  stop(): void {
    this.#stopped = true;
    this.#track?.stop();
    this.#capture?.stop();
    clearTimeout(this.#retry);
    this.#track = null;
    this.#latest?.close();
    this.#latest = null;
    this.#encoder.close();
    this.#flow.close();
  }

  #take(picture: Picture): void {
    if (this.#stopped || !this.#events.allowed()) {
      picture.close(); //guard:T22
      return;
    }
    this.#latest?.close();
    this.#latest = picture;
    this.#captureMs = Date.now();
    this.#dirty = true;
    this.#pump();
  }

  /** Encodes the latest frame if there is a new one and nothing holds it back. */
  #pump(): void {
    const frame = this.#latest;
    if (frame === null || !this.#dirty || this.#stopped || this.#paused || this.#codec === '') return;
    if (!this.#flow.flowing) return; // the path is silent: the track is kept, nothing is encoded
    if (!this.#events.allowed()) return; //guard:T22
    const now = Date.now();
    if (now < this.#notBeforeMs || this.#flow.skips(STREAM, this.#encoder.queue, now)) {
      this.skipped++;
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.#pump();
      }, RETRY_MS);
      return;
    }
    if (!this.#configure(frame)) return;
    const key = this.#needKey;
    this.#needKey = false;
    this.#dirty = false;
    this.#events.shown(frame);
    this.#encoder.encode(frame, key, this.#captureMs);
  }

  #configure(picture: Picture): boolean {
    const [width, height] = limit(...sizeOf(picture), needsEven(this.#codec));
    if (width === 0 || height === 0) return false;
    const sized = width !== this.#width || height !== this.#height;
    const { bitrate } = this.#flow;
    const steered = Math.abs(bitrate - this.#configuredBitrate) > 0.15 * this.#configuredBitrate;
    if (sized || steered || !this.#encoder.ready) {
      if (sized || !this.#encoder.ready) this.#needKey = true;
      this.#width = width;
      this.#height = height;
      this.#configuredBitrate = bitrate;
      if (!this.#encoder.configure(this.#codec, width, height, bitrate)) return false;
    }
    const config = [this.#codec, width, height, this.#surface].join(' ');
    if (config !== this.#config) {
      const message = { type: 'screen.config', codec: this.#codec, width, height, surface: this.#surface } as const;
      if (!this.#peer.send(message satisfies FromPeer)) return false;
      this.#config = config;
      this.#needKey = true;
    }
    return true;
  }

  #output(encoded: Encoded): void {
    if (this.#stopped || !this.#events.allowed()) return; //guard:T22
    if (encoded.data.length > MAX_FRAME_BYTES) {
      this.#nextCodec();
      return;
    }
    const frame = this.#frame;
    this.#frame = (this.#frame + 1) >>> 0;
    const kind = encoded.key ? FRAME_KIND.key : FRAME_KIND.delta;
    if (this.#codec.startsWith('image/')) {
      this.#notBeforeMs = Date.now() + (encoded.data.length * 8000) / this.#flow.bitrate;
    }
    this.#pace = codec.encoded(this.#pace, encoded.tookMs);
    if (!this.#flow.send({ kind, stream: STREAM, frame, captureMs: encoded.captureMs >>> 0, data: encoded.data })) {
      this.#needKey = true; // the chain starts anew
      return;
    }
    if (codec.tooSlow(this.#pace)) this.#nextCodec();
  }

  /** Goes to the next codec that this browser can encode at the picture's size. */
  #nextCodec(): void {
    if (!this.#choosing && !this.#stopped) void this.#choose(this.#at + 1);
  }

  async #choose(from: number): Promise<void> {
    const choices = this.#choices;
    this.#choosing = true;
    this.#codec = '';
    this.#encoder.reset();
    this.#pace = codec.unmeasured;
    let at = from;
    while (at < choices.length && !(await Encoder.supports(choices[at] ?? ''))) at++;
    if (this.#stopped || choices !== this.#choices) return; // a newer choice is under way
    this.#choosing = false;
    const choice = choices[at];
    if (choice === undefined) {
      this.#events.failed();
      return;
    }
    this.#at = at;
    this.#codec = choice;
    this.keyframe();
  }
}

/** The size that is sent: the source's own, scaled down only above the protocol's limits. */
function limit(width: number, height: number, even: boolean): [number, number] {
  const scale = Math.min(
    1,
    MAX_FRAME_SIDE / width,
    MAX_FRAME_SIDE / height,
    Math.sqrt(MAX_FRAME_PIXELS / (width * height)),
  );
  const mask = even ? ~1 : ~0;
  return [Math.floor(width * scale) & mask, Math.floor(height * scale) & mask];
}
