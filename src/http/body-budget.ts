/**
 * How many bytes of request bodies this isolate holds at once (an isolate has 128 MB for everything).
 * - Bytes are counted as they are read, and given back when the request is answered; above the limit: 503.
 * - Large bodies are read and parsed one at a time; the others wait with their bytes unread.
 * - A request whose client went away may never run again, not even its `finally`. So what is held expires:
 *   a turn after seconds (it is a courtesy, the budget is the bound), bytes after minutes.
 */
import { AppError } from '../errors.ts';

const TURN_LEASE_MS = 10_000;
const HOLD_LEASE_MS = 120_000;
const MAX_WAITING = 64;
/** Waiting is by a timer of its own: a request must not be resumed from another request's context. */
const POLL_MS = 5;
const SILENT_AFTER_MS = 2000;

interface Hold {
  bytes: number;
  expiresAtMs: number;
}

/** A place in the queue for large bodies. */
interface Ticket {
  seenAtMs: number;
}

export class BodyBudget {
  readonly #holds = new Set<Hold>();
  #heldBytes = 0;
  #turn: { readonly expiresAtMs: number } | undefined;
  readonly #waiting: Ticket[] = [];

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** What one request holds; starts empty. */
  open(limitBytes: number): BodyHold {
    const hold: Hold = { bytes: 0, expiresAtMs: Date.now() + HOLD_LEASE_MS };
    this.#holds.add(hold);
    return {
      take: (bytes) => {
        if (this.#heldBytes + bytes > limitBytes) this.#dropExpired();
        if (this.#heldBytes + bytes > limitBytes || !this.#holds.has(hold)) throw new AppError('overloaded');
        hold.bytes += bytes;
        this.#heldBytes += bytes;
      },
      release: () => this.#drop(hold),
    };
  }

  /** Resolves once it is this request's turn to read a large body, with the function that ends the turn. */
  async largeTurn(): Promise<() => void> {
    if (this.#waiting.length >= MAX_WAITING) this.#dropSilent();
    if (this.#waiting.length >= MAX_WAITING) throw new AppError('overloaded');
    const ticket: Ticket = { seenAtMs: Date.now() };
    this.#waiting.push(ticket);
    try {
      while (!this.#isNext(ticket)) {
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        ticket.seenAtMs = Date.now();
      }
    } finally {
      this.#leave(ticket);
    }
    const turn = { expiresAtMs: Date.now() + TURN_LEASE_MS };
    this.#turn = turn;
    return () => {
      if (this.#turn === turn) this.#turn = undefined;
    };
  }

  #isNext(ticket: Ticket): boolean {
    if (this.#turn && this.#turn.expiresAtMs > Date.now()) return false;
    if (this.#waiting[0] !== ticket) this.#dropSilent();
    // A ticket that was dropped by mistake goes ahead: better twice at once than never.
    return this.#waiting[0] === ticket || !this.#waiting.includes(ticket);
  }

  /** Requests that stopped asking were aborted. */
  #dropSilent(): void {
    const oldestMs = Date.now() - SILENT_AFTER_MS;
    for (const ticket of [...this.#waiting]) if (ticket.seenAtMs < oldestMs) this.#leave(ticket);
  }

  #leave(ticket: Ticket): void {
    const at = this.#waiting.indexOf(ticket);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  #dropExpired(): void {
    const nowMs = Date.now();
    for (const hold of this.#holds) if (hold.expiresAtMs <= nowMs) this.#drop(hold);
  }

  #drop(hold: Hold): void {
    if (!this.#holds.delete(hold)) return;
    this.#heldBytes -= hold.bytes;
  }
}

export interface BodyHold {
  /** Throws `overloaded` where the isolate has no room for so many bytes more. */
  take(bytes: number): void;
  /** Safe to call twice. */
  release(): void;
}

/** One per isolate: memory is what all its requests share. Holds sizes, never content. */
export const bodyBudget = new BodyBudget();
