// When a stream asks its encoder for a key frame: as often as its chain needs one, and not once more. The source and the
// encoder are scripts, the flow stands in as what the stream sees of it.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { Flow } from '../src/browser/flow.ts';
import { Stream } from '../src/browser/stream.ts';
import type { Frame } from '../src/core/frame.ts';
import { FRAME_KIND } from '../src/core/protocol.gen.ts';
import { encoders, ScriptedFrame } from './scripted.ts';

let source: ReadableStreamDefaultController<ScriptedFrame>;

class Processor {
  readonly readable = new ReadableStream<ScriptedFrame>({
    start(controller) {
      source = controller;
    },
  });
}

Object.assign(globalThis, { window: globalThis, MediaStreamTrackProcessor: Processor });

let sent: Frame[] = [];
let takes = (_: Frame) => true; // whether the flow sends a frame
let underWay = -1; // frame that the flow has sent a moment ago
let stream: Stream;

/** One more picture of the source; it is in the encoder afterwards. Before its interval is over it would wait. */
async function picture(): Promise<void> {
  await new Promise((done) => setTimeout(done, 40));
  source.enqueue(new ScriptedFrame());
  await new Promise((done) => setTimeout(done));
}

const encoder = () => {
  const one = encoders.at(-1);
  assert.ok(one);
  return one;
};
const waiting = () => encoder().frames.map((frame) => frame.type);

beforeEach(async () => {
  encoders.length = 0;
  sent = [];
  takes = () => true;
  underWay = -1;
  const flow = {
    flowing: true,
    opening: false,
    paced: true,
    fast: true,
    bitrate: 1_000_000,
    firstFrame: 0,
    skips: () => false,
    underWay: (_: number, frame: number) => frame === underWay,
    send: (frame: Frame) => {
      if (!takes(frame)) return false;
      sent.push(frame);
      return true;
    },
  };
  stream = new Stream(0, flow as unknown as Flow, {
    allowed: () => true,
    level: () => 'video',
    configured: () => true,
    shown: () => undefined,
    sent: () => undefined,
    failed: () => assert.fail('the stream gave up'),
  });
  stream.show({ stop: () => undefined, readyState: 'live' } as unknown as MediaStreamTrack, 'window');
  stream.codecs(['vp8']);
  await picture();
  await picture();
  encoder().give();
  while (encoder().frames.length > 0) encoder().give();
});

test('one key frame begins the chain anew, however many frames were lost with it', async () => {
  await picture();
  await picture();
  assert.deepEqual(waiting(), ['delta', 'delta']);
  takes = (frame) => frame.kind === FRAME_KIND.key; // the lane has gone
  encoder().give();
  assert.deepEqual(waiting(), ['delta', 'key']);
  encoder().give(); // it can't be sent either, and a key frame is in the encoder
  assert.deepEqual(waiting(), ['key', 'delta']);
  encoder().give();
  assert.equal(sent.at(-1)?.kind, FRAME_KIND.key);
  takes = () => false; // that one was lost too
  encoder().give();
  assert.deepEqual(waiting(), ['key']);
  stream.stop();
});

test('a key frame that is asked for is made once', async () => {
  stream.wanted();
  assert.deepEqual(waiting(), ['key']);
  stream.wanted();
  stream.codecs(['vp8']);
  await picture();
  assert.deepEqual(waiting(), ['key', 'delta']);
  encoder().give();
  encoder().give();
  underWay = sent.findLast((frame) => frame.kind === FRAME_KIND.key)?.frame ?? -1;
  stream.wanted();
  assert.deepEqual(waiting(), []);
  underWay = -1; // it was acknowledged, or is lost
  stream.wanted();
  assert.deepEqual(waiting(), ['key']);
  stream.stop();
});
