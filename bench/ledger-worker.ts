/** The Worker as it is, with an Outbox that counts every row the platform would bill, whoever writes it. */
import { app } from '../src/app.ts';
import type { Env } from '../src/env.ts';
import type { AcceptRequest, AcceptResult } from '../src/outbox/client.ts';
import type { Ledger } from '../src/outbox/ledger/ledger.ts';
import { Outbox as RealOutbox } from '../src/worker.ts';

export { RelayGate } from '../src/relay-gate/relay-gate.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export interface RowCount {
  /** By statements, schema and day tables included. */
  readonly statements: number;
  /** Each `setAlarm` is billed as a row. */
  readonly alarms: number;
  readonly rowsRead: number;
}

/** What else is billed. Of the isolate, for all its objects; there is one of them in a benchmark. */
export interface CallCount {
  readonly workerRequests: number;
  /** Each call of an Outbox, and each alarm that went off. */
  readonly objectRequests: number;
  readonly d1Statements: number;
}

const counted = new WeakMap<Env, Env>();
const calls: { -readonly [Name in keyof CallCount]: number } = {
  workerRequests: 0,
  objectRequests: 0,
  d1Statements: 0,
};

export class Outbox extends RealOutbox {
  private readonly count: () => RowCount;

  constructor(ctx: DurableObjectState, env: Env) {
    const count = countRows(ctx.storage);
    super(ctx, withD1Counted(env));
    this.count = count;
  }

  override async accept(request: AcceptRequest): Promise<AcceptResult> {
    calls.objectRequests++;
    return super.accept(request);
  }

  override async alarm(): Promise<void> {
    calls.objectRequests++;
    await super.alarm();
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
  let rowsRead = 0;
  let cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  const fold = () => {
    for (const cursor of cursors) {
      statements += cursor.rowsWritten;
      rowsRead += cursor.rowsRead;
    }
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
    return { statements, alarms, rowsRead };
  };
}

/** The same environment for the same one each time: what is remembered by environment stays remembered. */
function withD1Counted(env: Env): Env {
  const known = counted.get(env);
  if (known) return known;
  const { DB } = env;
  const prepare: D1Database['prepare'] = (query) => {
    calls.d1Statements++;
    return DB.prepare(query);
  };
  const database = { prepare, batch: DB.batch.bind(DB) } as unknown as D1Database;
  const wrapped: Env = { ...env, DB: database };
  counted.set(env, wrapped);
  return wrapped;
}
/** `/bench/<method>?account=…` calls a method of that account's Outbox; everything else is the real API. */
export default {
  async fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (!pathname.startsWith('/bench/')) {
      calls.workerRequests++;
      return app.fetch(request, withD1Counted(env), context);
    }
    if (pathname === '/bench/calls') return Response.json(calls);
    const name = `${searchParams.get('account')}/0`;
    const outbox = env.OUTBOX.get(env.OUTBOX.idFromName(name)) as unknown as Outbox;
    if (pathname === '/bench/sweep') await outbox.sweepAll();
    if (pathname === '/bench/backlog') return Response.json((await outbox.readStatistics()).backlog);
    if (pathname === '/bench/empty') return Response.json(await outbox.isEmpty());
    return Response.json(await outbox.rowsWritten());
  },
} satisfies ExportedHandler<Env>;
