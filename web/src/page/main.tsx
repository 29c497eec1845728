// Starts the customer's page: one client, one root, drawn again at each change.

import { render } from 'preact';
import { App } from './app.tsx';
import { Client } from './client.ts';

const root = document.getElementById('app');
if (root !== null) {
  let queued = false;
  const draw = () => {
    queued = false;
    render(<App client={client} model={client.model} />, root);
  };
  const client = new Client(() => {
    // Several changes of one event are drawn once. Not by animation frames: those stop in a hidden tab.
    if (queued) return;
    queued = true;
    queueMicrotask(draw);
  });
  draw();
  if (globalThis.isSecureContext && crypto.subtle !== undefined) void client.start();
}
