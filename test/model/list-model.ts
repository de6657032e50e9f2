/** The lists of a ledger, and what they must be by a filter over all messages, one after the other. */
import type { SealingKey } from '../../src/crypto/seal.ts';
import type { DeliveryState, Progress } from '../../src/delivery/progress.ts';
import { newMessageId, parseMessageId } from '../../src/ids.ts';
import type { MessageFilter, PageRequest } from '../../src/outbox/client.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';
import { fixedTermsOf, keyedTerm, recipientKey } from '../../src/outbox/terms.ts';
import { sqliteStorage } from './sqlite-storage.ts';

export const DAY_MS = 24 * 60 * 60 * 1000;
const KEY: SealingKey = { number: 1, bytes: new Uint8Array(32).fill(3) };
const KEPT = { bodies: 1, metadata: 2, claims: 1 };
/** So small that a handful of messages makes a segment. */
const SEGMENT_PAIRS = 8;

export interface NewMessage {
  readonly skewMs: number;
  readonly recipients: readonly string[];
  readonly tags: readonly { readonly name: string; readonly value: string }[];
}

/** How a filter is asked for: with words instead of hashes. */
export interface Wish {
  readonly recipient?: string;
  readonly tag?: string;
  readonly status?: DeliveryState['status'];
  readonly relayId?: string;
  readonly sinceMs?: number;
  readonly untilMs?: number;
}

interface Known extends NewMessage {
  readonly id: string;
  deliveries: readonly DeliveryState[];
}

export type Fate = Pick<DeliveryState, 'status'> & { readonly relayId?: string; readonly delayMs?: number };

export class ListsUnderTest {
  nowMs = 20_000 * DAY_MS + 12 * 60 * 60 * 1000;
  readonly known = new Map<string, Known>();
  private readonly storage = sqliteStorage();
  private database = new LedgerDatabase(this.storage);
  private ledger = new Ledger(this.database, SEGMENT_PAIRS);
  private readonly hand = new Map<string, LedgerItem>();

  accept(messages: readonly NewMessage[]): void {
    const accepted = messages.map((message) => ({
      ...message,
      id: newMessageId(0, this.nowMs + message.skewMs),
      deliveries: message.recipients.map(() => ({
        status: 'queued' as const,
        attempts: 0,
        updatedAtMs: this.nowMs,
      })),
    }));
    this.ledger.accept(
      {
        accountId: 'acc_x',
        keyId: 'key_x',
        messages: accepted.map(({ id, recipients, tags }) => ({
          id,
          recipientCount: recipients.length,
          terms: fixedTermsOf(KEY, recipients, tags),
          summary: new Uint8Array(1),
          head: [new Uint8Array(1)],
          attachments: [],
        })),
      },
      this.nowMs,
    );
    for (const message of accepted) this.known.set(message.id, message);
  }

  take(): void {
    const item = this.ledger.queue.take(this.nowMs);
    if (item) this.hand.set(item.id, item);
  }

  /** Of a message in hand, or of any other as the customer would. */
  change(pick: number, fates: readonly Fate[], { atDot, inHand }: { atDot: boolean; inHand: boolean }): void {
    const ids = inHand ? [...this.hand.keys()] : [...this.known.keys()].filter((id) => !this.hand.has(id));
    const id = ids[pick % ids.length];
    const item = id === undefined ? undefined : (this.hand.get(id) ?? this.ledger.messages.find(id));
    if (!item) return;
    const dot =
      atDot && inHand ? { relayId: 'rly_a', recipients: [0], sha256: 'h', pending: true } : undefined;
    const progress = this.progressOf(item.progress, fates, dot !== undefined);
    const [written = item] = this.ledger.commit([{ item, progress, replies: undefined, dot }]);
    if (dot) this.hand.set(item.id, written);
    else this.hand.delete(item.id);
    const message = this.known.get(item.id);
    if (message) message.deliveries = progress.deliveries;
  }

  saveLowWater(): void {
    this.ledger.queue.saveLowWater();
  }

  restart(): void {
    this.database = new LedgerDatabase(this.storage);
    this.ledger = new Ledger(this.database, SEGMENT_PAIRS);
    this.hand.clear();
  }

  sweep(days: number): void {
    this.nowMs += days * DAY_MS;
    this.ledger.sweep(this.nowMs, KEPT);
    for (const id of this.known.keys()) if (!this.ledger.messages.find(id)) this.known.delete(id);
  }

  /** The whole list a page at a time, in either direction, and what it should be. */
  walk(
    wish: Wish,
    limit: number,
    direction: 'after' | 'before',
  ): { found: string[][]; expected: string[][] } {
    const expected = this.pagesOf(this.naive(wish), limit, direction);
    const found: string[][] = [];
    let cursor: string | undefined;
    for (let page = 0; page <= expected.length; page++) {
      const request: PageRequest = {
        limit,
        filter: filterOf(wish),
        ...(direction === 'before'
          ? { before: cursor ?? '' }
          : cursor === undefined
            ? {}
            : { after: cursor }),
      };
      const { messages, hasMore } = this.ledger.list(request, this.nowMs);
      const ids = messages.map(({ id }) => id);
      found.push(ids);
      if (!hasMore) break;
      cursor = direction === 'after' ? ids.at(-1) : ids[0];
    }
    return { found, expected };
  }

  /** Rows of the two tables of the index. */
  countIndexRows(): number {
    let count = 0;
    for (const table of ['terms', 'late_terms'] as const) {
      for (const day of this.database.partitions.daysOf(table)) {
        const name = this.database.partitions.find(table, day);
        count += this.database.first<{ n: number }>(`SELECT count(*) AS n FROM ${name}`)?.n ?? 0;
      }
    }
    return count;
  }

  private naive(wish: Wish): string[] {
    return [...this.known.values()]
      .filter(({ id, recipients, tags, deliveries }) => {
        const { recipient, tag, status, relayId, sinceMs = 0, untilMs = Number.MAX_SAFE_INTEGER } = wish;
        const createdAtMs = parseMessageId(id)?.createdAtMs ?? 0;
        if (createdAtMs < sinceMs || createdAtMs >= untilMs) return false;
        const words = tags.flatMap(({ name, value }) => [name, `${name}=${value}`]);
        if (tag !== undefined && !words.includes(tag)) return false;
        return deliveries.some(
          (delivery, index) =>
            (recipient === undefined || recipients[index]?.toLowerCase() === recipient.toLowerCase()) &&
            (status === undefined || delivery.status === status) &&
            (relayId === undefined || delivery.relayId === relayId),
        );
      })
      .map(({ id }) => id)
      .sort()
      .reverse();
  }

  private pagesOf(newestFirst: readonly string[], limit: number, direction: 'after' | 'before'): string[][] {
    const pages: string[][] = [];
    const ids = [...newestFirst];
    do pages.push(direction === 'after' ? ids.splice(0, limit) : ids.splice(-limit));
    while (ids.length > 0);
    return pages;
  }

  private progressOf(before: Progress, fates: readonly Fate[], atDot: boolean): Progress {
    const deliveries = before.deliveries.map((delivery, index): DeliveryState => {
      const { status, relayId, delayMs = 0 } = fates[index % fates.length] ?? { status: 'delivered' };
      const state = {
        attempts: delivery.attempts + 1,
        updatedAtMs: this.nowMs,
        ...(relayId === undefined ? {} : { relayId }),
      };
      if (atDot) return { ...state, status: 'sending' };
      return status === 'deferred'
        ? { ...state, status, nextAttemptAtMs: this.nowMs + delayMs }
        : { ...state, status };
    });
    return { ...before, deliveries };
  }
}

function filterOf({ recipient, tag, ...rest }: Wish): MessageFilter {
  return {
    ...rest,
    ...(recipient === undefined ? {} : { recipient: keyedTerm(KEY, 'recipient', recipientKey(recipient)) }),
    ...(tag === undefined ? {} : { fixed: [keyedTerm(KEY, 'tag', tag)] }),
  };
}
