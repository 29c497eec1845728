// The only way in for foreign JSON: checks every message against the generated field tables, as protocol.Decode
// does in Go, so that the rest of the program may trust its types.

import {
  type FieldSpec,
  type Fields,
  type FromCustomer,
  type FromPeer,
  type FromServer,
  type FromViewerHost,
  type FromViewerPage,
  fromCustomer,
  fromPeer,
  fromServer,
  fromViewerHost,
  fromViewerPage,
  type MessageSpec,
} from './protocol.gen.ts';

/** What each kind of sender may send. */
export interface Senders {
  server: FromServer;
  peer: FromPeer;
  viewerHost: FromViewerHost;
  customer: FromCustomer;
  viewerPage: FromViewerPage;
}

/** A checked message; a type that this version does not know; or the reason why it can't be accepted. */
export type Decoded<T> = { kind: 'message'; message: T } | { kind: 'unknown' } | { kind: 'bad'; reason: string };

const tables: { readonly [K in keyof Senders]: { readonly [type: string]: MessageSpec } } = {
  server: fromServer,
  peer: fromPeer,
  viewerHost: fromViewerHost,
  customer: fromCustomer,
  viewerPage: fromViewerPage,
};

/** Bytes of the largest message that is read at all; the server cuts its pages far below. */
const MAX_READ_CHARS = 1 << 19;
const MAX_DEPTH = 8; // of nested values, as in Go (security.md T09)
const MAX_KEY_BYTES = 64;
const MAX_KEYS = 256; // different paths in a message
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/**
 * Checks one text message from a sender. Clients are read strictly (unknown types and fields are refused); from
 * the server, the peer and the viewer's host unknown types are reported as such and unknown fields ignored,
 * except in the rows that are strict for everybody.
 */
export function decode<K extends keyof Senders>(data: string, from: K): Decoded<Senders[K]> {
  if (data.length > MAX_READ_CHARS) return bad('too large');
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    // JSON.parse has one error for all; tell a second value apart, as Go does.
    return bad(hasSecondValue(data) ? 'more than one value' : 'not JSON');
  }
  if (!isObject(value)) return bad('not an object');
  const walked = walk(data);
  if (walked !== '') return bad(walked);
  const type = value.type;
  if (typeof type !== 'string' || type === '' || type.length > 64) return bad('no type');
  const strictSender = from === 'customer' || from === 'viewerPage';
  const id = value.id;
  if (strictSender && id !== undefined && typeof id !== 'string') return bad('no type');
  const spec = own(tables[from], type);
  if (spec === undefined) {
    const known = Object.values(tables).some((table) => own(table, type) !== undefined);
    if (known) return bad('this sender may not send it');
    return strictSender ? bad('unknown type') : { kind: 'unknown' };
  }
  const reason = checkFields(
    value,
    spec.fields,
    strictSender || spec.strict === true ? 'all' : from === 'peer' ? 'values' : 'no',
    true,
  );
  if (reason !== '') return bad(reason);
  // The one cast on foreign data: every field was just checked against the table that this type is made from.
  return { kind: 'message', message: value as unknown as Senders[K] };
}

function bad(reason: string): { kind: 'bad'; reason: string } {
  return { kind: 'bad', reason };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function own<T>(table: { readonly [name: string]: T }, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Whether unknown fields are refused, and unknown values: a peer's are shown to people. */
type Strict = 'all' | 'values' | 'no';

function checkFields(object: Record<string, unknown>, fields: Fields, strict: Strict, top: boolean): string {
  for (const [name, spec] of Object.entries(fields)) {
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    if (value === undefined || (value === null && spec.opt === true)) {
      if (spec.opt !== true) return `missing field ${name}`;
      delete object[name];
      continue;
    }
    if (value === null && spec.t === 'list' && strict !== 'all') {
      object[name] = []; // Go writes an empty list that was never filled as null
      continue;
    }
    const reason = checkValue(value, spec, strict);
    if (reason !== '') return `${name} ${reason}`;
  }
  if (strict === 'all') {
    for (const name of Object.keys(object)) {
      if (!Object.hasOwn(fields, name) && !(top && name === 'type')) return 'unknown field';
    }
  }
  return '';
}

function checkValue(value: unknown, spec: FieldSpec, strict: Strict): string {
  switch (spec.t) {
    case 'string':
      if (typeof value !== 'string') return 'has the wrong type';
      if (spec.max !== undefined && codePoints(value) > spec.max) return 'is too long';
      if (strict !== 'no' && spec.enum && !spec.enum.includes(value) && !(spec.opt && value === '')) {
        return 'is not one of its values';
      }
      return '';
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value)) return 'has the wrong type';
      if ((spec.min !== undefined && value < spec.min) || (spec.max !== undefined && value > spec.max)) {
        return 'is out of range';
      }
      return '';
    case 'boolean':
      return typeof value === 'boolean' ? '' : 'has the wrong type';
    case 'time':
      return typeof value === 'string' && TIME.test(value) ? '' : 'has the wrong type';
    case 'list': {
      if (!Array.isArray(value)) return 'has the wrong type';
      if (spec.max !== undefined && value.length > spec.max) return 'has too many items';
      const of = spec.of;
      if (of === undefined) return '';
      for (const item of value) {
        const reason = isSpec(of) ? checkValue(item, of, strict) : checkObject(item, of, strict);
        if (reason !== '') return reason;
      }
      return '';
    }
    case 'object': {
      const of = spec.of;
      return of === undefined || isSpec(of) ? '' : checkObject(value, of, strict);
    }
  }
}

function checkObject(value: unknown, fields: Fields, strict: Strict): string {
  if (!isObject(value)) return 'has the wrong type';
  // A list of messages repeats the type in each item.
  return checkFields(value, fields, strict, true);
}

function isSpec(of: FieldSpec | Fields): of is FieldSpec {
  return typeof of.t === 'string';
}

/** Counts Unicode code points, as Go counts runes. */
export function codePoints(text: string): number {
  let n = 0;
  for (const _ of text) n++;
  return n;
}

function utf8Bytes(text: string): number {
  let n = 0;
  for (const char of text) {
    const point = char.codePointAt(0) ?? 0;
    n += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4;
  }
  return n;
}

/** Reads valid JSON once more for what JSON.parse forgives: duplicate keys and deep nesting. */
function walk(data: string): string {
  const stack: { keys: Set<string> | null; path: string }[] = [];
  const paths = new Set<string>();
  let path = ''; // of the value that comes
  let key = false; // the next string is a key
  for (let i = 0; i < data.length; i++) {
    const c = data[i];
    if (c === '"') {
      const start = i++;
      while (data[i] !== '"') i += data[i] === '\\' ? 2 : 1;
      const { keys = null, path: outer = '' } = stack.at(-1) ?? {};
      if (key && keys !== null) {
        const raw = data.slice(start + 1, i);
        const name = raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
        if (keys.has(name)) return 'duplicate key';
        keys.add(name);
        if (utf8Bytes(name) > MAX_KEY_BYTES || paths.size >= MAX_KEYS) {
          return 'too many keys, or one that is too long'; //guard:T09
        }
        path = outer === '' ? name : `${outer}.${name}`;
        paths.add(path);
        key = false;
      }
    } else if (c === '{') {
      stack.push({ keys: new Set(), path });
      key = true;
    } else if (c === '[') {
      stack.push({ keys: null, path });
      key = false;
    } else if (c === '}' || c === ']') {
      path = stack.pop()?.path ?? '';
      key = false;
    } else if (c === ',') {
      key = stack.at(-1)?.keys instanceof Set;
      path = stack.at(-1)?.path ?? '';
    }
    if (stack.length >= MAX_DEPTH) return 'nested too deeply'; //guard:T09
  }
  return '';
}

function hasSecondValue(data: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < data.length; i++) {
    const c = data[i];
    if (inString) {
      if (c === '\\') i++;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '{') depth++;
    else if (c === '}' && --depth === 0) return data.slice(i + 1).trim() !== '';
  }
  return false;
}
