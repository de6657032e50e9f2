/**
 * The ledger's large tables are cut by day: `messages_20781` holds the messages whose id was made on that
 * day (UTC, counted from 1970). Retention then drops whole tables, which writes no rows, where deleting
 * would write one for each. docs/decisions/0003 has the numbers.
 */
export const DAY_MS = 24 * 60 * 60 * 1000;

export const PARTITIONED = [
  'messages',
  'contents',
  'claims',
  'events',
  'deliveries',
  'terms',
  'late_terms',
] as const;
export type PartitionedTable = (typeof PARTITIONED)[number];

const COLUMNS: Record<PartitionedTable, string> = {
  // phase: 0 closed, 1 waiting for the scan, 2 has a row in `due`, 3 held for the customer's decision.
  messages: `(
    id TEXT PRIMARY KEY,
    accepted_at INTEGER NOT NULL,
    phase INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    first_piece INTEGER NOT NULL,
    head_pieces INTEGER NOT NULL,
    attachment_pieces INTEGER NOT NULL,
    summary BLOB NOT NULL,
    progress TEXT NOT NULL,
    replies BLOB,
    dot TEXT,
    terms BLOB
  ) WITHOUT ROWID, STRICT`,
  contents: '(piece_number INTEGER PRIMARY KEY, piece BLOB NOT NULL) STRICT',
  claims: `(
    key_hash TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    ids TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) WITHOUT ROWID, STRICT`,
  // A row holds the events of one commit; `seq` counts microseconds.
  events: '(seq INTEGER PRIMARY KEY, entries TEXT NOT NULL) STRICT',
  // What became of an event at a webhook, by the day of the event. status: 0 pending, 1 success, 2 failed.
  deliveries: `(
    webhook_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    status INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_at INTEGER,
    attempts BLOB,
    PRIMARY KEY (webhook_id, seq, entry)
  ) WITHOUT ROWID, STRICT`,
  terms: `(
    bucket INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    oldest TEXT NOT NULL,
    newest TEXT NOT NULL,
    pairs BLOB NOT NULL,
    PRIMARY KEY (bucket, segment)
  ) WITHOUT ROWID, STRICT`,
  late_terms: '(term TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (term, id)) WITHOUT ROWID, STRICT',
};

/** Columns that tables of a former version lack. They are added when the object starts, and are empty there. */
const ADDED_COLUMNS: Partial<Record<PartitionedTable, readonly string[]>> = {
  messages: ['terms BLOB'],
};

export function dayOf(atMs: number): number {
  return Math.floor(atMs / DAY_MS);
}

export function startOfDay(day: number): number {
  return day * DAY_MS;
}

/** Knows which days have tables. One per object; the tables themselves are the truth. */
export class Partitions {
  private readonly sql: SqlStorage;
  private readonly days: Record<PartitionedTable, Set<number>> = {
    messages: new Set(),
    contents: new Set(),
    claims: new Set(),
    events: new Set(),
    deliveries: new Set(),
    terms: new Set(),
    late_terms: new Set(),
  };

  constructor(sql: SqlStorage) {
    this.sql = sql;
    this.reload();
  }

  /** The name of a day's table, or undefined where there is none. */
  find(table: PartitionedTable, day: number): string | undefined {
    return this.days[table].has(day) ? nameOf(table, day) : undefined;
  }

  /** The name of a day's table, which is made where it is missing. */
  make(table: PartitionedTable, day: number): string {
    const name = nameOf(table, day);
    if (!this.days[table].has(day)) {
      this.sql.exec(`CREATE TABLE IF NOT EXISTS ${name} ${COLUMNS[table]}`);
      this.days[table].add(day);
    }
    return name;
  }

  /** Oldest first. */
  daysOf(table: PartitionedTable): number[] {
    return [...this.days[table]].sort((a, b) => a - b);
  }

  drop(table: PartitionedTable, day: number): void {
    this.sql.exec(`DROP TABLE IF EXISTS ${nameOf(table, day)}`);
    this.days[table].delete(day);
  }

  /** Puts the rows of a query in the place of all that a day has. In a transaction. */
  replace(table: PartitionedTable, day: number, rows: string): void {
    const name = nameOf(table, day);
    this.sql.exec(`CREATE TABLE thinned ${COLUMNS[table]}`);
    this.sql.exec(`INSERT INTO thinned ${rows}`);
    this.sql.exec(`DROP TABLE ${name}`);
    this.sql.exec(`ALTER TABLE thinned RENAME TO ${name}`);
  }

  /** After a rolled back transaction the set may name tables that are not there. */
  reload(): void {
    for (const table of PARTITIONED) this.days[table].clear();
    const tables = this.sql.exec<{ name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'table'",
    );
    for (const { name, sql } of tables.toArray()) {
      const match = NAME.exec(name);
      const table = PARTITIONED.find((each) => each === match?.[1]);
      if (!table) continue;
      this.days[table].add(Number(match?.[2]));
      for (const column of ADDED_COLUMNS[table] ?? []) {
        if (!sql.includes(column)) this.sql.exec(`ALTER TABLE ${name} ADD COLUMN ${column}`);
      }
    }
  }
}

const NAME = /^([a-z_]+)_(\d+)$/;

function nameOf(table: PartitionedTable, day: number): string {
  if (!Number.isSafeInteger(day)) throw new Error('not a day');
  return `${table}_${day}`;
}
