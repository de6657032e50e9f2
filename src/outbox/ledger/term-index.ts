/**
 * The index behind filtered lists, docs/decisions/0008-list-index.md. Two kinds of terms, because they become
 * final at different times: recipients and tags with the acceptance, statuses and relays with the verdict. A
 * backlog of any size therefore waits in the rows it has anyway, and costs no memory.
 */
import { newProgress } from '../../delivery/progress.ts';
import { firstMessageIdAt, parseMessageId } from '../../ids.ts';
import type { MessageToAccept } from '../client.ts';
import { stateTermsOf, type Term, unpackTerms } from '../terms.ts';
import type { LedgerDatabase } from './database.ts';
import type { IdRange, Ids } from './id-streams.ts';
import type { LedgerItem } from './message-row.ts';
import { dayOf } from './partitions.ts';
import { TermStream } from './term-stream.ts';

/** About 4,000 to 5,000 messages of one recipient and a tag. */
export const SEGMENT_PAIRS = 16_384;
/** Ids of the last moments may still come out of order. */
const CLOCK_SLACK_MS = 10_000;

export class TermIndex {
  private readonly db: LedgerDatabase;
  private readonly fixed: TermStream;
  private readonly states: TermStream;
  /** Below it, no message waits for the walk: its state changes only by a row in `due`, or by the customer. */
  private readonly lowWater: () => string;
  private lastDay: number;

  constructor(db: LedgerDatabase, lowWater: () => string, segmentPairs = SEGMENT_PAIRS) {
    this.db = db;
    this.lowWater = lowWater;
    this.fixed = new TermStream(
      db,
      {
        number: 0,
        markName: 'fixed_terms_mark',
        column: 'terms',
        termsOf: (column) => new Set(typeof column === 'string' ? [] : unpackTerms(new Uint8Array(column))),
      },
      segmentPairs,
    );
    this.states = new TermStream(
      db,
      {
        number: 1,
        markName: 'state_terms_mark',
        column: 'progress',
        termsOf: (column) => (typeof column === 'string' ? stateTermsOf(JSON.parse(column).deliveries) : []),
      },
      segmentPairs,
    );
    this.lastDay = db.partitions.daysOf('messages').at(-1) ?? 0;
  }

  /** In the transaction that writes the message. */
  addMessage(id: string, message: Pick<MessageToAccept, 'terms' | 'recipientCount' | 'rejections'>): void {
    const { terms, recipientCount, rejections } = message;
    if (terms) this.fixed.add(id, new Set(unpackTerms(terms)));
    // Who was rejected is at its end already.
    if (rejections)
      this.states.add(id, [...stateTermsOf(newProgress(recipientCount, 0, message).deliveries)]);
  }

  /** In the transaction that changes the message. */
  addChange(before: LedgerItem, after: LedgerItem): void {
    const known = stateTermsOf(before.progress.deliveries);
    const terms = [...stateTermsOf(after.progress.deliveries)];
    this.states.add(
      before.id,
      terms.filter((term) => !known.has(term)),
    );
  }

  /** After the transaction of an acceptance. The first one of a day also writes down what the day before left. */
  afterAccept(nowMs: number): void {
    const day = dayOf(nowMs);
    if (this.fixed.isFull || day > this.lastDay) this.fixed.flush(this.settledBelow(nowMs));
    if (day > this.lastDay) this.states.flush(this.lowWater());
    this.lastDay = Math.max(day, this.lastDay);
  }

  /** After the transaction of a change. */
  afterChange(): void {
    if (this.states.isFull) this.states.flush(this.lowWater());
  }

  /** Before a list is read: what is read into memory shall be little. */
  prepare(nowMs: number): void {
    if (!this.fixed.isLoaded) this.fixed.flush(this.settledBelow(nowMs));
    if (!this.states.isLoaded) this.states.flush(this.lowWater());
  }

  fixedIds(term: Term, day: number, range: IdRange): Ids {
    return this.fixed.idsOf(term, day, range);
  }

  stateIds(term: Term, day: number, range: IdRange): Ids {
    return this.states.idsOf(term, day, range);
  }

  /** After days were dropped. */
  forget(): void {
    this.fixed.forget();
    this.states.forget();
  }

  private settledBelow(nowMs: number): string {
    const day = this.db.partitions.daysOf('messages').at(-1);
    const table = day === undefined ? undefined : this.db.partitions.find('messages', day);
    const newest = table && this.db.first<{ id: string | null }>(`SELECT max(id) AS id FROM ${table}`)?.id;
    const newestMs = newest ? (parseMessageId(newest)?.createdAtMs ?? 0) : 0;
    // A clock that is ahead must not put the mark where other ids are still to come.
    return firstMessageIdAt(Math.min(newestMs, nowMs) - CLOCK_SLACK_MS);
  }
}
