/** As much of a Durable Object's storage as the ledger uses, over the SQLite that Node brings along. */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';

const HAS_SEVERAL = /;\s*\S/;

export function sqliteStorage(): DurableObjectStorage {
  return losingStorage().storage;
}

/** A storage of which everything that was written since the last `sync` can be lost, as by a crash. */
export function losingStorage() {
  const database = new DatabaseSync(':memory:');
  database.exec('SAVEPOINT unsynced');
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
    database.exec('SAVEPOINT work');
    try {
      const result = work();
      database.exec('RELEASE work');
      return result;
    } catch (error) {
      database.exec('ROLLBACK TO work; RELEASE work');
      throw error;
    }
  };
  const sync = async () => database.exec('RELEASE unsynced; SAVEPOINT unsynced');
  const lose = () => database.exec('ROLLBACK TO unsynced');
  return { storage: { sql: { exec }, transactionSync, sync } as unknown as DurableObjectStorage, lose };
}

function cursorOf(rows: readonly unknown[], rowsWritten: number) {
  return { toArray: () => [...rows], [Symbol.iterator]: () => rows.values(), rowsWritten };
}
