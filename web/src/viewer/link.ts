// The viewer page's socket to the agent's program on this machine, and what it says: state, configuration, frames.

import { decode } from '../core/decode.ts';
import { parseHeader } from '../core/frame.ts';
import { backoff } from '../core/lifecycle.ts';
import { FRAME_HEADER_BYTES, type FromViewerHost, type FromViewerPage, MAX_FRAME_BYTES } from '../core/protocol.gen.ts';

export interface Arrived {
  readonly kind: number;
  readonly frame: number;
  readonly captureMs: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export interface LinkEvents {
  open(): void;
  message(message: FromViewerHost): void;
  frame(frame: Arrived): void;
  /** The socket is gone: it comes back by itself, or was refused for good. */
  down(refused: boolean): void;
}

export class Link {
  readonly #events: LinkEvents;
  readonly #code: string;
  #token = '';
  #ws: WebSocket | null = null;
  #attempt = 0;
  #stopped = false;

  constructor(code: string, events: LinkEvents) {
    this.#code = code;
    this.#events = events;
  }

  start(): void {
    const ws = new WebSocket(`ws://${location.host}/ws`);
    this.#ws = ws;
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => {
      this.send(
        this.#token === '' ? { type: 'viewer.hello', code: this.#code } : { type: 'viewer.hello', token: this.#token },
      );
    };
    ws.onmessage = (event: MessageEvent<unknown>) => this.#receive(event.data);
    ws.onclose = (event) => {
      this.#ws = null;
      // Refused, or never accepted: the code is spent. Anything else may come back.
      const refused = event.code >= 4500 || this.#stopped;
      this.#stopped ||= refused;
      this.#events.down(refused);
      if (!refused) setTimeout(() => this.start(), 200 + backoff(Math.min(4, ++this.#attempt), Math.random()));
    };
  }

  send(message: FromViewerPage): void {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  #receive(data: unknown): void {
    if (typeof data === 'string') {
      const result = decode(data, 'viewerHost');
      if (result.kind !== 'message') return;
      if (result.message.type === 'viewer.welcome') {
        this.#token = result.message.token;
        this.#attempt = 0;
        this.#events.open();
      }
      this.#events.message(result.message);
      return;
    }
    if (!(data instanceof ArrayBuffer)) return;
    const bytes = new Uint8Array(data);
    const head = parseHeader(bytes, MAX_FRAME_BYTES);
    if (head === null || head.chunks !== 1) return;
    this.#events.frame({ ...head, data: bytes.subarray(FRAME_HEADER_BYTES) });
  }
}
