// What holds a picture back when its lane has ended or the path is silent. The peer stands in as what the flow sees of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flow } from '../src/browser/flow.ts';
import type { Peer } from '../src/browser/peer.ts';
import { Sender } from '../src/core/lanes.ts';
import { FRAME_KIND } from '../src/core/protocol.gen.ts';
import { BITRATE_START } from '../src/core/rate.ts';

function make() {
  const screen = { readyState: 'open', bufferedAmount: 0, sent: 0, send: () => screen.sent++ };
  const peer = {
    phase: 'connected',
    quiet: false,
    screen,
    lane: { open: true, sender: new Sender(), pump: () => undefined },
  };
  const lost: number[] = [];
  const flow = new Flow(peer as unknown as Peer, {
    allowed: () => true,
    ready: () => undefined,
    lost: (stream) => lost.push(stream),
  });
  const send = (kind: 1 | 2, frame: number) =>
    flow.send({ kind, stream: 0, frame, captureMs: 0, data: new Uint8Array(10) });
  return { peer, screen, flow, send, lost };
}

test('frames that went with their lane hold nothing back', async () => {
  const { peer, screen, flow, send, lost } = make();
  assert.equal(send(FRAME_KIND.key, 0), true);
  for (let frame = 1; frame < 10; frame++) assert.equal(send(FRAME_KIND.delta, frame), true);
  peer.lane.open = false;
  assert.equal(flow.skips(0, 0, Date.now()), false);
  assert.equal(send(FRAME_KIND.delta, 10), false, 'the chain is broken');
  await Promise.resolve();
  assert.deepEqual(lost, [0], 'of no other stream was anything on its way');
  assert.equal(send(FRAME_KIND.key, 11), true);
  assert.equal(screen.sent, 1);
});

test('nothing is put before what comes after a silence', () => {
  const { peer, flow } = make();
  peer.quiet = true;
  assert.equal(flow.skips(0, 0, Date.now()), false, 'a lane ends by itself');
  peer.lane.open = false;
  assert.equal(flow.skips(0, 0, Date.now()), true);
  peer.quiet = false;
  assert.equal(flow.skips(0, 0, Date.now()), false);
});

test('a new lane is judged afresh, and frames are waited for on their own path only', () => {
  const { peer, flow, send } = make();
  peer.lane.open = false;
  send(FRAME_KIND.key, 0);
  const slow = Date.now() + 60_000; // of a path that took very long
  for (let frame = 1; frame < 60; frame++) {
    send(FRAME_KIND.delta, frame);
    flow.feedback({ type: 'screen.feedback', frame, receivedMs: slow + 500 * frame });
  }
  const before = flow.bitrate;
  peer.lane = { ...peer.lane, open: true, sender: new Sender() };
  assert.ok(flow.paced);
  assert.ok(flow.bitrate >= before && flow.bitrate >= BITRATE_START, `${before}, then ${flow.bitrate}`);
  send(FRAME_KIND.delta, 60);
  assert.equal(flow.unacked, 1);
  assert.ok(flow.underWay(0, 60) && !flow.underWay(0, 59) && !flow.underWay(1, 60));
  assert.equal(flow.feedback({ type: 'screen.feedback', frame: 59, receivedMs: 1 }), null, 'known before');
  assert.ok((flow.feedback({ type: 'screen.feedback', frame: 60, receivedMs: 1 }) ?? -1) >= 0);
  send(FRAME_KIND.delta, 61);
  flow.drop(0);
  assert.equal(flow.oldestMs, null);
});
