/** The Worker as it is, with an Outbox that counts every row the platform would bill, whoever writes it. */
import { app } from '../src/app.ts';
import type { Env } from '../src/env.ts';
import type { Ledger } from '../src/outbox/ledger/ledger.ts';
import { Outbox as RealOutbox } from '../src/outbox/outbox.ts';

export { RelayGate } from '../src/relay-gate/relay-gate.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export interface RowCount {
  /** By statements, schema and day tables included. */
  readonly statements: number;
  /** Each `setAlarm` is billed as a row. */
  readonly alarms: number;
}

export class Outbox extends RealOutbox {
  private readonly count: () => RowCount;

  constructor(ctx: DurableObjectState, env: Env) {
    const count = countRows(ctx.storage);
    super(ctx, env);
    this.count = count;
  }

  async rowsWritten(): Promise<RowCount> {
    return this.count();
  }

  /** What the alarm would do on a day when everything is past its retention. */
  async sweepAll(): Promise<void> {
    const { ledger } = this as unknown as { ledger: Ledger };
    ledger.sweep(Date.now() + 40 * DAY_MS, { bodies: 7, metadata: 30, claims: 7 });
  }

  async isEmpty(): Promise<boolean> {
    return !(this as unknown as { ledger: Ledger }).ledger.hasHistory;
  }
}

/** A cursor's count is final only once it was read, so cursors are kept until somebody asks. */
function countRows(storage: DurableObjectStorage): () => RowCount {
  let statements = 0;
  let alarms = 0;
  let cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  const fold = () => {
    for (const cursor of cursors) statements += cursor.rowsWritten;
    cursors = [];
  };
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  sql.exec = ((statement: string, ...values: unknown[]) => {
    // By now the cursors before this one were read to their ends.
    if (cursors.length >= 100) fold();
    const cursor = exec(statement, ...values);
    cursors.push(cursor);
    return cursor;
  }) as typeof sql.exec;
  const setAlarm = storage.setAlarm.bind(storage);
  storage.setAlarm = (atMs, options) => {
    alarms++;
    return setAlarm(atMs, options);
  };
  return () => {
    fold();
    return { statements, alarms };
  };
}

/** `/bench/<method>?account=…` calls a method of that account's Outbox; everything else is the real API. */
export default {
  async fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (!pathname.startsWith('/bench/')) return app.fetch(request, env, context);
    const name = `${searchParams.get('account')}/0`;
    const outbox = env.OUTBOX.get(env.OUTBOX.idFromName(name)) as unknown as Outbox;
    if (pathname === '/bench/sweep') await outbox.sweepAll();
    if (pathname === '/bench/empty') return Response.json(await outbox.isEmpty());
    return Response.json(await outbox.rowsWritten());
  },
} satisfies ExportedHandler<Env>;
