/**
 * Where terms lie on disk. `terms_<day>` has a row for each bucket of a segment: pairs of term and id, sorted,
 * with the ids' range beside them so that a row outside of a page's range is not opened. `late_terms_<day>` has a
 * row for each pair that came after its segment was written. Both go with their day.
 */
import { ID_PREFIXES, parseMessageId } from '../../ids.ts';
import type { Term } from '../terms.ts';
import type { LedgerDatabase } from './database.ts';
import { pagedIds } from './id-pages.ts';
import { type IdRange, type Ids, idsWithin, lowerBound, mergeIds } from './id-streams.ts';
import { dayOf } from './partitions.ts';

export interface Pair {
  readonly term: Term;
  readonly id: string;
}

const BUCKETS = 64;
const SMALL_BYTES = 4096;
const PREFIX = `${ID_PREFIXES.message}_`;
const TERM_BYTES = 8;
const ID_BYTES = 26;
const PAIR_BYTES = TERM_BYTES + ID_BYTES;
const encoder = new TextEncoder();
const decoder = new TextDecoder('latin1');

/** One kind of terms has buckets of its own, so that rows of the other are not opened in vain. */
export class TermSegments {
  private readonly db: LedgerDatabase;
  private readonly firstBucket: number;

  constructor(db: LedgerDatabase, kind: number) {
    this.db = db;
    this.firstBucket = kind * BUCKETS;
  }

  /** In a transaction. */
  write(pairs: readonly Pair[]): void {
    const rows = Map.groupBy(pairs, ({ term, id }) => `${dayOfId(id)}/${this.bucketOf(term)}`);
    for (const [place, inBucket] of rows) {
      const [day = 0, bucket = 0] = place.split('/').map(Number);
      const table = this.db.partitions.make('terms', day);
      const ids = inBucket.map(({ id }) => id).sort();
      this.db.run(
        `INSERT INTO ${table} (bucket, segment, oldest, newest, pairs)
         VALUES (?1, coalesce((SELECT max(segment) FROM ${table} WHERE bucket = ?1), 0) + 1, ?2, ?3, ?4)`,
        bucket,
        ids[0] ?? '',
        ids.at(-1) ?? '',
        packPairs(inBucket) as unknown as ArrayBuffer,
      );
    }
  }

  /** In a transaction. */
  writeLate({ term, id }: Pair): void {
    const table = this.db.partitions.make('late_terms', dayOfId(id));
    this.db.run(`INSERT OR IGNORE INTO ${table} (term, id) VALUES (?, ?)`, keyOf(term), id);
  }

  /** The ids of one day with the term, in the order of the range. */
  idsOf(term: Term, day: number, range: IdRange): Ids {
    return mergeIds([this.segmented(term, day, range), this.late(term, day, range)], range.ascending);
  }

  /** Segments of a kind follow each other without overlapping, so one is read after the other. */
  private *segmented(term: Term, day: number, range: IdRange): Generator<string, undefined> {
    const table = this.db.partitions.find('terms', day);
    if (!table) return;
    const bucket = this.bucketOf(term);
    const order = range.ascending ? 'ASC' : 'DESC';
    // A rare term lies in many small rows, which come together; a common one in large rows, which come one by one.
    const segments = this.db.all<{ segment: number; small: ArrayBuffer | null }>(
      `SELECT segment, CASE WHEN length(pairs) <= ${SMALL_BYTES} THEN pairs END AS small FROM ${table} WHERE bucket = ? AND newest >= ? AND oldest < ? ORDER BY segment ${order}`,
      bucket,
      range.from,
      range.below,
    );
    for (const { segment, small } of segments) {
      const pairs = small ?? this.readPairs(table, bucket, segment);
      if (pairs) yield* idsInPairs(new Uint8Array(pairs), term, range);
    }
  }

  private readPairs(table: string, bucket: number, segment: number): ArrayBuffer | undefined {
    return this.db.first<{ pairs: ArrayBuffer }>(
      `SELECT pairs FROM ${table} WHERE bucket = ? AND segment = ?`,
      bucket,
      segment,
    )?.pairs;
  }

  private late(term: Term, day: number, range: IdRange): Ids {
    const table = this.db.partitions.find('late_terms', day);
    if (!table) return idsWithin([], range);
    return pagedIds(this.db, { table, condition: 'term = ?', values: [keyOf(term)] }, range);
  }

  private bucketOf(term: Term): number {
    return this.firstBucket + Number(term % BigInt(BUCKETS));
  }
}

export function packPairs(pairs: readonly Pair[]): Uint8Array {
  const sorted = [...pairs].sort((a, b) => (isBefore(a, b) ? -1 : 1));
  const packed = new Uint8Array(sorted.length * PAIR_BYTES);
  const view = new DataView(packed.buffer);
  sorted.forEach(({ term, id }, index) => {
    view.setBigUint64(index * PAIR_BYTES, term);
    encoder.encodeInto(id.slice(PREFIX.length), packed.subarray(index * PAIR_BYTES + TERM_BYTES));
  });
  return packed;
}

/** The ids of a term among packed pairs, that lie in the range. */
export function* idsInPairs(
  packed: Uint8Array,
  term: Term,
  { from, below, ascending }: IdRange,
): Generator<string, undefined> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const pairAt = (index: number): Pair => {
    const at = index * PAIR_BYTES;
    const id = PREFIX + decoder.decode(packed.subarray(at + TERM_BYTES, at + PAIR_BYTES));
    return { term: view.getBigUint64(at), id };
  };
  const count = Math.floor(packed.byteLength / PAIR_BYTES);
  const start = lowerBound(count, (index) => isBefore(pairAt(index), { term, id: from }));
  const end = lowerBound(count, (index) => isBefore(pairAt(index), { term, id: below }));
  for (let step = 0; step < end - start; step++) yield pairAt(ascending ? start + step : end - 1 - step).id;
}

function isBefore(a: Pair, b: Pair): boolean {
  return a.term === b.term ? a.id < b.id : a.term < b.term;
}

/** SQLite has no unsigned numbers of 64 bits, and numbers of that size do not come out of it whole. */
function keyOf(term: Term): string {
  return term.toString(16).padStart(16, '0');
}

export function dayOfId(id: string): number {
  return dayOf(parseMessageId(id)?.createdAtMs ?? 0);
}
