// What browsers have and TypeScript's own library does not describe yet.

/** W3C mediacapture-transform. Chromium offers it to windows and workers. */
interface MediaStreamTrackProcessor {
  readonly readable: ReadableStream<VideoFrame>;
}

/** W3C Trusted Types, as far as workers need it. */
interface TrustedScriptURLPolicy {
  createScriptURL(name: string): string;
}

interface Window {
  readonly trustedTypes?: {
    createPolicy(name: string, rules: TrustedScriptURLPolicy): TrustedScriptURLPolicy;
  };
  readonly MediaStreamTrackProcessor?: new (init: {
    track: MediaStreamTrack;
    maxBufferSize?: number;
  }) => MediaStreamTrackProcessor;
}
