/**
 * The log of what happened, in the order it was written down. A row holds all events of one commit, because
 * rows are what the ledger is billed by. Its number is the time in microseconds, so that a time is a place in
 * the log, and a number says in which day's table its row lies.
 */
import type { EventEntry } from '../webhooks/event-entry.ts';
import { type EventPosition, isAfter } from '../webhooks/event-id.ts';
import type { LedgerDatabase } from './database.ts';
import { dayOf } from './partitions.ts';

/** Far below what a row may hold, and below what an event id has room for. */
const ENTRIES_PER_ROW = 2000;
/** So many may wait for a row that they share. */
const HELD_ENTRIES = 64;

export interface LoggedEntry extends EventPosition {
  readonly entry: EventEntry;
}

export interface LogPage {
  readonly entries: readonly LoggedEntry[];
  /** How far the log was read: after this comes what was not. */
  readonly position: EventPosition;
  readonly hasMore: boolean;
}

export class EventLog {
  private readonly db: LedgerDatabase;
  private pending: EventEntry[] = [];
  private isHolding = true;
  private lastSeq: number;

  constructor(db: LedgerDatabase) {
    this.db = db;
    const table = this.tables().at(-1);
    const last = table ? db.first<{ seq: number | null }>(`SELECT max(seq) AS seq FROM ${table}`) : undefined;
    this.lastSeq = last?.seq ?? 0;
  }

  /** The end of the log. */
  get head(): EventPosition {
    return { seq: this.lastSeq, index: ENTRIES_PER_ROW };
  }

  get hasPending(): boolean {
    return this.pending.length > 0;
  }

  /** What waits has to be written in this turn: a restart would not find it. */
  get mustFlush(): boolean {
    return this.pending.length > 0 && (!this.isHolding || this.pending.length >= HELD_ENTRIES);
  }

  /** To be written by the next `flush`. `mayWait`: a restart finds them again, see `recovery.ts`. */
  append(entries: readonly EventEntry[], options: { readonly mayWait: boolean } = { mayWait: false }): void {
    this.pending.push(...entries);
    if (entries.length > 0 && !options.mayWait) this.isHolding = false;
  }

  /** Writes what was appended. Where that fails it is still there for the next time. */
  flush(nowMs: number): void {
    while (this.pending.length > 0) {
      const entries = this.pending.slice(0, ENTRIES_PER_ROW);
      const seq = Math.max(this.lastSeq + 1, nowMs * 1000);
      this.db.run(
        `INSERT INTO ${this.db.partitions.make('events', dayOfSeq(seq))} (seq, entries) VALUES (?, ?)`,
        seq,
        JSON.stringify(entries),
      );
      this.lastSeq = seq;
      this.pending = this.pending.slice(entries.length);
    }
    this.isHolding = true;
  }

  /** The next events after a place, of at most so many rows. */
  read(after: EventPosition, rowLimit: number): LogPage {
    const entries: LoggedEntry[] = [];
    let position = after;
    let rowsLeft = rowLimit;
    for (const table of this.tables(dayOfSeq(after.seq))) {
      const rows = this.db.all<{ seq: number; entries: string }>(
        `SELECT seq, entries FROM ${table} WHERE seq >= ? ORDER BY seq LIMIT ?`,
        position.seq,
        rowsLeft,
      );
      for (const { seq, entries: text } of rows) {
        const found: EventEntry[] = JSON.parse(text);
        found.forEach((entry, index) => {
          if (isAfter({ seq, index }, after)) entries.push({ seq, index, entry });
        });
        position = { seq, index: Math.max(found.length - 1, seq === after.seq ? after.index : 0) };
      }
      rowsLeft -= rows.length;
      if (rowsLeft <= 0) break;
    }
    return { entries, position, hasMore: rowsLeft <= 0 && position.seq < this.lastSeq };
  }

  /**
   * Changes entries in the next rows after a number, of those whose text has one of these words. Says how far it came,
   * and whether that is the end; what was appended is written before.
   */
  rewrite(
    after: number,
    {
      words,
      rowLimit,
      nowMs,
    }: { readonly words: readonly string[]; readonly rowLimit: number; nowMs: number },
    change: (entry: EventEntry) => EventEntry,
  ): { readonly seq: number; readonly isEnd: boolean } {
    this.flush(nowMs);
    const hasWord = words.map(() => 'instr(entries, ?) > 0').join(' OR ');
    let seq = after;
    let rowsLeft = rowLimit;
    for (const table of this.tables(dayOfSeq(after))) {
      const rows = this.db.all<{ seq: number; entries: string | null }>(
        `SELECT seq, iif(${hasWord}, entries, NULL) AS entries FROM ${table} WHERE seq > ? ORDER BY seq LIMIT ?`,
        ...words,
        seq,
        rowsLeft,
      );
      for (const row of rows) {
        seq = row.seq;
        if (row.entries === null) continue;
        const entries: EventEntry[] = JSON.parse(row.entries);
        const changed = entries.map(change);
        if (changed.every((entry, index) => entry === entries[index])) continue;
        this.db.run(`UPDATE ${table} SET entries = ? WHERE seq = ?`, JSON.stringify(changed), row.seq);
      }
      rowsLeft -= rows.length;
      if (rowsLeft <= 0) return { seq, isEnd: seq >= this.lastSeq };
    }
    return { seq, isEnd: true };
  }

  find({ seq, index }: EventPosition): EventEntry | undefined {
    const table = this.db.partitions.find('events', dayOfSeq(seq));
    const row =
      table && this.db.first<{ entries: string }>(`SELECT entries FROM ${table} WHERE seq = ?`, seq);
    if (!row) return undefined;
    const entries: EventEntry[] = JSON.parse(row.entries);
    return entries[index];
  }

  private tables(fromDay = 0): string[] {
    return this.db.partitions
      .daysOf('events')
      .filter((day) => day >= fromDay)
      .flatMap((day) => this.db.partitions.find('events', day) ?? []);
  }
}

export function dayOfSeq(seq: number): number {
  return dayOf(Math.floor(seq / 1000));
}
