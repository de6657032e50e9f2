/** What the ledger must do, said without a database: a map of messages, and who has which in hand. */
import { expect } from 'vitest';
import { applyErasure } from '../../src/delivery/ending.ts';
import { type DeliveryState, isOpen, type Progress } from '../../src/delivery/progress.ts';
import { newMessageId } from '../../src/ids.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';
import { sqliteStorage } from './sqlite-storage.ts';

export const DAY_MS = 24 * 60 * 60 * 1000;
export const KEPT = { bodies: 1, metadata: 2, claims: 1 };
export const RECIPIENTS = [0, 1] as const;

/** One recipient: waits at once or until a time, waits for the customer, or has ended. */
export type Fate =
  | { readonly is: 'open'; readonly atMs: number }
  | { readonly is: 'held' }
  | { readonly is: 'ended' };
export const AT_ONCE: Fate = { is: 'open', atMs: 0 };
export const HELD: Fate = { is: 'held' };
export const ENDED: Fate = { is: 'ended' };

export interface ModelMessage {
  fates: readonly Fate[];
  /** From when on it may be taken; stays as it was while it is at its dot. */
  takeableAtMs: number | undefined;
  inHand: boolean;
  atDot: boolean;
  /** Changed beneath who has it in hand: what he decides comes too late. */
  isRevoked?: boolean;
}

export class LedgerModel {
  nowMs = 20_000 * DAY_MS + 12 * 60 * 60 * 1000;
  readonly messages = new Map<string, ModelMessage>();

  takeable(): string[] {
    return this.idsOf(
      ({ inHand, takeableAtMs }) => !inHand && takeableAtMs !== undefined && takeableAtMs <= this.nowMs,
    );
  }

  idsOf(matches: (message: ModelMessage) => boolean): string[] {
    return [...this.messages].filter(([, message]) => matches(message)).map(([id]) => id);
  }

  find(id: string): ModelMessage {
    const found = this.messages.get(id);
    if (!found) throw new Error('the model has no such message');
    return found;
  }

  settle(id: string, fates: readonly Fate[], atDot: boolean): void {
    const message = this.find(id);
    message.fates = fates;
    message.atDot = atDot;
    if (atDot) return;
    message.inHand = false;
    this.place(message);
  }

  /** From when on it may be taken, whoever has it in hand. */
  place(message: ModelMessage): void {
    const { fates } = message;
    const times = fates.flatMap((fate) => (fate.is === 'open' ? [fate.atMs] : []));
    message.takeableAtMs = times.length > 0 ? Math.min(...times) : undefined;
  }

  forgetHands(): void {
    for (const message of this.messages.values()) {
      message.inHand = false;
      message.isRevoked = false;
    }
  }
}

/** The ledger on a real database, and the items that a pump would hold. */
export class LedgerUnderTest {
  readonly hand = new Map<string, LedgerItem>();
  private readonly storage = sqliteStorage();
  private database = new LedgerDatabase(this.storage);
  ledger = new Ledger(this.database);

  restart(): void {
    this.database = new LedgerDatabase(this.storage);
    this.ledger = new Ledger(this.database);
    this.hand.clear();
  }

  accept(idTimes: readonly number[], nowMs: number): string[] {
    const messages = idTimes.map((atMs) => ({
      id: newMessageId(0, atMs),
      recipientCount: RECIPIENTS.length,
      summary: new Uint8Array(8),
      head: [new Uint8Array(8)],
      attachments: [],
    }));
    const request = { accountId: 'acc_x', keyId: 'key_x', messages };
    this.ledger.accept(request, nowMs);
    // As a caller does that did not hear the answer.
    this.ledger.accept(request, nowMs);
    return messages.map(({ id }) => id);
  }

  commit(changes: readonly { item: LedgerItem; fates: readonly Fate[]; atDot: boolean }[]): void {
    const written = this.ledger.commit(
      changes.map(({ item, fates, atDot }) => ({
        item,
        progress: progressOf(item.progress, fates, atDot),
        replies: undefined,
        dot: atDot
          ? { relayId: 'rly_x', recipients: [...RECIPIENTS], sha256: 'h', pending: true }
          : undefined,
      })),
    );
    for (const item of written) {
      const isKept = this.hand.delete(item.id) && item.dot?.pending;
      if (isKept) this.hand.set(item.id, item);
    }
  }

  /** The first recipient is erased. */
  erase(id: string, nowMs: number): void {
    const item = this.ledger.messages.find(id);
    if (!item) throw new Error('a message is missing');
    const progress = applyErasure(item.progress, [0], nowMs);
    const left = { summary: new Uint8Array(4), terms: new Uint8Array(16) };
    this.ledger.erase({ change: { item, progress, replies: undefined, dot: undefined }, ...left }, nowMs);
  }

  /** What must be true after any command. */
  expectLike(model: LedgerModel): void {
    const open = [...model.messages.values()].filter(({ takeableAtMs }) => takeableAtMs !== undefined);
    expect(this.ledger.backlog).toBe(open.length);
    expect(this.ledger.queue.hasWork(model.nowMs)).toBe(model.takeable().length > 0);
    const lowWater = this.database.readMeta('low_water') ?? '';
    const due = this.database.all<{ at: number; id: string }>('SELECT at, id FROM due');
    const dueIds = new Map(due.map(({ id, at }) => [id, at]));
    expect(dueIds.size).toBe(due.length);
    for (const [id, message] of model.messages) {
      const dueAtMs = dueIds.get(id);
      if (message.takeableAtMs === undefined) expect(dueAtMs).toBeUndefined();
      // Its row in `due`, or the walk from the low-water mark, is how a restart finds it.
      else if (dueAtMs === undefined) {
        expect(message.takeableAtMs).toBe(0);
        expect(id > lowWater).toBe(true);
      } else expect(dueAtMs).toBe(message.takeableAtMs);
    }
  }
}

function progressOf(before: Progress, fates: readonly Fate[], atDot: boolean): Progress {
  const deliveries = fates.map((fate, index): DeliveryState => {
    const attempts = (before.deliveries[index]?.attempts ?? 0) + 1;
    const state = { attempts, updatedAtMs: 1 };
    if (fate.is === 'held') return { ...state, status: 'in_doubt' };
    if (fate.is === 'ended') return { ...state, status: 'delivered' };
    if (fate.atMs > 0) return { ...state, status: 'deferred', nextAttemptAtMs: fate.atMs };
    return { ...state, status: atDot ? 'sending' : 'queued' };
  });
  return { ...before, deliveries };
}

export function fateOf(delivery: DeliveryState): Fate['is'] {
  if (isOpen(delivery)) return 'open';
  return delivery.status === 'in_doubt' ? 'held' : 'ended';
}
