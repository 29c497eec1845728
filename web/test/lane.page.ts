// A customer's end in a real browser for peer/lane_chromium_test.go: the page's own peer and flow, with frames whose
// bytes are known. It sends what it has to say to /say and asks /next for more.

import { Flow } from '../src/browser/flow.ts';
import { Peer } from '../src/browser/peer.ts';
import type { FromCustomer, SessionState } from '../src/core/protocol.gen.ts';
import { desktop, random } from './lanes.sim.ts';

const FRAMES = Number(new URLSearchParams(location.search).get('frames') ?? '60');
const INTERVAL_MS = 66;

function say(message: unknown): void {
  void fetch('/say', { method: 'POST', body: JSON.stringify(message) });
}

let flow: Flow | null = null;
let frame = 0;
let needKey = false;
const next = random(3);

const state = { type: 'session.state', session: 's', state: 'connecting', loopbackOk: true } as unknown as SessionState;
const peer = new Peer(state, {
  signal: (message: FromCustomer) => {
    say(message);
    return true;
  },
  phase: () => undefined,
  message: (message) => {
    if (message.type === 'screen.feedback') flow?.feedback(message);
    if (message.type === 'screen.keyframe') needKey = true;
  },
  peerGone: () => false,
  ended: (reason) => say({ ended: reason }),
});

function tick(): void {
  if (!peer.flowing || peer.lane?.open !== true) return;
  flow ??= new Flow(peer, { allowed: () => true, lost: () => undefined, ready: () => undefined });
  if (frame >= FRAMES) return;
  if (flow.skips(0, 0, Date.now())) return;
  const one = desktop(next, frame++);
  const kind = one.frame === 0 || needKey ? 1 : 2;
  needKey = false;
  if (!flow.send({ ...one, kind, captureMs: Date.now() >>> 0 })) needKey = true;
  if (frame < FRAMES) return;
  setTimeout(() => {
    const { pace, fragments, repeated, parity, probed } = peer.lane?.sender ?? {};
    say({
      done: {
        rtt: pace?.rttMs,
        queue: pace?.queueMs,
        loss: pace?.loss,
        window: pace?.window,
        bandwidth: pace?.bandwidth,
        fragments,
        repeated,
        parity,
        probed,
      },
    });
  }, 1000);
}
setInterval(tick, INTERVAL_MS);

async function listen(): Promise<void> {
  for (;;) {
    const message = await (await fetch('/next')).json();
    if (message.type === 'session.offer') peer.offer(message);
    else if (message.type === 'session.candidate') peer.candidate(message);
  }
}
void listen();
