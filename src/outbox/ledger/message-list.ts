/**
 * Lists of messages, newest first. A filter is answered from the index (`term-index.ts`), and open statuses from
 * where the pump finds its work; each candidate is then compared with its row as it is now, so what the index says
 * need only be complete.
 */
import { type Progress, shownDeliveries } from '../../delivery/progress.ts';
import { firstMessageIdAt } from '../../ids.ts';
import type { MessageFilter, MessagePage, PageRequest } from '../client.ts';
import { isLasting, plainTerm, unpackTerms } from '../terms.ts';
import type { LedgerDatabase } from './database.ts';
import { justAbove, pagedIds } from './id-pages.ts';
import { type IdRange, type Ids, mergeIds, sparsest } from './id-streams.ts';
import { CLOSED, MESSAGE_COLUMNS, type MessageRow, publicMessageOf } from './message-row.ts';
import { startOfDay } from './partitions.ts';
import type { TermIndex } from './term-index.ts';

/** Greater than every message id. */
const BEYOND = 'n';
const VERIFY_AT_ONCE = 32;

interface ListedRow extends MessageRow {
  terms: ArrayBuffer | null;
}

export class MessageList {
  private readonly db: LedgerDatabase;
  private readonly index: TermIndex;
  private readonly lowWater: () => string;

  constructor(db: LedgerDatabase, index: TermIndex, lowWater: () => string) {
    this.db = db;
    this.index = index;
    this.lowWater = lowWater;
  }

  /** Newest first. `after` means older than that id, `before` newer, as in the wire format. */
  read(request: PageRequest, nowMs: number): MessagePage {
    const { limit, filter } = request;
    const range = rangeOf(request);
    const rows: MessageRow[] = [];
    if (filter && isIndexed(filter)) this.index.prepare(nowMs);
    for (const day of this.daysOf(range)) {
      if (rows.length > limit) break;
      const wanted = limit + 1 - rows.length;
      const part = clip(range, day);
      rows.push(
        ...(filter && isIndexed(filter)
          ? this.matching(day, { range: part, filter, nowMs }, wanted)
          : this.plain(day, part, wanted)),
      );
    }
    const page = rows.slice(0, limit).map((row) => publicMessageOf(row, nowMs));
    return { messages: range.ascending ? page.reverse() : page, hasMore: rows.length > limit };
  }

  private daysOf(range: IdRange): number[] {
    const days = this.db.partitions.daysOf('messages').filter((day) => {
      const { from, below } = clip(range, day);
      return from < below;
    });
    return range.ascending ? days : days.reverse();
  }

  private plain(day: number, { from, below, ascending }: IdRange, limit: number): MessageRow[] {
    return this.db.all<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM ${this.tableOf(day)} WHERE id >= ? AND id < ?
       ORDER BY id ${ascending ? 'ASC' : 'DESC'} LIMIT ?`,
      from,
      below,
      limit,
    );
  }

  private matching(
    day: number,
    asked: { readonly range: IdRange; readonly filter: MessageFilter; readonly nowMs: number },
    limit: number,
  ): MessageRow[] {
    const found: MessageRow[] = [];
    const ids = this.candidates(day, asked.range, asked.filter);
    for (let isEnded = false; !isEnded && found.length < limit; ) {
      const chunk: string[] = [];
      while (chunk.length < VERIFY_AT_ONCE && !isEnded) {
        const { value } = ids.next();
        if (value === undefined) isEnded = true;
        else chunk.push(value);
      }
      found.push(...this.verified(day, chunk, asked));
    }
    return found.slice(0, limit);
  }

  private candidates(day: number, range: IdRange, filter: MessageFilter): Ids {
    const { recipient, fixed = [], status, relayId } = filter;
    const streams = [...(recipient === undefined ? [] : [recipient]), ...fixed].map((term) =>
      this.index.fixedIds(term, day, range),
    );
    if (relayId !== undefined) streams.push(this.index.stateIds(plainTerm('relay', relayId), day, range));
    if (status !== undefined) {
      streams.push(
        isLasting(status)
          ? this.index.stateIds(plainTerm('status', status), day, range)
          : this.open(day, range),
      );
    }
    const [only] = streams;
    return only && streams.length === 1 ? only : sparsest(streams, range.ascending);
  }

  /** The rows of ids that match, in their order. */
  private verified(
    day: number,
    ids: readonly string[],
    {
      range,
      filter,
      nowMs,
    }: { readonly range: IdRange; readonly filter: MessageFilter; readonly nowMs: number },
  ): MessageRow[] {
    if (ids.length === 0) return [];
    const rows = this.db.all<ListedRow>(
      `SELECT ${MESSAGE_COLUMNS}, terms FROM ${this.tableOf(day)}
       WHERE id IN (${ids.map(() => '?').join()}) ORDER BY id ${range.ascending ? 'ASC' : 'DESC'}`,
      ...ids,
    );
    return rows.filter((row) => matches(row, filter, nowMs));
  }

  /** Open messages: those that the pump's walk finds, which lie above the low-water mark, and those in `due`. */
  private open(day: number, range: IdRange): Ids {
    const walked = { ...range, from: later(range.from, this.lowWater()) };
    const table = this.tableOf(day);
    return mergeIds(
      [
        pagedIds(this.db, { table, condition: `phase <> ${CLOSED}` }, walked),
        pagedIds(this.db, { table: 'due' }, range),
        pagedIds(this.db, { table: 'test_due' }, range),
      ],
      range.ascending,
    );
  }

  private tableOf(day: number): string {
    return this.db.partitions.make('messages', day);
  }
}

/** A time alone needs no index: ids are in the order of time. */
function isIndexed({ recipient, fixed, status, relayId }: MessageFilter): boolean {
  return recipient !== undefined || (fixed?.length ?? 0) > 0 || status !== undefined || relayId !== undefined;
}

function rangeOf({ after, before, filter }: PageRequest): IdRange {
  const { sinceMs, untilMs } = filter ?? {};
  const since = sinceMs === undefined ? '' : firstMessageIdAt(sinceMs);
  const until = untilMs === undefined ? BEYOND : firstMessageIdAt(untilMs);
  const newer = before === undefined ? '' : justAbove(before);
  const older = after ?? BEYOND;
  return {
    from: later(newer, since),
    below: earlier(older, until),
    ascending: before !== undefined,
  };
}

function clip({ from, below, ascending }: IdRange, day: number): IdRange {
  const start = firstMessageIdAt(startOfDay(day));
  const end = firstMessageIdAt(startOfDay(day + 1));
  return { from: later(from, start), below: earlier(below, end), ascending };
}

function later(a: string, b: string): string {
  return a > b ? a : b;
}

function earlier(a: string, b: string): string {
  return a > b ? b : a;
}

/** Recipient, status and relay must be true of one and the same delivery. */
function matches(
  row: ListedRow,
  { recipient, fixed = [], status, relayId }: MessageFilter,
  nowMs: number,
): boolean {
  const terms = row.terms ? unpackTerms(new Uint8Array(row.terms)) : [];
  if (fixed.some((term) => !terms.includes(term))) return false;
  if (recipient !== undefined && !terms.includes(recipient)) return false;
  if (recipient === undefined && status === undefined && relayId === undefined) return true;
  const progress: Progress = JSON.parse(row.progress);
  return shownDeliveries(progress, nowMs).some(
    (delivery, index) =>
      (recipient === undefined || terms[index] === recipient) &&
      (status === undefined || delivery.status === status) &&
      (relayId === undefined || delivery.relayId === relayId),
  );
}
