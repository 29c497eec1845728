// The customer's side of a session against what a server may say: for whom it connects, and what it ends. The
// socket is a script; of the browser only what Node lacks stands in, and counts.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { ConversationState, FromCustomer, FromServer, SessionState } from '../src/core/protocol.gen.ts';
import { texts } from '../src/core/text.ts';
import type { Client } from '../src/page/client.ts';
import { first, type Model } from '../src/page/model.ts';
import { Sharing } from '../src/page/sharing.ts';

let connections = 0;
let picked: ((stream: unknown) => void) | null = null;
let dismiss: (() => void) | null = null;
const channel = () => ({ readyState: 'connecting', close: () => undefined });
const browser = {
  RTCPeerConnection: function connect() {
    connections++;
    return { createDataChannel: channel, close: () => undefined };
  },
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
};
Object.assign(globalThis, browser, { window: globalThis });
Object.defineProperty(globalThis, 'navigator', {
  configurable: true,
  value: {
    mediaDevices: {
      getDisplayMedia: () =>
        new Promise((resolve, reject) => {
          picked = resolve;
          dismiss = () => reject(new DOMException('dismissed', 'NotAllowedError'));
        }),
    },
  },
});

const conversation: ConversationState = {
  type: 'conversation.state',
  conversation: 'c',
  state: 'claimed',
  lastSeq: 0,
  marks: { customerReceived: 0, customerRead: 0, agentReceived: 0, agentRead: 0 },
  agent: { id: 'a', name: 'Ana', status: 'available' },
};
const state = (patch: Partial<SessionState>): SessionState => ({
  type: 'session.state',
  session: 's1',
  conversation: 'c',
  state: 'requested',
  by: 'agent',
  ...patch,
});

let sent: FromCustomer[] = [];
let answer: (reply: FromServer | null) => Promise<void>;
let client: { model: Model };
let sharing: Sharing;

beforeEach(() => {
  connections = 0;
  sent = [];
  const made = {
    model: { ...first('en', texts.en), conversation } as Model,
    update(patch: Partial<Model>) {
      made.model = { ...made.model, ...patch };
    },
    setDirect: () => undefined,
    setDirectOn: () => undefined,
    socket: {
      send: (message: FromCustomer) => sent.push(message) > 0,
      request: (message: FromCustomer) => {
        sent.push(message);
        return new Promise<FromServer | null>((resolve) => {
          answer = async (reply) => {
            if (reply !== null) sharing.receive(reply);
            resolve(reply);
            await settled();
          };
        });
      },
    },
    sharing: null as Sharing | null,
  };
  client = made;
  sharing = new Sharing(made as unknown as Client);
  made.sharing = sharing;
});

afterEach(() => sharing.leave()); // also of a test that failed: nothing of it may tick on

const settled = () => new Promise((resolve) => setImmediate(resolve));
const types = () => sent.map((message) => message.type);
const refusal: FromServer = { type: 'error', code: 'E_SESSION', text: 'There is one already.' };

test("no connection on the server's word alone", () => {
  sharing.receive(state({ state: 'connecting', bound: true }));
  assert.equal(connections, 0);
  assert.deepEqual(types(), ['session.end']);
});

test('a connection after the own request', async () => {
  sharing.direct(true);
  await answer(state({ by: 'customer' }));
  sharing.receive(state({ session: 's2', state: 'connecting', by: 'customer', bound: true }));
  assert.equal(connections, 0, 'another session');
  sharing.receive(state({ state: 'connecting', by: 'customer', bound: true }));
  assert.equal(connections, 1);
  sharing.disconnect();
});

test('a request ends with the socket that asked', async () => {
  sharing.direct(true);
  await answer(state({ by: 'customer' }));
  sharing.conversation({ ...conversation, session: 's1' });
  assert.equal(client.model.session?.phase, 'requested');
  sharing.conversation(conversation);
  assert.equal(client.model.session, null);
  assert.equal(client.model.notice?.text, texts.en.endExpired);
});

test("the customer's click and the agent's request at the same time are one session", async () => {
  sharing.click('screen');
  const refused = answer;
  sharing.receive(state({ picture: true }));
  assert.equal(types().at(-1), 'session.accept');
  const accepted = answer;
  await refused(refusal);
  assert.equal(client.model.consent.state, 'picking');
  await accepted(state({ state: 'connecting', bound: true, picture: true }));
  assert.equal(connections, 1);
  sharing.disconnect();
});

test('a picker that is dismissed after the accept ends the session', async () => {
  sharing.receive(state({ picture: true }));
  client.model = { ...client.model, consent: { ...client.model.consent, promptMs: 1 } };
  sharing.answer(true);
  assert.equal(types().at(-1), 'session.accept');
  dismiss?.();
  await settled();
  assert.equal(types().at(-1), 'session.end');
  assert.equal(client.model.session, null);
});

test('questions for a direct connection are muted too', () => {
  for (let i = 0; i < 4; i++) {
    sharing.receive(state({ session: `s${i}` }));
    assert.equal(client.model.prompt !== null, i < 3);
    if (i < 3) sharing.answer(false);
  }
  assert.equal(sent.filter((message) => message.type === 'session.decline').length, 4);
});

test('a session that the server ends under this tab gets a sentence', async () => {
  sharing.direct(true);
  await answer(state({ by: 'customer' }));
  sharing.receive(state({ by: 'customer', state: 'ended', reason: 'left' }));
  assert.equal(client.model.notice?.text, texts.en.endLost);
});

test('another source stops the one before, also while there is no encoder', async () => {
  const tracks = [0, 1].map(() => ({ stopped: false, stop: () => undefined, getSettings: () => ({}) }));
  for (const track of tracks) {
    track.stop = () => {
      track.stopped = true;
      return undefined;
    };
  }
  const stream = (i: number) => ({ getVideoTracks: () => [tracks[i]], getTracks: () => [tracks[i]] });
  sharing.click('screen');
  picked?.(stream(0));
  await settled();
  sharing.picture.replace(0, 'screen');
  picked?.(stream(1));
  await settled();
  assert.deepEqual(
    tracks.map((track) => track.stopped),
    [true, false],
  );
  sharing.stop();
  assert.equal(tracks[1]?.stopped, true);
});

test('a recording is allowed by the customer alone: not by the server, not by the agent', async () => {
  const track = { stop: () => undefined, getSettings: () => ({}) };
  sharing.click('screen');
  await answer(state({ by: 'customer', picture: true }));
  picked?.({ getVideoTracks: () => [track], getTracks: () => [track] });
  await settled();
  sharing.receive(state({ state: 'connecting', by: 'customer', bound: true, picture: true }));
  assert.equal(client.model.consent.state, 'on');

  sharing.receive({ type: 'consent.ask', session: 's1', grant: 'record' });
  assert.equal(client.model.prompt?.kind, 'record');
  sharing.answer(true); // too early: the button is not armed
  sharing.receive({ type: 'consent.state', session: 's1', grant: 'record', state: 'on', cause: 'allowed' });
  sharing.picture.receive({ type: 'record.state', on: true, atMs: 1 });
  assert.equal(client.model.consent.record, 'asked');
  assert.equal(client.model.consent.forged, 2);

  client.model = { ...client.model, consent: { ...client.model.consent, recordMs: 1 } }; // shown long ago
  sharing.answer(true);
  assert.equal(client.model.consent.record, 'on');
  assert.equal(client.model.prompt, null);
  sharing.picture.receive({ type: 'record.state', on: false, atMs: 2 }); // the agent's program is done
  assert.equal(client.model.consent.record, 'off');
  const told = sent.flatMap((message) =>
    message.type === 'consent.state' && message.grant === 'record' ? [message.state] : [],
  );
  assert.deepEqual(told, ['asked', 'on', 'off']);
  sharing.stop();
});
