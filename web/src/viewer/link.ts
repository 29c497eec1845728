// The viewer's socket to the agent's program on this machine, and what it says: state, streams, frames. Runs in a
// worker or in the page.

import { decode } from '../core/decode.ts';
import { parseHeader } from '../core/frame.ts';
import { backoff } from '../core/lifecycle.ts';
import { FRAME_HEADER_BYTES, type FromViewerHost, type FromViewerPage, MAX_FRAME_BYTES } from '../core/protocol.gen.ts';

export interface Arrived {
  readonly kind: number;
  readonly stream: number;
  readonly frame: number;
  readonly captureMs: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export interface LinkEvents {
  open(token: string): void;
  message(message: FromViewerHost): void;
  frame(frame: Arrived): void;
  /** The socket is gone: it comes back by itself, or was refused for good. */
  down(refused: boolean): void;
}

const SILENT_TICKS = 6; // the program says something each second

export class Link {
  readonly #events: LinkEvents;
  readonly #code: string;
  #token: string;
  #ws: WebSocket | null = null;
  #attempt = 0;
  #stopped = false;
  #silent = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  /** A code comes first where there is one: it is newer than a token that was kept. */
  constructor(code: string, token: string, events: LinkEvents) {
    this.#code = code;
    this.#token = code === '' ? token : '';
    this.#events = events;
  }

  start(): void {
    clearTimeout(this.#retry);
    const ws = new WebSocket(`ws://${location.host}/ws`);
    this.#ws = ws;
    this.#silent = 0;
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => {
      this.send(
        this.#token === '' ? { type: 'viewer.hello', code: this.#code } : { type: 'viewer.hello', token: this.#token },
      );
    };
    ws.onmessage = (event: MessageEvent<unknown>) => {
      if (ws === this.#ws) this.#receive(event.data);
    };
    ws.onclose = (event) => {
      if (ws === this.#ws) this.#closed(event.code);
    };
  }

  send(message: FromViewerPage): void {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  /** Once a second. Counts seconds that this machine was awake: after a sleep the program has its time to speak. */
  tick(): void {
    if (this.#ws?.readyState !== WebSocket.OPEN || ++this.#silent < SILENT_TICKS) return;
    const ws = this.#ws;
    this.#closed(1006);
    ws.close();
  }

  /** Somebody looks again: no more waiting. */
  wake(): void {
    if (this.#ws === null && !this.#stopped) this.start();
  }

  #closed(code: number): void {
    this.#ws = null;
    const refused = code >= 4500; // the code is spent, or the two do not fit together; anything else may come back
    this.#stopped ||= refused;
    this.#events.down(refused);
    if (!refused)
      this.#retry = setTimeout(() => this.start(), 200 + backoff(Math.min(4, ++this.#attempt), Math.random()));
  }

  #receive(data: unknown): void {
    this.#silent = 0;
    if (typeof data === 'string') {
      const result = decode(data, 'viewerHost');
      if (result.kind !== 'message') return;
      if (result.message.type === 'viewer.welcome') {
        this.#token = result.message.token;
        this.#attempt = 0;
        this.#events.open(this.#token);
      } else this.#events.message(result.message);
      return;
    }
    if (!(data instanceof ArrayBuffer)) return;
    const bytes = new Uint8Array(data);
    const head = parseHeader(bytes, MAX_FRAME_BYTES);
    if (head === null || head.chunks !== 1) return;
    this.#events.frame({ ...head, data: bytes.subarray(FRAME_HEADER_BYTES) });
  }
}
