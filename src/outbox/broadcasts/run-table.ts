/** The runs of broadcasts in shard 0: how far each has come, and the page that is being taken. */
import type { LedgerDatabase } from '../ledger/database.ts';
import type { Quota } from '../usage.ts';
import type { BroadcastRunStatus, ContactRange } from './broadcast-api.ts';

/** Written down before anything of the page is accepted; then its messages are always the same. */
export interface PagePlan {
  readonly number: number;
  readonly range: ContactRange;
  readonly shard: number;
  /** The time in the ids of its messages. */
  readonly atMs: number;
  readonly shards: number;
  readonly quota?: Quota;
}

export interface RunProgress {
  readonly scheduledAtMs?: number;
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  readonly total?: number;
  /** Up to and with this contact everybody had his turn. */
  readonly after?: string;
  /** Of the last page that was planned. */
  readonly page: number;
  readonly plan?: PagePlan | undefined;
  /** So many shards may have a part of it. */
  readonly shards: number;
  readonly skipped: number;
  /** Of a canceled one: the shards that have not been told. */
  readonly unstopped?: readonly number[];
  readonly reason?: string;
}

export interface StoredRun extends RunProgress {
  readonly id: string;
  readonly status: BroadcastRunStatus;
}

interface Row extends Record<string, SqlStorageValue> {
  id: string;
  status: string;
  run: string;
}

/** Nothing is to be done for these, whatever happens. A canceled one may have shards to tell. */
const OVER = `status IN ('sent', 'failed')`;

export class RunTable {
  private readonly db: LedgerDatabase;
  private known: readonly StoredRun[] | undefined;

  constructor(db: LedgerDatabase) {
    this.db = db;
  }

  find(id: string): StoredRun | undefined {
    const row = this.db.first<Row>('SELECT id, status, run FROM broadcast_runs WHERE id = ?', id);
    return row && runOf(row);
  }

  insert(id: string, scheduledAtMs: number | undefined): StoredRun {
    this.known = undefined;
    const progress: RunProgress = {
      page: 0,
      shards: 0,
      skipped: 0,
      ...(scheduledAtMs === undefined ? {} : { scheduledAtMs }),
    };
    const status = scheduledAtMs === undefined ? 'queued' : 'scheduled';
    this.db.run(
      'INSERT INTO broadcast_runs (id, status, run) VALUES (?, ?, ?)',
      id,
      status,
      JSON.stringify(progress),
    );
    return { id, status, ...progress };
  }

  /** As it is by then: others may have changed it meanwhile. undefined where it is gone. */
  change(id: string, to: (run: StoredRun) => Partial<StoredRun>): StoredRun | undefined {
    const run = this.find(id);
    if (!run) return undefined;
    this.known = undefined;
    const changed = { ...run, ...to(run) };
    const { id: _, status, ...progress } = changed;
    this.db.run(
      'UPDATE broadcast_runs SET status = ?, run = ? WHERE id = ?',
      status,
      JSON.stringify(progress),
      id,
    );
    return changed;
  }

  drop(id: string): void {
    this.known = undefined;
    this.db.run('DELETE FROM broadcast_runs WHERE id = ?', id);
  }

  /** Those that there is something to do for, now or at their time, in the order of their ids. */
  get open(): readonly StoredRun[] {
    this.known ??= this.db
      .all<Row>(
        `SELECT id, status, run FROM broadcast_runs WHERE NOT ${OVER} AND status <> 'paused' ORDER BY id`,
      )
      .map(runOf)
      .filter(({ status, unstopped = [] }) => status !== 'canceled' || unstopped.length > 0);
    return this.known;
  }

  get isEmpty(): boolean {
    return this.db.first('SELECT 1 FROM broadcast_runs LIMIT 1') === undefined;
  }

  /** Those that were over before then. */
  sweep(overBeforeMs: number): void {
    this.known = undefined;
    this.db.run(`DELETE FROM broadcast_runs WHERE json_extract(run, '$.finishedAtMs') < ?`, overBeforeMs);
  }
}

function runOf({ id, status, run }: Row): StoredRun {
  const progress: RunProgress = JSON.parse(run);
  return { id, status: status as BroadcastRunStatus, ...progress };
}
