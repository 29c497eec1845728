// What the page and its engine (socket, decoders, painting; in a worker where the browser can) say to each other.

import type { ViewerConfig, ViewerLevel, ViewerRefused, ViewerState } from '../core/protocol.gen.ts';

export type AnyCanvas = HTMLCanvasElement | OffscreenCanvas;

/** Of one stream, over the last second. */
export interface Numbers {
  readonly stream: number;
  readonly fps: number;
  readonly bitsPerSec: number;
  /** from capture to canvas; null: nothing was painted */
  readonly ageMs: number | null;
  /** from arrival to canvas */
  readonly decodeMs: number | null;
}

/** What is on a stream's canvas. */
export interface Shown {
  readonly stream: number;
  readonly width: number;
  readonly height: number;
  /** lossless; a JPEG nearly so; '': a frame of the chain */
  readonly still: '' | 'png' | 'jpeg';
}

export type Problem = '' | 'size' | 'codec' | 'broken';

export type ToEngine =
  | {
      readonly type: 'start';
      readonly code: string;
      readonly token: string;
      /** one a stream */
      readonly canvases: readonly AnyCanvas[];
    }
  /** stream −1: none by itself */
  | { readonly type: 'sharpen'; readonly stream: number }
  /** a still on purpose, now */
  | { readonly type: 'still'; readonly stream: number }
  /** the page is visible again */
  | { readonly type: 'wake' };

export type FromEngine =
  /** video: this thread has WebCodecs */
  | { readonly type: 'ready'; readonly video: boolean }
  | { readonly type: 'link'; readonly link: 'open' | 'down' | 'refused'; readonly token: string }
  | { readonly type: 'state'; readonly state: ViewerState }
  | { readonly type: 'config'; readonly config: ViewerConfig }
  | { readonly type: 'removed'; readonly stream: number }
  | { readonly type: 'level'; readonly level: ViewerLevel }
  | { readonly type: 'shown'; readonly shown: Shown }
  | { readonly type: 'numbers'; readonly numbers: Numbers }
  | { readonly type: 'problem'; readonly stream: number; readonly problem: Problem }
  | { readonly type: 'refused'; readonly stream: number; readonly why: ViewerRefused['why'] };
