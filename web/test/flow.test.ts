// What holds a picture back when its lane has ended or the path is silent. The peer stands in as what the flow sees of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flow } from '../src/browser/flow.ts';
import type { Peer } from '../src/browser/peer.ts';
import { Sender } from '../src/core/lanes.ts';
import { FRAME_KIND } from '../src/core/protocol.gen.ts';

function make() {
  const screen = { readyState: 'open', bufferedAmount: 0, sent: 0, send: () => screen.sent++ };
  const peer = {
    phase: 'connected',
    quiet: false,
    screen,
    lane: { open: true, sender: new Sender(), pump: () => undefined },
  };
  const flow = new Flow(peer as unknown as Peer, { allowed: () => true, ready: () => undefined });
  const send = (kind: 1 | 2, frame: number) =>
    flow.send({ kind, stream: 0, frame, captureMs: 0, data: new Uint8Array(10) });
  return { peer, screen, flow, send };
}

test('frames that went with their lane hold nothing back', () => {
  const { peer, screen, flow, send } = make();
  assert.equal(send(FRAME_KIND.key, 0), true);
  for (let frame = 1; frame < 10; frame++) assert.equal(send(FRAME_KIND.delta, frame), true);
  peer.lane.open = false;
  assert.equal(flow.skips(0, 0, Date.now()), false);
  assert.equal(send(FRAME_KIND.delta, 10), false, 'the chain is broken');
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
