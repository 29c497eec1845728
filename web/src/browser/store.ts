// What the page keeps in the browser over a reload (IndexedDB), or in memory where the browser refuses that.

import type { Pending } from '../core/log.ts';

export interface Store {
  /** false: everything ends with this tab */
  readonly kept: boolean;
  get(key: string): Promise<unknown>;
  put(key: string, value: unknown): Promise<void>;
  /** Puts a value unless there is one; returns the one that is there afterwards. */
  putIfAbsent(key: string, value: unknown): Promise<unknown>;
  outbox(): Promise<Pending[]>;
  keep(pending: Pending): Promise<void>;
  drop(id: string): Promise<void>;
}

const OPEN_MS = 4_000;

/** Opens the store. Never rejects: without IndexedDB it is in memory. */
export async function openStore(): Promise<Store> {
  try {
    const db = await open();
    const store = new Indexed(db);
    await store.get('key'); // some private modes open a database that can't be read
    return store;
  } catch {
    return new Memory();
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('lookalong', 1);
    setTimeout(() => reject(new Error('store: no answer')), OPEN_MS);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('kv');
      request.result.createObjectStore('outbox', { keyPath: 'id' });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

class Indexed implements Store {
  readonly kept = true;
  readonly #db: IDBDatabase;

  constructor(db: IDBDatabase) {
    this.#db = db;
    db.onversionchange = () => db.close(); // a newer page of ours wants to change it
  }

  #run<T>(name: string, mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const tx = this.#db.transaction(name, mode);
      const request = work(tx.objectStore(name));
      // Sent with the request: a write that waited for its answer first would be undone by a reload in between.
      if (mode === 'readwrite') tx.commit?.();
      tx.oncomplete = () => resolve(request.result);
      tx.onabort = () => reject(tx.error);
    });
  }

  get(key: string): Promise<unknown> {
    return this.#run('kv', 'readonly', (store) => store.get(key));
  }

  async put(key: string, value: unknown): Promise<void> {
    await this.#run('kv', 'readwrite', (store) => store.put(value, key));
  }

  putIfAbsent(key: string, value: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const tx = this.#db.transaction('kv', 'readwrite');
      const store = tx.objectStore('kv');
      const request = store.get(key);
      let found: unknown;
      request.onsuccess = () => {
        found = request.result;
        if (found === undefined) store.put(value, key);
      };
      tx.oncomplete = () => resolve(found ?? value);
      tx.onabort = () => reject(tx.error);
    });
  }

  async outbox(): Promise<Pending[]> {
    const all: unknown[] = await this.#run('outbox', 'readonly', (store) => store.getAll());
    return all.filter(isPending).sort((a, b) => a.atMs - b.atMs);
  }

  async keep(pending: Pending): Promise<void> {
    await this.#run('outbox', 'readwrite', (store) => store.put(pending));
  }

  async drop(id: string): Promise<void> {
    await this.#run('outbox', 'readwrite', (store) => store.delete(id));
  }
}

class Memory implements Store {
  readonly kept = false;
  readonly #kv = new Map<string, unknown>();
  readonly #out = new Map<string, Pending>();

  get(key: string): Promise<unknown> {
    return Promise.resolve(this.#kv.get(key));
  }
  put(key: string, value: unknown): Promise<void> {
    this.#kv.set(key, value);
    return Promise.resolve();
  }
  putIfAbsent(key: string, value: unknown): Promise<unknown> {
    if (!this.#kv.has(key)) this.#kv.set(key, value);
    return Promise.resolve(this.#kv.get(key));
  }
  outbox(): Promise<Pending[]> {
    return Promise.resolve([...this.#out.values()]);
  }
  keep(pending: Pending): Promise<void> {
    this.#out.set(pending.id, pending);
    return Promise.resolve();
  }
  drop(id: string): Promise<void> {
    this.#out.delete(id);
    return Promise.resolve();
  }
}

function isPending(value: unknown): value is Pending {
  return (
    typeof value === 'object' &&
    value !== null &&
    'id' in value &&
    typeof value.id === 'string' &&
    'text' in value &&
    typeof value.text === 'string' &&
    'atMs' in value &&
    typeof value.atMs === 'number'
  );
}
