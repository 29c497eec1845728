// The viewer's keys. They act wherever the focus is, but not in what uses them itself.

import { useEffect, useRef } from 'preact/hooks';

export type Action =
  | { readonly type: 'pick'; readonly index: number }
  | { readonly type: 'step'; readonly by: 1 | -1 }
  | { readonly type: 'pan'; readonly x: number; readonly y: number }
  | {
      readonly type: 'fit' | 'actual' | 'freeze' | 'compare' | 'sharpen' | 'details' | 'full' | 'help' | 'close';
    };

const KEYS: { readonly [key: string]: Action } = {
  '1': { type: 'pick', index: 0 },
  '2': { type: 'pick', index: 1 },
  '3': { type: 'pick', index: 2 },
  '4': { type: 'pick', index: 3 },
  '0': { type: 'fit' },
  z: { type: 'actual' },
  '+': { type: 'step', by: 1 },
  '=': { type: 'step', by: 1 },
  '-': { type: 'step', by: -1 },
  ArrowLeft: { type: 'pan', x: -1, y: 0 },
  ArrowRight: { type: 'pan', x: 1, y: 0 },
  ArrowUp: { type: 'pan', x: 0, y: -1 },
  ArrowDown: { type: 'pan', x: 0, y: 1 },
  ' ': { type: 'freeze' },
  c: { type: 'compare' },
  s: { type: 'sharpen' },
  i: { type: 'details' },
  f: { type: 'full' },
  '?': { type: 'help' },
  Escape: { type: 'close' },
};

/** What a key does; null where it is not one of ours. */
export function actionOf(key: string): Action | null {
  const known = key.length === 1 ? key.toLowerCase() : key;
  return Object.hasOwn(KEYS, known) ? (KEYS[known] ?? null) : null;
}

export function useKeys(act: (action: Action) => void): void {
  const now = useRef(act);
  now.current = act;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target as Element;
      if (target.closest('dialog') !== null && event.key !== '?') return;
      if (target.closest('button') !== null && event.key === ' ') return;
      if (target.closest('input') !== null && event.key !== 'Escape') return;
      const action = actionOf(event.key);
      if (action === null) return;
      now.current(action);
      event.preventDefault();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}
