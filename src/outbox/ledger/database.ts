/** The object's own SQLite database: its fixed tables, its day tables, and a count of rows written. */
import { Partitions } from './partitions.ts';

/** Run in order, once each; forward only. Day tables are made by `Partitions` as they are needed. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
   CREATE TABLE due (
     at INTEGER NOT NULL,
     id TEXT NOT NULL,
     PRIMARY KEY (at, id)
   ) WITHOUT ROWID, STRICT;`,
  `CREATE TABLE webhook_cursors (
     webhook_id TEXT PRIMARY KEY,
     seq INTEGER NOT NULL,
     entry INTEGER NOT NULL,
     generation INTEGER NOT NULL,
     active_since INTEGER NOT NULL
   ) WITHOUT ROWID, STRICT;
   CREATE TABLE webhook_retries (
     webhook_id TEXT NOT NULL,
     at INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     entry INTEGER NOT NULL,
     PRIMARY KEY (webhook_id, at, seq, entry)
   ) WITHOUT ROWID, STRICT;`,
  `CREATE TABLE test_due (
     at INTEGER NOT NULL,
     id TEXT NOT NULL,
     PRIMARY KEY (at, id)
   ) WITHOUT ROWID, STRICT`,
  `CREATE TABLE staged (
     id TEXT PRIMARY KEY,
     first_piece INTEGER NOT NULL,
     started_at INTEGER NOT NULL
   ) WITHOUT ROWID, STRICT;`,
  `CREATE TABLE imports (
     number INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     status TEXT NOT NULL,
     changed_at INTEGER NOT NULL,
     completed_at INTEGER,
     size_bytes INTEGER NOT NULL DEFAULT 0,
     options BLOB,
     progress TEXT
   ) STRICT;
   CREATE TABLE import_pieces (piece_number INTEGER PRIMARY KEY, piece BLOB NOT NULL) STRICT;
   CREATE TABLE import_refusals (
     import INTEGER NOT NULL,
     line INTEGER NOT NULL,
     refusals BLOB NOT NULL,
     PRIMARY KEY (import, line)
   ) WITHOUT ROWID, STRICT;`,
  `CREATE TABLE broadcast_runs (
     id TEXT PRIMARY KEY,
     status TEXT NOT NULL,
     run TEXT NOT NULL
   ) WITHOUT ROWID, STRICT;
   CREATE TABLE broadcast_parts (
     id TEXT PRIMARY KEY,
     changed_at INTEGER NOT NULL,
     page INTEGER NOT NULL DEFAULT 0,
     fenced INTEGER NOT NULL DEFAULT 0,
     stop INTEGER NOT NULL DEFAULT 0,
     accepted INTEGER NOT NULL DEFAULT 0,
     waiting INTEGER NOT NULL DEFAULT 0,
     delivered INTEGER NOT NULL DEFAULT 0,
     failed INTEGER NOT NULL DEFAULT 0,
     suppressed INTEGER NOT NULL DEFAULT 0,
     canceled INTEGER NOT NULL DEFAULT 0,
     in_doubt INTEGER NOT NULL DEFAULT 0
   ) WITHOUT ROWID, STRICT;`,
  `CREATE TABLE erasures (
     contact_id TEXT PRIMARY KEY,
     recipient TEXT NOT NULL,
     until_at INTEGER NOT NULL,
     is_certain INTEGER NOT NULL DEFAULT 0,
     log_seq INTEGER NOT NULL DEFAULT 0,
     at INTEGER NOT NULL
   ) WITHOUT ROWID, STRICT`,
];

export class LedgerDatabase {
  readonly partitions: Partitions;
  /** Rows written since this object started, as the platform bills them (alarms count apart). */
  rowsWritten = 0;
  private readonly storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.storage = storage;
    this.migrate();
    this.partitions = new Partitions(storage.sql);
  }

  all<Row extends Record<string, SqlStorageValue>>(statement: string, ...values: SqlStorageValue[]): Row[] {
    const cursor = this.storage.sql.exec<Row>(statement, ...values);
    const rows = cursor.toArray();
    this.rowsWritten += cursor.rowsWritten;
    return rows;
  }

  /** For what has no rows to give. */
  run(statement: string, ...values: SqlStorageValue[]): void {
    this.rowsWritten += this.storage.sql.exec(statement, ...values).rowsWritten;
  }

  first<Row extends Record<string, SqlStorageValue>>(
    statement: string,
    ...values: SqlStorageValue[]
  ): Row | undefined {
    return this.all<Row>(statement, ...values)[0];
  }

  /** All or nothing; day tables made inside are forgotten again when it fails. */
  transaction<T>(work: () => T): T {
    try {
      return this.storage.transactionSync(work);
    } catch (error) {
      this.partitions.reload();
      throw error;
    }
  }

  readMeta(name: string): string | undefined {
    return this.first<{ value: string }>('SELECT value FROM meta WHERE name = ?', name)?.value;
  }

  writeMeta(name: string, value: string): void {
    this.run(
      'INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
      name,
      value,
    );
  }

  private migrate(): void {
    const { sql } = this.storage;
    this.storage.transactionSync(() => {
      sql.exec('CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT');
      const version =
        sql.exec<{ version: number }>('SELECT version FROM schema_version').toArray()[0]?.version ?? 0;
      if (version >= MIGRATIONS.length) return;
      for (const migration of MIGRATIONS.slice(version)) sql.exec(migration);
      sql.exec('DELETE FROM schema_version');
      sql.exec('INSERT INTO schema_version (version) VALUES (?)', MIGRATIONS.length);
    });
  }
}
