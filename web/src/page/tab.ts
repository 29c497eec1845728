// Which session this tab is part of: remembered over a reload, and held with a Web Lock while it lives. A duplicated
// tab gets a copy of what is remembered; the lock tells it that the session is another tab's.

const KEY = 'lookalong-session'; // sessionStorage: of this tab alone, and kept over a reload
const FREED_MS = 1_000; // a reloaded page's lock is given back a moment after the new page has begun

let held = '';
let release: (() => void) | undefined;

/** Remembers the session, and whether the screen is shown in it, to say so after a reload; '' forgets and lets go. */
export function remember(session: string, shows: boolean): void {
  hold(session);
  try {
    if (session === '') sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, `${shows ? 'shows' : 'talks'} ${session}`);
  } catch {
    // Storage is refused: then a session that was cut by a reload ends by the path's silence.
  }
}

/** The session that this tab was part of before it was loaded again; null if there was none, or another tab has it. */
export async function cutByReload(): Promise<{ session: string; shows: boolean } | null> {
  const cut = recall();
  remember('', false);
  return cut.session !== '' && (await isFree(cut.session)) ? cut : null;
}

function recall(): { session: string; shows: boolean } {
  try {
    const [what = '', session = ''] = (sessionStorage.getItem(KEY) ?? '').split(' ');
    return { session, shows: what === 'shows' };
  } catch {
    return { session: '', shows: false };
  }
}

/** Lets other pages see that the session has no tab any more; what is remembered stays for the next load. */
export function letGo(): void {
  hold('');
}

/** Whether no tab holds this session: then a reload has cut it, and this is no duplicate of the tab that has it. */
async function isFree(session: string): Promise<boolean> {
  const { locks } = navigator;
  if (locks === undefined) return true;
  try {
    const signal = AbortSignal.timeout(FREED_MS);
    return await locks.request(lockName(session), { signal }, () => true);
  } catch {
    return false; // another tab has it
  }
}

function hold(session: string): void {
  if (session === held) return;
  release?.();
  release = undefined;
  held = session;
  if (session === '') return;
  const over = new Promise<void>((resolve) => {
    release = resolve;
  });
  void navigator.locks?.request(lockName(session), () => over).catch(() => undefined);
}

function lockName(session: string): string {
  return `lookalong-session-${session}`;
}
