// What the page accepts of a remote description and of candidates.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowsCandidate, checkSdp, filterSdp, laneSdp, partsOf } from '../src/core/sdp.ts';

const print = (byte: string) => Array(32).fill(byte).join(':');
const good = [
  'v=0',
  'o=- 1 2 IN IP4 0.0.0.0',
  's=-',
  't=0 0',
  `a=fingerprint:sha-256 ${print('AB')}`,
  'a=group:BUNDLE 0',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 0.0.0.0',
  'a=setup:actpass',
  'a=mid:0',
  'a=sctp-port:5000',
  '',
].join('\r\n');

const refusedFor = (sdp: string, pinned = '') => {
  const result = checkSdp(sdp, pinned);
  return 'refused' in result ? result.refused : '';
};

test('a plain offer is accepted and names its fingerprint', () => {
  assert.deepEqual(checkSdp(good, ''), { fingerprint: print('AB') });
  assert.deepEqual(checkSdp(good, print('AB')), { fingerprint: print('AB') });
  assert.deepEqual(checkSdp(good.replaceAll('AB', 'ab'), print('AB')), { fingerprint: print('AB') });
});

test('hostile offers', () => {
  const cases: [string, string][] = [
    ['a second fingerprint', `${good}a=fingerprint:sha-256 ${print('CD')}\r\n`],
    ['sha-1', good.replace('sha-256', 'sha-1')],
    ['no fingerprint', good.replace(/a=fingerprint.*\r\n/, '')],
    ['short fingerprint', good.replace(`${print('AB')}`, 'AB:CD')],
    ['audio', good.replace('m=application', 'm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nm=application')],
    ['only video', good.replace('m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'm=video 9 UDP/TLS/RTP/SAVPF 96')],
    ['two sections', good + good.slice(good.indexOf('m='))],
    ['nothing', ''],
    ['31 candidates', good + 'a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n'.repeat(31)],
    ['17 KiB', `${good}a=x:${'x'.repeat(17_000)}\r\n`],
    ['bare newlines hide a section', `${good}m=audio 9 UDP/TLS/RTP/SAVPF 0\n`],
  ];
  for (const [name, sdp] of cases) assert.notEqual(refusedFor(sdp), '', name);
  assert.equal(refusedFor(good, print('CD')), 'a changed fingerprint');
});

const candidate = (address: string, rest = 'typ host') => `candidate:1 1 udp 2130706431 ${address} 50000 ${rest}`;

test('candidates', () => {
  const yes = [
    '192.168.1.7',
    '10.0.0.3',
    '203.0.113.9',
    '100.64.0.1',
    '2001:db8::7',
    'fd00::1',
    'a1b2c3d4-0000-4000-8000-123456789abc.local',
    '::ffff:192.168.1.7',
  ];
  const no = [
    '169.254.169.254', '169.254.1.1', '0.0.0.0', '0.1.2.3', '224.0.0.1', '239.1.1.1', '255.255.255.255', '256.1.1.1', '1.2.3',
    'fe80::1', 'febf::1', 'ff02::1', '::', '::ffff:169.254.169.254', '::ffff:0:0', '64:ff9b::a9fe:a9fe', '::ffff:a9fe:a9fe',
    'example.com', 'localhost', 'x.local.evil.com', '1::2::3', '12345::', '',
  ]; // biome-ignore format: a table
  const loopback = ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '0:0:0:0:0:0:0:1'];
  for (const address of yes) assert.equal(allowsCandidate(candidate(address), false), true, address);
  for (const address of no) {
    assert.equal(allowsCandidate(candidate(address), false), false, address);
    assert.equal(allowsCandidate(candidate(address), true), false, address);
  }
  for (const address of loopback) {
    assert.equal(allowsCandidate(candidate(address), false), false, address);
    assert.equal(allowsCandidate(candidate(address), true), true, address);
  }
  assert.equal(allowsCandidate('candidate:1 2 udp 1 10.0.0.1 9 typ host', false), false, 'component 2');
  assert.equal(allowsCandidate(candidate('10.0.0.1', 'typ host raddr 127.0.0.1 rport 9'), false), true);
  assert.equal(allowsCandidate('nonsense', false), false);
});

test('candidates inside a description are filtered too', () => {
  const line = (address: string) => `a=${candidate(address)}\r\n`;
  const filtered = filterSdp(good + line('10.0.0.1') + line('127.0.0.1') + line('169.254.169.254'), false);
  assert.ok(filtered.includes('10.0.0.1'));
  assert.ok(!filtered.includes('127.0.0.1') && !filtered.includes('169.254'));
});

const PARTS = {
  ufrag: 'EsAw',
  pwd: 'P2uYro0UCOQ4zxjKXaWCBui1',
  fingerprint: `sha-256 ${Array(32).fill('AB').join(':')}`,
};

test('a lane’s description is made of its checked parts alone, and read back', () => {
  const sdp = laneSdp(PARTS) ?? '';
  assert.deepEqual(partsOf(sdp), PARTS);
  assert.deepEqual(checkSdp(sdp, ''), { fingerprint: PARTS.fingerprint.slice(8) });
  for (const bad of [
    { ufrag: 'abc' },
    { ufrag: 'a'.repeat(257) },
    { ufrag: 'EsAw\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host' },
    { pwd: 'P2uYro0UCOQ4zxjKXaWCB' },
    { pwd: 'P2uYro0UCOQ4zxjKXaWCBui1\n' },
    { fingerprint: 'sha-1 AB' },
    { fingerprint: `${PARTS.fingerprint}:AB` },
    { fingerprint: `${PARTS.fingerprint}\r\na=fingerprint:${PARTS.fingerprint}` },
  ]) {
    assert.equal(laneSdp({ ...PARTS, ...bad }), null, JSON.stringify(bad));
  }
  assert.equal(partsOf(sdp.replace(/a=ice-pwd.*\r\n/, '')), null);
});
