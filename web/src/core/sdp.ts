// What a page accepts of a remote description and of remote candidates (security.md T19, T20): one data-channel
// section, one sha-256 fingerprint that never changes, few candidates, none aimed at this machine or its link.

export const MAX_SDP_BYTES = 16_384;
export const MAX_CANDIDATES = 30; // of one generation

const FINGERPRINT = /^sha-256 ([0-9A-F]{2}(?::[0-9A-F]{2}){31})$/i;

/** Checks a remote description. pinned is the fingerprint of the first one, '' before. */
export function checkSdp(sdp: string, pinned: string): { fingerprint: string } | { refused: string } {
  if (sdp.length > MAX_SDP_BYTES) return { refused: 'larger than 16 KiB' }; //guard:T19
  let media = 0;
  let candidates = 0;
  const prints = new Set<string>();
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith('m=')) {
      media++;
      if (!/^m=application \d+ UDP\/DTLS\/SCTP webrtc-datachannel$/.test(line)) return { refused: 'a media section' }; //guard:T19
    } else if (line.startsWith('a=fingerprint:')) {
      const match = FINGERPRINT.exec(line.slice('a=fingerprint:'.length));
      if (match?.[1] === undefined) return { refused: 'a fingerprint that is not sha-256' }; //guard:T19
      prints.add(match[1].toUpperCase());
    } else if (line.startsWith('a=candidate:') && ++candidates > MAX_CANDIDATES) {
      return { refused: 'too many candidates' }; //guard:T19
    }
  }
  if (media !== 1) return { refused: `${media} sections, want 1` }; //guard:T19
  const [fingerprint] = prints;
  if (fingerprint === undefined || prints.size !== 1) return { refused: `${prints.size} fingerprints, want 1` }; //guard:T19
  if (pinned !== '' && fingerprint !== pinned) return { refused: 'a changed fingerprint' }; //guard:T19
  return { fingerprint };
}

/** Removes the candidates that may not be used from a description. */
export function filterSdp(sdp: string, loopbackOk: boolean): string {
  return sdp
    .split('\r\n')
    .filter((line) => !line.startsWith('a=candidate:') || allowsCandidate(line.slice(2), loopbackOk))
    .join('\r\n');
}

/** Whether a remote candidate may be used. loopbackOk: a local installation (design 0). */
export function allowsCandidate(candidate: string, loopbackOk: boolean): boolean {
  const part = candidate.replace(/^a=/, '').split(' ');
  const [head = '', component = '', protocol = '', , address = '', port = '', typ = '', kind = ''] = part;
  if (!head.startsWith('candidate:') || component !== '1' || typ !== 'typ') return false;
  if (!/^(udp|tcp)$/i.test(protocol) || !/^\d{1,5}$/.test(port)) return false;
  if (!['host', 'srflx', 'prflx', 'relay'].includes(kind)) return false;
  if (/^[0-9a-z-]{1,63}\.local$/i.test(address)) return true; // mDNS (draft-ietf-mmusic-mdns-ice-candidates)
  if (address.includes(':')) return allowsIPv6(address, loopbackOk);
  return allowsIPv4(address, loopbackOk);
}

function allowsIPv4(address: string, loopbackOk: boolean): boolean {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return false;
  const [a = 256, b = 256, c = 256, d = 256] = address.split('.').map(Number);
  if (Math.max(a, b, c, d) > 255) return false;
  if (a === 127) return loopbackOk; //guard:T20
  return a !== 0 && a < 224 && !(a === 169 && b === 254); //guard:T20
}

function allowsIPv6(address: string, loopbackOk: boolean): boolean {
  const groups = parseIPv6(address);
  if (groups === null) return false;
  const high = groups.slice(0, 5).every((g) => g === 0);
  const [g5 = 0, g6 = 0, g7 = 0] = groups.slice(5);
  if (high && g5 === 0 && g6 === 0 && g7 === 1) return loopbackOk; //guard:T20
  // v4 inside v6: mapped, compatible (with the unspecified address), NAT64
  const nat64 = groups[0] === 0x64 && groups[1] === 0xff9b;
  if ((high && (g5 === 0xffff || g5 === 0)) || nat64) {
    return allowsIPv4(`${g6 >> 8}.${g6 & 255}.${g7 >> 8}.${g7 & 255}`, loopbackOk); //guard:T20
  }
  const first = groups[0] ?? 0;
  return (first & 0xffc0) !== 0xfe80 && (first & 0xff00) !== 0xff00; //guard:T20
}

function parseIPv6(address: string): number[] | null {
  let text = address;
  const v4 = /^(.*:)(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (v4) {
    const [a = 256, b = 256, c = 256, d = 256] = v4.slice(2).map(Number);
    if (Math.max(a, b, c, d) > 255) return null;
    text = `${v4[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [left = [], right = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - left.length - right.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...left, ...Array<string>(missing).fill('0'), ...right];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return all.map((group) => Number.parseInt(group, 16));
}

const ICE_CHARS = /^[A-Za-z0-9+/]{4,256}$/;

/** What two ends must know of each other to open a lane. */
export interface LaneParts {
  readonly ufrag: string;
  readonly pwd: string;
  readonly fingerprint: string;
}

/** Writes the description of the other end's side of a lane; null if a part is not what it must be. */
export function laneSdp({ ufrag, pwd, fingerprint }: LaneParts): string | null {
  if (!ICE_CHARS.test(ufrag) || !ICE_CHARS.test(pwd) || pwd.length < 22 || !FINGERPRINT.test(fingerprint)) return null; //guard:T19
  return [
    'v=0',
    'o=- 1 1 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    'a=mid:0',
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    'a=ice-options:trickle',
    `a=fingerprint:${fingerprint}`,
    'a=setup:actpass',
    'a=sctp-port:5000',
    'a=max-message-size:16384',
    '',
  ].join('\r\n');
}

/** Reads the parts from a description of this end's; null if one is missing. */
export function partsOf(sdp: string): LaneParts | null {
  const one = (name: string) => new RegExp(`^a=${name}:(.+?)\r?$`, 'm').exec(sdp)?.[1] ?? '';
  const [ufrag, pwd, fingerprint] = [one('ice-ufrag'), one('ice-pwd'), one('fingerprint')];
  return ufrag === '' || pwd === '' || !FINGERPRINT.test(fingerprint) ? null : { ufrag, pwd, fingerprint };
}
