// One source that is shown: its pictures are captured, the latest is encoded when nothing holds it back, and handed
// to the flow. A frame passes the consent's gate when it is captured, before it is encoded and before its bytes are
// sent; frames are dropped only before the encoder, and what has not changed is not encoded.

import type { Frame } from '../core/frame.ts';
import * as ladder from '../core/ladder.ts';
import { FRAME_KIND, MAX_FRAME_BYTES, type ScreenConfig } from '../core/protocol.gen.ts';
import { type Capture, capture } from './capture.ts';
import { type Encoded, Encoder, needsEven } from './encoder.ts';
import type { Flow } from './flow.ts';
import { GLIMPSE_BYTES, GLIMPSE_CODEC, type Glimpse, glimpse } from './glimpse.ts';
import type { Surface } from './picker.ts';
import { hasFullColour, limit, type Picture, sizeOf } from './picture.ts';
import { makeStill, tooSlow, type Why, whyNot } from './still.ts';

export interface StreamEvents {
  /** whether the customer's consent is in force now */
  allowed(): boolean;
  /** whether the path takes a picture now, apart from what the flow says; 'stills': whole images only */
  level(): 'video' | 'stills' | 'wait';
  /** tells the agent's end what the frames are that follow; false when that could not be sent */
  configured(config: ScreenConfig): boolean;
  /** a frame was handed to the encoder: what the other side is about to see */
  shown(picture: Picture): void;
  /** a frame was sent */
  sent(): void;
  /** the picture can't go on */
  failed(): void;
}

const RETRY_MS = 500; // after a skip, if neither an ack nor a new picture comes
const TINY_BYTES = 400; // a delta frame of a picture that stands still
const STILL_AFTER = 8; // tiny frames in a row: from now on pictures are compared before they are encoded
const SETTLE_MS = 120; // after the last picture of a movement: it is encoded again, and becomes sharp
const SETTLE_MAX = 10;
const SLOW_FPS = 15; // on a path that does not carry more
const STILL = 'image/jpeg'; // for single pictures on a bad path

export class Stream {
  readonly number: number;
  readonly #flow: Flow;
  readonly #events: StreamEvents;
  readonly #encoder: Encoder;
  #track: MediaStreamTrack | null = null;
  #capture: Capture | null = null;
  #surface: Surface = 'unknown';
  #latest: Picture | null = null;
  #captureMs = 0;
  #dirty = false; // the latest picture is not encoded yet
  #needKey = true;
  #keying = false; // one is in the encoder
  #lastKey = -1; // its frame
  #paused = false;
  #stopped = false;
  #decodable: readonly string[] | null = null;
  #ladder: ladder.Ladder | null = null; // once a picture and the viewer's codecs are known
  #fullColour = false;
  #checked = ''; // the ladder's codec that this browser encodes
  #config = ''; // of the last screen.config
  #codec = ''; // that the encoder has
  #width = 0;
  #height = 0;
  #bitrate = 0;
  #frame: number;
  #ahead: Encoded | null = null; // the first frame, made before there was a path
  #begun = false; // it was asked for
  #glimpse: Glimpse | null = null; // waits for the path
  readonly #first: number; // frame
  #tiny = 0;
  #settles = 0;
  #fps = 30;
  #notBeforeMs = 0; // whole images know no bit rate: their number is limited instead
  #retry: ReturnType<typeof setTimeout> | undefined;
  #settle: ReturnType<typeof setTimeout> | undefined;

  constructor(number: number, flow: Flow, events: StreamEvents) {
    this.number = number;
    this.#flow = flow;
    this.#first = flow.firstFrame;
    this.#frame = this.#first;
    this.#events = events;
    this.#encoder = new Encoder({
      output: (encoded) => this.#output(encoded),
      failed: () => this.#broken(),
      ready: () => this.pump(),
    });
  }

  /** Shows this track from now on, instead of the one before. */
  show(track: MediaStreamTrack, surface: Surface): void {
    this.#track?.stop();
    this.#capture?.stop();
    this.#track = track;
    this.#surface = surface;
    this.#needKey = true;
    this.#drop(); // of the source before: it must not go out any more
    this.#restart(); // with what waits in the encoder
    this.#capture = capture(track, {
      picture: (picture) => this.#arrived(picture),
      failed: () => this.#events.failed(),
    });
    this.#fps = 30;
  }

  /** Takes what the agent's viewer can decode; encoding starts with the best that this browser can encode. */
  codecs(decodable: readonly string[]): void {
    if (decodable.join() === this.#decodable?.join()) {
      this.wanted(); // it may be another viewer of the same kind
      return;
    }
    this.#decodable = decodable;
    this.#ladder = null;
    this.keyframe();
  }

  /** The other end asks for a key frame. One that is on its way is as good. */
  wanted(): void {
    if (!this.#keying && !this.#flow.underWay(this.number, this.#lastKey)) this.keyframe();
  }

  keyframe(): void {
    this.#ahead = null;
    this.#begun = false;
    this.#needKey = true;
    this.#dirty = this.#latest !== null;
    this.pump();
  }

  /** Sends a lossless still of the latest picture; auto: nobody asked for it. '' once it is on its way, or why not. */
  async still(auto: boolean): Promise<Why | ''> {
    const picture = this.#latest;
    if (picture === null || this.#stopped || this.#frame === this.#first || !this.#events.allowed()) return 'off'; //guard:T22
    const captureMs = this.#captureMs >>> 0;
    let frame = (this.#frame - 1) >>> 0;
    let data: Uint8Array<ArrayBuffer>;
    try {
      data = await makeStill(picture, ...limit(...sizeOf(picture), false));
    } catch (error) {
      return whyNot(error);
    }
    const moved = () => this.#latest !== picture;
    if (this.#stopped || !this.#events.allowed()) return 'off'; //guard:T22
    if (auto && moved()) return 'motion';
    if (auto && tooSlow(data.length, this.#flow.bitrate)) return 'slow';
    if (!moved()) frame = (this.#frame - 1) >>> 0; // it may have been encoded again
    const end = await this.#flow.still(
      { kind: FRAME_KIND.still, stream: this.number, frame, captureMs, data },
      auto,
      () => !this.#stopped && !(auto && moved()),
    );
    return end === 'sent' ? '' : this.#stopped ? 'off' : end;
  }

  /** No viewer is there to see it. */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (!paused) this.keyframe();
  }

  /** Shows the latest picture in the mirror again. */
  redraw(): void {
    if (this.#latest !== null && !this.#dirty) this.#events.shown(this.#latest);
  }

  /** Stops the track first, then the encoder. Nothing of it leaves this page afterwards. */
  stop(): void {
    this.#stopped = true;
    this.#track?.stop();
    this.#capture?.stop();
    this.#track = null;
    clearTimeout(this.#retry);
    clearTimeout(this.#settle);
    this.#drop();
    this.#encoder.close();
  }

  /** Encodes the latest picture if there is a new one and nothing holds it back. */
  pump(): void {
    if (this.#flow.flowing && !this.#paused) {
      this.#sendGlimpse();
      if (this.#ahead !== null) this.#output(this.#ahead);
    }
    const picture = this.#latest;
    if (picture === null || !this.#dirty || this.#stopped || this.#paused || !this.#chosen()) return;
    const ahead = this.#flow.opening && !this.#begun;
    if (!this.#flow.flowing && !ahead) return; // the path is silent: the track is kept, nothing is encoded
    if (!this.#events.allowed()) return; //guard:T22
    const now = Date.now();
    const level = this.#events.level();
    if (level === 'wait' || now < this.#notBeforeMs || this.#flow.skips(this.number, this.#encoder.queue, now)) {
      this.#later();
      return;
    }
    if (!this.#configure(picture, level === 'stills' ? STILL : this.#checked)) return;
    const key = this.#needKey;
    this.#needKey = false;
    this.#keying ||= key;
    this.#dirty = false;
    this.#begun = ahead;
    this.#events.shown(picture);
    if (key && this.#frame === this.#first) void this.#glance(picture);
    this.#encoder.encode(picture, key, this.#captureMs);
  }

  /** Makes a glimpse of the first picture, and sends it if it is ready before that is encoded. */
  async #glance(picture: Picture): Promise<void> {
    if (this.#codec.startsWith('image/') || this.#decodable?.includes(GLIMPSE_CODEC) !== true) return;
    const small = await glimpse(picture, this.#captureMs);
    if (small === null || this.#stopped || this.#frame !== this.#first) return;
    this.#glimpse = small;
    if (this.#flow.flowing) this.#sendGlimpse();
  }

  #sendGlimpse(): void {
    const small = this.#glimpse;
    this.#glimpse = null;
    if (small === null || this.#frame !== this.#first || !this.#events.allowed()) return; //guard:T22
    if (this.#ahead !== null && this.#ahead.data.length <= GLIMPSE_BYTES) return; // the picture itself is as small
    const { width, height, captureMs, data } = small;
    if (!this.#events.configured(this.#describe(GLIMPSE_CODEC, width, height))) return;
    this.#hand(FRAME_KIND.key, captureMs, data);
    if (this.#config !== '') this.#events.configured(JSON.parse(this.#config));
  }

  /** A picture of the source. */
  #arrived(picture: Picture): void {
    if (this.#stopped || !this.#events.allowed()) {
      picture.close(); //guard:T22
      return;
    }
    if (this.#latest === null) this.#fullColour = hasFullColour(picture);
    this.#latest?.close();
    this.#latest = picture;
    this.#captureMs = Date.now();
    this.#dirty = true;
    this.#settles = 0;
    clearTimeout(this.#settle);
    this.pump();
  }

  /** Whether it is known what to encode with. Finds out where it is not, and pumps then. */
  #chosen(): boolean {
    if (this.#decodable === null) return false;
    this.#ladder ??= ladder.start(this.#decodable, this.#fullColour);
    const codec = ladder.codec(this.#ladder);
    if (codec !== '' && codec === this.#checked) return true;
    if (codec === '') {
      this.#events.failed(); // the other end can show nothing that this one can make
      return false;
    }
    void Encoder.supports(codec).then((supported) => {
      if (this.#stopped || this.#ladder === null || ladder.codec(this.#ladder) !== codec) return;
      if (supported) this.#checked = codec;
      else this.#ladder = ladder.failed(this.#ladder);
      this.pump();
    });
    return false;
  }

  #configure(picture: Picture, codec: string): boolean {
    const [width, height] = limit(...sizeOf(picture), needsEven(codec));
    if (width === 0 || height === 0) return false;
    if (codec !== this.#codec) this.#restart();
    const sized = width !== this.#width || height !== this.#height;
    const { bitrate } = this.#flow;
    const steered = Math.abs(bitrate - this.#bitrate) > this.#encoder.steer * this.#bitrate;
    if (sized || steered || !this.#encoder.ready) {
      if (sized || !this.#encoder.ready) this.#needKey = true;
      this.#codec = codec;
      this.#width = width;
      this.#height = height;
      this.#bitrate = bitrate;
      if (!this.#encoder.configure(codec, width, height, bitrate)) return false;
    }
    return this.#flow.opening || this.#tell();
  }

  /** Tells the agent's end what the frames are that follow, if it does not know; false when that can't be sent. */
  #tell(): boolean {
    const config = this.#describe(this.#codec, this.#width, this.#height);
    const text = JSON.stringify(config);
    if (text === this.#config) return true;
    if (!this.#events.configured(config)) return false;
    this.#config = text;
    this.#needKey = true;
    return true;
  }

  #describe(codec: string, width: number, height: number): ScreenConfig {
    const stream = this.number === 0 ? {} : { stream: this.number };
    return { type: 'screen.config', ...stream, codec, width, height, surface: this.#surface };
  }

  #output(encoded: Encoded): void {
    if (encoded.asked) this.#keying = false;
    if (this.#stopped || !this.#events.allowed()) {
      this.#needKey = true; //guard:T22
      return;
    }
    const ahead = this.#begun;
    if (ahead && this.#flow.opening) {
      this.#ahead = encoded; // sent when the path is there
      return;
    }
    this.#ahead = null;
    this.#begun = false;
    if (encoded.data.length > MAX_FRAME_BYTES) {
      this.#broken();
      return;
    }
    const image = this.#codec.startsWith('image/');
    if (image && !this.#flow.paced) this.#notBeforeMs = Date.now() + (encoded.data.length * 8000) / this.#flow.bitrate;
    if (ahead) {
      this.#tell();
      this.#needKey = false; // this frame is the key
    }
    this.#hand(encoded.key ? FRAME_KIND.key : FRAME_KIND.delta, encoded.captureMs, encoded.data);
    if (!image) this.#rest(encoded);
    if (!encoded.key) this.#steer(encoded.tookMs);
  }

  #hand(kind: Frame['kind'], captureMs: number, data: Uint8Array<ArrayBuffer>): void {
    const frame = this.#frame;
    this.#frame = (this.#frame + 1) >>> 0;
    if (kind === FRAME_KIND.key) this.#lastKey = frame;
    if (this.#flow.send({ kind, stream: this.number, frame, captureMs: captureMs >>> 0, data })) this.#events.sent();
    else {
      this.#needKey ||= !this.#keying; // the chain starts anew
      this.#dirty = this.#latest !== null;
      this.#later();
    }
  }

  #later(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.pump();
    }, RETRY_MS);
  }

  /** Encodes the last picture of a movement again until the encoder has nothing to add. */
  #rest(encoded: Encoded): void {
    this.#tiny = !encoded.key && encoded.data.length < TINY_BYTES ? this.#tiny + 1 : 0;
    this.#compare();
    clearTimeout(this.#settle);
    if (this.#tiny > 1 || this.#settles >= SETTLE_MAX) return;
    this.#settle = setTimeout(() => {
      if (this.#latest === null || this.#dirty) return;
      this.#settles++;
      this.#dirty = true;
      this.pump();
    }, SETTLE_MS);
  }

  /** Pictures of what stands still are compared before they are encoded; a tab's come only when it has changed. */
  #compare(): void {
    this.#capture?.compare(this.#tiny >= STILL_AFTER && this.#surface !== 'browser');
  }

  #steer(tookMs: number): void {
    if (this.#ladder === null || this.#codec !== ladder.codec(this.#ladder)) return; // of the codec before
    const before = this.#ladder.at;
    this.#ladder = ladder.steer(ladder.encoded(this.#ladder, tookMs), Date.now());
    if (this.#ladder.at !== before) this.keyframe();
    const fps = this.#flow.fast ? Math.round(1000 / ladder.intervalMs(this.#ladder)) : SLOW_FPS;
    if (fps === this.#fps) return;
    this.#fps = fps;
    this.#capture?.rate(fps);
  }

  /** The codec in use can't go on. */
  #broken(): void {
    if (this.#stopped || this.#ladder === null) return;
    if (this.#codec === STILL && this.#checked !== STILL) {
      this.#restart(); // an image on the way down; the next one may do
      return;
    }
    this.#ladder = ladder.failed(this.#ladder);
    this.#restart();
    this.keyframe();
  }

  #restart(): void {
    this.#encoder.reset();
    this.#codec = '';
    this.#keying = false;
    this.#tiny = 0;
    this.#ahead = null;
    this.#begun = false;
    this.#compare();
  }

  #drop(): void {
    this.#latest?.close();
    this.#latest = null;
    this.#glimpse = null;
    this.#dirty = false;
  }
}
