/** As much of a Durable Object's storage as the ledger uses, over the SQLite that Node brings along. */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';

const HAS_SEVERAL = /;\s*\S/;

export function sqliteStorage(): DurableObjectStorage {
  const database = new DatabaseSync(':memory:');
  const exec = (statement: string, ...values: SQLInputValue[]) => {
    if (HAS_SEVERAL.test(statement)) {
      database.exec(statement);
      return cursorOf([], 0);
    }
    const prepared = database.prepare(statement);
    if (prepared.columns().length > 0) return cursorOf(prepared.all(...values), 0);
    return cursorOf([], Number(prepared.run(...values).changes));
  };
  const transactionSync = <T>(work: () => T): T => {
    database.exec('BEGIN');
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  };
  return { sql: { exec }, transactionSync } as unknown as DurableObjectStorage;
}

function cursorOf(rows: readonly unknown[], rowsWritten: number) {
  return { toArray: () => [...rows], [Symbol.iterator]: () => rows.values(), rowsWritten };
}
