// Signs of life after a silence. The browser's connection is a stand-in that notes what goes out on each channel.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { Lane } from '../src/browser/lane.ts';
import { Peer } from '../src/browser/peer.ts';
import type { SessionState } from '../src/core/protocol.gen.ts';

class Channel {
  readyState = 'open';
  bufferedAmount = 0;
  sent: string[] = [];
  onopen: () => void = () => undefined;
  onmessage: (event: { data: string }) => void = () => undefined;
  send(text: string): void {
    this.sent.push(text);
  }
  take(message: unknown): void {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

const channels = new Map<string, Channel>();
Object.assign(globalThis, {
  RTCPeerConnection: class {
    createDataChannel(label: string): Channel {
      const channel = new Channel();
      channels.set(label, channel);
      return channel;
    }
    close(): void {}
  },
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
});

function channel(label: string): Channel {
  const found = channels.get(label);
  assert.ok(found);
  return found;
}

for (const [copies, signs] of [
  [2, true],
  [1, false],
] as const) {
  test(`on a silent path pings go by copies: ${signs} with an agent of version ${copies}`, () => {
    mock.timers.enable({ apis: ['setInterval', 'Date'], now: 1_000_000 });
    const state = {
      type: 'session.state',
      session: 's',
      conversation: 'c',
      state: 'connecting',
    } as unknown as SessionState;
    const peer = new Peer(state, {
      signal: () => true,
      phase: () => undefined,
      message: () => undefined,
      peerGone: () => false,
      ended: () => undefined,
    });
    channel('control').onopen();
    channel('direct').take({ type: 'direct.hello', copies });
    const pings = (label: string) => channel(label).sent.filter((text) => text.includes('peer.ping')).length;
    for (let ms = 0; ms < 2_000; ms += 250) mock.timers.tick(250);
    assert.equal(peer.quiet, false);
    assert.equal(pings('copies'), 0);
    let closed = 0;
    peer.lane = { close: () => closed++ } as unknown as Lane;
    for (let ms = 0; ms < 1_250; ms += 250) mock.timers.tick(250);
    assert.equal(peer.phase, 'reconnecting');
    assert.equal(closed, 1, 'the lane is over');
    const before = pings('control');
    const first = pings('copies');
    for (let ms = 0; ms < 3_000; ms += 250) mock.timers.tick(250);
    assert.equal(pings('control') === before, signs);
    assert.equal(pings('copies') > first, signs);
    const silent = pings('copies');
    channel('copies').take({ type: 'peer.pong', n: 1, sentMs: 1, atMs: 1 });
    assert.equal(peer.phase, 'connected');
    assert.equal(pings('copies') - silent, signs ? 4 : 0, 'packets behind what was lost');
    peer.close('stopped');
    mock.timers.reset();
  });
}
