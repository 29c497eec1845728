// Asks the browser's own picker for a screen, window or tab. Loaded with the page, so that getDisplayMedia can be
// the first call in a click's handler; the encoder comes later (share.ts).

export type Surface = 'monitor' | 'window' | 'browser' | 'unknown';
export type Picked =
  | { kind: 'track'; track: MediaStreamTrack; surface: Surface }
  | { kind: 'refused' | 'impossible' | 'failed' };

/** Whether this browser can show a screen at all; phones can't. Where it has no video encoder, it sends stills. */
export function canShare(): boolean {
  return typeof navigator.mediaDevices?.getDisplayMedia === 'function' && typeof RTCPeerConnection === 'function';
}

/** Opens the picker. Call it synchronously in a click's handler. Never rejects. */
export function pick(): Promise<Picked> {
  if (!canShare()) return Promise.resolve({ kind: 'impossible' });
  // Members that TypeScript's library does not have yet; browsers ignore what they don't know.
  const options = {
    video: { frameRate: { ideal: 30, max: 30 } },
    audio: false,
    selfBrowserSurface: 'exclude',
    surfaceSwitching: 'exclude',
    monitorTypeSurfaces: 'include',
  };
  return navigator.mediaDevices.getDisplayMedia(options).then(taken, refused);
}

function taken(stream: MediaStream): Picked {
  const track = stream.getVideoTracks()[0];
  for (const other of stream.getTracks()) if (other !== track) other.stop();
  if (track === undefined) return { kind: 'failed' };
  track.contentHint = 'text';
  return { kind: 'track', track, surface: surfaceOf(track) };
}

function refused(error: unknown): Picked {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError' || name === 'AbortError') return { kind: 'refused' };
  if (name === 'NotReadableError') return { kind: 'failed' };
  return { kind: 'impossible' };
}

function surfaceOf(track: MediaStreamTrack): Surface {
  const surface = track.getSettings().displaySurface;
  return surface === 'monitor' || surface === 'window' || surface === 'browser' ? surface : 'unknown';
}
