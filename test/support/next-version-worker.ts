/** What a next version may be like: the same Worker, with one more migration of the ledger. */
import worker, { Outbox as PresentOutbox, RelayGate } from '../../src/worker.ts';

export { RelayGate };

export class Outbox extends PresentOutbox {
  constructor(ctx: DurableObjectState, env: ConstructorParameters<typeof PresentOutbox>[1]) {
    super(ctx, env);
    const { sql } = ctx.storage;
    const isNew =
      sql.exec("SELECT 1 FROM sqlite_schema WHERE name = 'of_the_next_version'").toArray().length === 0;
    if (!isNew) return;
    sql.exec('CREATE TABLE of_the_next_version (id TEXT PRIMARY KEY)');
    sql.exec('UPDATE schema_version SET version = version + 1');
  }
}

export default worker;
