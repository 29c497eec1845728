// Reads the vectors that Go's tests read too.

import { readdirSync, readFileSync } from 'node:fs';

const base = new URL('../../../protocol/testdata/', import.meta.url); // from test/out

export function read(name: string): string {
  return readFileSync(new URL(name, base), 'utf8');
}

export function list(dir: string): string[] {
  return readdirSync(new URL(`${dir}/`, base)).sort();
}
