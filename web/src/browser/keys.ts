// The customer's device key: a P-256 pair whose private half can't be exported, kept in the store, which signs
// the server's challenge (security.md 5.1).

import { fromBase64url, helloBytes, toBase64url } from '../core/hello.ts';
import type { HelloChallenge, HelloProof } from '../core/protocol.gen.ts';
import { VERSION } from '../core/protocol.gen.ts';
import type { Store } from './store.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** Gets this browser's key, making it at the first visit. Two tabs that race end up with the same one. */
export async function loadKey(store: Store): Promise<CryptoKeyPair> {
  const found = await store.get('key');
  if (isKeyPair(found)) return found;
  const made = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);
  const kept = await store.putIfAbsent('key', made);
  return isKeyPair(kept) ? kept : made;
}

function isKeyPair(value: unknown): value is CryptoKeyPair {
  return (
    typeof value === 'object' &&
    value !== null &&
    'privateKey' in value &&
    value.privateKey instanceof CryptoKey &&
    'publicKey' in value &&
    value.publicKey instanceof CryptoKey
  );
}

/** Answers a challenge, or null when the server speaks no version of ours. */
export async function prove(
  key: CryptoKeyPair,
  challenge: HelloChallenge,
  host: string,
  locale: string,
): Promise<HelloProof | null> {
  const nonce = fromBase64url(challenge.nonce);
  if (nonce === null || !challenge.versions.includes(VERSION)) return null;
  const pub = new Uint8Array(await crypto.subtle.exportKey('raw', key.publicKey));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', pub));
  const cnonce = crypto.getRandomValues(new Uint8Array(32));
  const bytes = helloBytes('customer', host, nonce, cnonce, digest);
  const sig = new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key.privateKey, bytes));
  return {
    type: 'hello.proof',
    version: VERSION,
    role: 'customer',
    pub: toBase64url(pub),
    cnonce: toBase64url(cnonce),
    host,
    sig: toBase64url(sig),
    locale,
  };
}
