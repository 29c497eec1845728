// What Chromium has and TypeScript's own library does not describe yet.

/** W3C mediacapture-transform. Chromium offers it to windows and workers. */
interface MediaStreamTrackProcessor {
  readonly readable: ReadableStream<VideoFrame>;
}

interface Window {
  readonly MediaStreamTrackProcessor?: new (init: {
    track: MediaStreamTrack;
    maxBufferSize?: number;
  }) => MediaStreamTrackProcessor;
}
