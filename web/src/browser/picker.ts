// Asks the browser's own picker for a screen, window or tab. Loaded with the page, so that getDisplayMedia can be
// the first call in a click's handler; the encoder comes later (share.ts).

export type Surface = 'monitor' | 'window' | 'browser' | 'camera' | 'unknown';
/** What the customer wants to show: something on the screen, or what the camera sees. */
export type What = 'screen' | 'camera';
export type Picked =
  | { kind: 'track'; track: MediaStreamTrack; surface: Surface }
  | { kind: 'refused' | 'impossible' | 'failed' };

/** Whether this browser can show a screen at all; phones can't. Where it has no video encoder, it sends stills. */
export function canShare(): boolean {
  return typeof navigator.mediaDevices?.getDisplayMedia === 'function' && typeof RTCPeerConnection === 'function';
}

/** Whether this browser can show what a camera sees. */
export function canFilm(): boolean {
  return typeof navigator.mediaDevices?.getUserMedia === 'function' && typeof RTCPeerConnection === 'function';
}

/** What a click on the one button shows here: the screen where that is possible, else the camera; null: nothing. */
export function shows(): What | null {
  return canShare() ? 'screen' : canFilm() ? 'camera' : null;
}

/** Opens the picker, or the camera. Call it synchronously in a click's handler. Never rejects. */
export function pick(what: What): Promise<Picked> {
  if (what === 'camera') return film();
  if (!canShare()) return Promise.resolve({ kind: 'impossible' });
  // Members that TypeScript's library does not have yet; browsers ignore what they don't know.
  const options = {
    video: { frameRate: { ideal: 30, max: 30 } },
    audio: false,
    selfBrowserSurface: 'exclude',
    surfaceSwitching: 'exclude',
    monitorTypeSurfaces: 'include',
  };
  return navigator.mediaDevices.getDisplayMedia(options).then((stream) => taken(stream, 'text'), refused);
}

/** The camera that looks away from the person, where there are two. */
function film(): Promise<Picked> {
  if (!canFilm()) return Promise.resolve({ kind: 'impossible' });
  const video = { facingMode: 'environment', width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  return navigator.mediaDevices
    .getUserMedia({ video, audio: false })
    .then((stream) => taken(stream, 'detail'), refused);
}

function taken(stream: MediaStream, contentHint: 'text' | 'detail'): Picked {
  const track = stream.getVideoTracks()[0];
  for (const other of stream.getTracks()) if (other !== track) other.stop();
  if (track === undefined) return { kind: 'failed' };
  track.contentHint = contentHint;
  return { kind: 'track', track, surface: contentHint === 'detail' ? 'camera' : surfaceOf(track) };
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
