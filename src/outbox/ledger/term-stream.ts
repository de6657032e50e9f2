/**
 * One kind of terms over all messages, in the order of ids. Up to its *mark* everything lies in segments; above
 * it the messages' own rows say everything, and are read into memory when somebody first asks. So:
 *
 * - a pair of a message above the mark costs nothing to write: it is in the message's row;
 * - a pair of a message at or below the mark, which came after its segment, is written on its own, at once;
 * - what is in here may be out of date, and is never incomplete: whoever reads compares with the message's row.
 */
import type { Term } from '../terms.ts';
import type { LedgerDatabase } from './database.ts';
import { type IdRange, type Ids, idsWithin, mergeIds } from './id-streams.ts';
import { dayOfId, type Pair, TermSegments } from './term-segments.ts';

const PAGE = 1000;

/** What makes the two kinds differ. */
export interface TermKind {
  readonly number: number;
  /** In `meta`: the id up to which segments are written. */
  readonly markName: string;
  readonly column: 'terms' | 'progress';
  readonly termsOf: (column: ArrayBuffer | string) => Iterable<Term>;
}

export class TermStream {
  private readonly db: LedgerDatabase;
  private readonly kind: TermKind;
  private readonly segments: TermSegments;
  private readonly segmentPairs: number;
  private mark: string;
  /** Above the mark, each list sorted by the time it is read; undefined while nobody asked. */
  private memory: Map<Term, RecentIds> | undefined;
  private newPairs = 0;

  constructor(db: LedgerDatabase, kind: TermKind, segmentPairs: number) {
    this.db = db;
    this.kind = kind;
    this.segments = new TermSegments(db, kind.number);
    this.segmentPairs = segmentPairs;
    this.mark = db.readMeta(kind.markName) ?? '';
  }

  /** In the transaction that makes the terms true. Should it fail, they are in memory in vain. */
  add(id: string, terms: Iterable<Term>): void {
    for (const term of terms) {
      if (id <= this.mark) this.segments.writeLate({ term, id });
      else {
        this.newPairs++;
        this.remember({ term, id });
      }
    }
  }

  /** True where a query need not read rows first. */
  get isLoaded(): boolean {
    return this.memory !== undefined;
  }

  /** True once about a segment has come since the last one. */
  get isFull(): boolean {
    return this.newPairs >= this.segmentPairs;
  }

  /** Writes segments of what is above the mark and below the id; what does not fill a good part of one stays. */
  flush(belowId: string): void {
    this.newPairs = 0;
    let pairs: Pair[] = [];
    let lastId = '';
    for (const row of this.rowsFrom(this.mark, belowId)) {
      lastId = row.id;
      for (const term of row.terms) pairs.push({ term, id: row.id });
      if (pairs.length < this.segmentPairs) continue;
      this.writeSegment(pairs, lastId);
      pairs = [];
    }
    if (pairs.length >= this.segmentPairs / 4) this.writeSegment(pairs, lastId);
  }

  /** The ids of one day with the term, in the order of the range, which lies in that day. */
  idsOf(term: Term, day: number, range: IdRange): Ids {
    const recent = this.loaded().get(term)?.inOrder() ?? [];
    return mergeIds([idsWithin(recent, range), this.segments.idsOf(term, day, range)], range.ascending);
  }

  /** After days were dropped, or a transaction that failed. */
  forget(): void {
    this.memory = undefined;
    this.mark = this.db.readMeta(this.kind.markName) ?? '';
  }

  private writeSegment(pairs: readonly Pair[], upToId: string): void {
    this.db.transaction(() => {
      this.segments.write(pairs);
      this.db.writeMeta(this.kind.markName, upToId);
    });
    this.mark = upToId;
    // What is still above is read again where somebody asks: it is little.
    this.memory = undefined;
  }

  private loaded(): Map<Term, RecentIds> {
    if (this.memory) return this.memory;
    this.memory = new Map();
    for (const { id, terms } of this.rowsFrom(this.mark, undefined)) {
      for (const term of terms) this.remember({ term, id });
    }
    return this.memory;
  }

  private remember({ term, id }: Pair): void {
    if (!this.memory) return;
    const known = this.memory.get(term);
    if (known) known.add(id);
    else this.memory.set(term, new RecentIds(id));
  }

  /** The terms of messages as they are now, in the order of ids, a page at a time. */
  private *rowsFrom(
    aboveId: string,
    belowId: string | undefined,
  ): Generator<{ id: string; terms: Iterable<Term> }> {
    const { column, termsOf } = this.kind;
    for (const day of this.db.partitions.daysOf('messages')) {
      const table = this.db.partitions.find('messages', day);
      if (!table || (aboveId !== '' && day < dayOfId(aboveId))) continue;
      for (let edge = aboveId; ; ) {
        const rows = this.db.all<{ id: string; source: ArrayBuffer | string | null }>(
          `SELECT id, ${column} AS source FROM ${table} WHERE id > ? AND id < ? ORDER BY id LIMIT ${PAGE}`,
          edge,
          belowId ?? 'n',
        );
        for (const { id, source } of rows) yield { id, terms: source === null ? [] : termsOf(source) };
        edge = rows.at(-1)?.id ?? edge;
        if (rows.length < PAGE) break;
      }
    }
  }
}

/** Ids in memory: nearly in order as they come, and in order once they are read. */
class RecentIds {
  private readonly ids: string[];
  private isSorted = true;

  constructor(id: string) {
    this.ids = [id];
  }

  add(id: string): void {
    if (id <= (this.ids.at(-1) ?? '')) this.isSorted = false;
    this.ids.push(id);
  }

  inOrder(): readonly string[] {
    if (!this.isSorted) this.ids.sort();
    this.isSorted = true;
    return this.ids;
  }
}
