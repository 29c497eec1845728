// Starts the pages' workers. Their files lie beside page.js and viewer.js; the policy names the only thing that may become a
// worker's address (the CSP has trusted-types lookalong-worker).

const NAMES = ['capture.worker.js', 'image.worker.js', 'decode.worker.js'] as const;

/** Makes the address of a worker, as text where the browser has no Trusted Types. */
let address: ((name: string) => string) | undefined;

/** Starts /assets/NAME, as a classic worker if nothing else is said. Throws what `new Worker` throws. */
export function startWorker(name: (typeof NAMES)[number], options: WorkerOptions = {}): Worker {
  address ??= policy();
  return new Worker(address(name), options);
}

function policy(): (name: string) => string {
  const createScriptURL = (name: string) => {
    if (!NAMES.some((known) => known === name)) throw new TypeError(`no worker ${name}`);
    return new URL(`/assets/${name}`, location.origin).href;
  };
  const made = window.trustedTypes?.createPolicy('lookalong-worker', { createScriptURL });
  return made === undefined ? createScriptURL : (name) => made.createScriptURL(name);
}
