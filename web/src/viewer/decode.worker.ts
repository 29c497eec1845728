// The engine in a worker.

import { Engine } from './engine.ts';
import type { FromEngine, ToEngine } from './messages.ts';

const engine = new Engine((message: FromEngine) => postMessage(message));
addEventListener('message', (event: MessageEvent<ToEngine>) => engine.take(event.data));
