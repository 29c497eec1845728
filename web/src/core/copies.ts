// Copies of direct messages. SCTP repeats a lost packet when three later ones have shown the gap, or when its timer runs
// out, after 400 ms to 1 s; behind somebody's last message nothing comes. So a message that fits one packet also goes
// out on `copies`, an unordered channel without repair, a few times until there is a receipt, and whoever comes first is
// taken. Pure; peer/copies.go is the same in Go.

import { MAX_COPY_BYTES } from './protocol.gen.ts';

const FIRST_MS = 10; // after the message; the gap doubles: 10, 30, 70, 150 ms
const EACH = 4;
const WAITING_MAX = 256; // messages of which copies may still go out
const GIVEN_MAX = 256; // receipts that may be given again; more than are on their way at once

interface ToCopy {
  readonly text: string;
  dueMs: number;
  gapMs: number;
  left: number;
}

/** What becomes of a message: it is the next; it came before; one before it is missing; its number broke the rules. */
export type Verdict = 'taken' | 'again' | 'early' | 'twice';

export class Copies {
  /** the other end takes copies */
  able = false;
  #number = 0; // of the last message sent
  #waiting = new Map<string, ToCopy>(); // by id
  #given = new Set<string>(); // in their order
  #taken = 0; // number of the last message taken
  #original = 0; // and of the last one on `direct`

  /** The number of the next message of this end. */
  get next(): number {
    return this.#number + 1;
  }

  /** That message went out on `direct`, in so many bytes. */
  sent(id: string, text: string, bytes: number, nowMs: number): void {
    this.#number++;
    if (!this.able || this.#waiting.size >= WAITING_MAX || bytes > MAX_COPY_BYTES) return;
    this.#waiting.set(id, { text, dueMs: nowMs + FIRST_MS, gapMs: FIRST_MS, left: EACH });
  }

  /** Its receipt came. */
  confirmed(id: string): void {
    this.#waiting.delete(id);
  }

  /** A receipt of this end went out. */
  gave(id: string): void {
    this.#given.add(id);
    if (this.#given.size > GIVEN_MAX) for (const old of this.#given) if (this.#given.delete(old)) break;
  }

  /** Whether a copy of the message asks for a receipt that was given. */
  owes(id: string): boolean {
    return this.#given.has(id);
  }

  /** Judges a message of the other end by its number. */
  take(n: number | undefined, copied: boolean): Verdict {
    if (copied) {
      if (n === this.#taken + 1) this.#taken = n;
      else return n === undefined || n > this.#taken ? 'early' : 'again';
      return 'taken';
    }
    if (n === undefined) return 'taken'; // of a program without copies
    if (n <= this.#original) return 'twice';
    this.#original = n;
    if (n <= this.#taken) return 'again';
    this.#taken = n;
    return 'taken';
  }

  /** The copies that are due. */
  due(nowMs: number): string[] {
    const out: string[] = [];
    for (const [id, one] of this.#waiting) {
      if (nowMs < one.dueMs) continue;
      out.push(one.text);
      one.gapMs *= 2;
      one.dueMs = nowMs + one.gapMs;
      if (--one.left === 0) this.#waiting.delete(id);
    }
    return out;
  }

  /** How long until the next is due; null: none is. */
  waitMs(nowMs: number): number | null {
    const first = Math.min(...Array.from(this.#waiting.values(), (one) => one.dueMs));
    return first === Number.POSITIVE_INFINITY ? null : Math.max(0, first - nowMs);
  }
}
