// Starts the page's workers. Their files lie beside page.js; the policy names the only thing that may become a
// worker's address (the CSP has trusted-types lookalong-worker).

const NAMES = ['capture.worker.js'] as const;

/** Makes the address of a worker, as text where the browser has no Trusted Types. */
let address: ((name: string) => string) | undefined;

/** Starts /assets/NAME as a classic worker. Throws what `new Worker` throws. */
export function startWorker(name: (typeof NAMES)[number]): Worker {
  address ??= policy();
  return new Worker(address(name));
}

function policy(): (name: string) => string {
  const createScriptURL = (name: string) => {
    if (!NAMES.some((known) => known === name)) throw new TypeError(`no worker ${name}`);
    return new URL(`/assets/${name}`, location.origin).href;
  };
  const made = window.trustedTypes?.createPolicy('lookalong-worker', { createScriptURL });
  return made === undefined ? createScriptURL : (name) => made.createScriptURL(name);
}
