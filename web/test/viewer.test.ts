// The pure parts of the viewer: where the picture lies, when it is sharpened, what is shown.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewerTexts } from '../src/core/text.ts';
import { bits, codecWords } from '../src/viewer/codec.ts';
import { actionOf } from '../src/viewer/keys.ts';
import { heard, inFront, type Model, sentence, trouble } from '../src/viewer/model.ts';
import * as stillness from '../src/viewer/stillness.ts';
import { FIT, pan, place, SCALE_MAX, SCALE_MIN, step, under, type View, zoom } from '../src/viewer/view.ts';

const picture = { width: 1280, height: 720 };
const stage = { width: 1000, height: 801 };

test('fitted: the whole picture, centred, in whole pixels', () => {
  assert.deepEqual(place(FIT, picture, stage), { left: 0, top: 119, width: 1000, height: 563, scale: 0.78125 });
  assert.deepEqual(place(FIT, { width: 1, height: 1 }, { width: 0, height: 0 }).width, 1);
});

test('at 1:1 each pixel of the picture is one of the screen, and the edges stay at the edges', () => {
  const actual: View = { scale: 1, x: 640, y: 360 };
  assert.deepEqual(place(actual, picture, stage), { left: -140, top: 40, width: 1280, height: 720, scale: 1 });
  const far = pan(actual, picture, stage, 1e6, 1e6);
  assert.equal(place(far, picture, stage).left, stage.width - picture.width);
  assert.equal(place(far, picture, stage).top, 40); // it is smaller than the stage there
  const back = pan(far, picture, stage, -100, 0);
  assert.equal(place(back, picture, stage).left, stage.width - picture.width + 100); // at once
  assert.equal(pan(FIT, picture, stage, 50, 50), FIT);
});

test('zooming keeps the point under the pointer', () => {
  const at = { x: 700, y: 300 };
  let view: View = { scale: 1, x: 640, y: 360 };
  for (const scale of [2, 3.3, 8, 5]) {
    const before = under(view, picture, stage, at);
    view = zoom(view, picture, stage, scale, at);
    const after = under(view, picture, stage, at);
    assert.ok(Math.abs(before.x - after.x) < 1 && Math.abs(before.y - after.y) < 1, `${scale}`);
  }
  assert.equal(zoom(FIT, picture, stage, 1e9, at).scale, SCALE_MAX);
  assert.equal(zoom(FIT, picture, stage, 0, at).scale, SCALE_MIN);
});

test('steps go up and down from what is shown, and end', () => {
  assert.equal(step(FIT, picture, stage, 1), 1);
  assert.equal(step(FIT, picture, stage, -1), 0.75);
  assert.equal(step({ scale: 1, x: 0, y: 0 }, picture, stage, 1), 1.25);
  assert.equal(step({ scale: SCALE_MAX, x: 0, y: 0 }, picture, stage, 1), SCALE_MAX);
});

test('a still is asked for once nothing has moved for 400 ms, and less often where stills do not last', () => {
  let s = stillness.initial;
  assert.equal(stillness.dueMs(s), null);
  s = stillness.moved(s, 1000);
  assert.equal(stillness.dueMs(s), 1400);
  s = stillness.asked(s);
  assert.equal(stillness.dueMs(s), null);
  s = stillness.answered(s, true, 1500);
  assert.equal(stillness.dueMs(s), null);
  s = stillness.moved(s, 2000); // a blinking cursor
  assert.equal(stillness.dueMs(s), 2800);
  s = stillness.refused(stillness.asked(s), 'motion', 2900);
  assert.equal(stillness.dueMs(s), 2000 + 1600);
  for (let i = 0; i < 20; i++) s = stillness.refused(s, 'motion', 3000);
  assert.equal(stillness.dueMs(s), 2000 + 8000);
  s = stillness.moved(stillness.answered(s, true, 20_000), 30_000); // it lasted
  assert.equal(stillness.dueMs(s), 30_400);
  assert.equal(stillness.dueMs(stillness.refused(s, 'slow', 31_000)), 61_000);
  assert.equal(stillness.dueMs(stillness.refused(s, 'large', 31_000)), null);
});

const model: Model = {
  text: viewerTexts.en,
  link: 'open',
  state: null,
  streams: [],
  levels: [],
  seenMs: 0,
  wanted: false,
  refused: '',
  worker: true,
};
const config = (stream: number, codec = 'vp8') =>
  ({
    type: 'config',
    config: { type: 'viewer.config', stream, codec, width: 4, height: 4, surface: 'window' },
  }) as const;
const shown = (stream: number) => ({ type: 'shown', shown: { stream, width: 4, height: 4, still: '' } }) as const;
const state = (name: 'connected' | 'reconnecting') =>
  ({
    type: 'state',
    state: { type: 'viewer.state', state: name, conversation: 'x', verification: 'unchecked' },
  }) as const;

test('streams come, stay in their order, keep what they show under a new configuration, and go', () => {
  let m = heard(heard(heard(model, config(2), 1), config(0), 1), shown(2), 1);
  assert.deepEqual(
    m.streams.map((one) => one.stream),
    [0, 2],
  );
  m = heard(m, config(2, 'vp09.00.51.08'), 2);
  assert.equal(inFront(m, 2)?.shown?.width, 4);
  m = heard(m, { type: 'problem', stream: 2, problem: 'codec' }, 3);
  assert.match(trouble(inFront(m, 2) as NonNullable<ReturnType<typeof inFront>>, m.text), /VP9/);
  m = heard(m, { type: 'removed', stream: 2 }, 4);
  assert.equal(inFront(m, 2)?.stream, 0);
  assert.equal(inFront(heard(m, { type: 'removed', stream: 0 }, 5), 2), null);
});

test('a silent path: the age of the last picture counts from when it was sure', () => {
  let m = heard(heard(heard(model, config(0), 1), shown(0), 1000), state('connected'), 5000);
  m = heard(m, state('reconnecting'), 8000);
  assert.equal(m.seenMs, 5000);
  assert.match(sentence(m, '0:12'), /0:12/);
  assert.equal(heard(m, { type: 'removed', stream: 0 }, 9000).seenMs, 0);
});

test('why no still comes is said only where somebody asked', () => {
  const no = { type: 'refused', stream: 0, why: 'slow' } as const;
  assert.equal(heard(model, no, 1).refused, '');
  assert.equal(heard({ ...model, wanted: true }, no, 1).refused, 'slow');
});

test("codecs and rates in words; a stranger's codec is not printed", () => {
  const words = ['av01.1.08M.08.0.000', 'av01.0.08M.08', 'avc1.42E034', 'vp09.01.51.08', 'image/png', '<b>x'];
  assert.deepEqual(
    words.map((one) => codecWords(one, viewerTexts.en)),
    ['AV1, full colour', 'AV1', 'H.264', 'VP9, full colour', 'PNG, lossless', 'another format'],
  );
  assert.equal(bits(1_249_000), '1.2 Mbit/s');
  assert.equal(bits(999), '1 kbit/s');
});

test('keys', () => {
  assert.deepEqual(actionOf('3'), { type: 'pick', index: 2 });
  assert.deepEqual(actionOf('F'), { type: 'full' });
  assert.equal(actionOf('toString'), null);
  assert.equal(actionOf('5'), null);
});
