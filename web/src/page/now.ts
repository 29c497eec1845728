// A clock for components that show how long something lasts.

import { useEffect, useState } from 'preact/hooks';

/** The time in Unix milliseconds, renewed every everyMs while it runs. */
export function useNow(everyMs: number, runs: boolean): number {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    if (!runs) return;
    set(Date.now());
    const timer = setInterval(() => set(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, runs]);
  return now;
}
