/**
 * This shard's part of each broadcast: which pages it took, and what became of their messages. Counted in the
 * transaction that changes the messages, one row for each commit, so the counts are exact whatever happens.
 *
 * A page is known by its number and not by its messages, which may be past their retention when it is repeated.
 */
import type { Progress } from '../../delivery/progress.ts';
import type { BroadcastPage, PartCounts } from '../broadcasts/part-api.ts';
import type { LedgerDatabase } from './database.ts';

/** The broadcast was canceled, and messages of it may still be open. */
const STOPPING = 1;
/** None is. */
const STOPPED = 2;

type Row = Record<'accepted' | 'waiting' | 'delivered' | 'failed' | 'suppressed' | 'canceled', number> & {
  in_doubt: number;
};

const COUNTS = ['accepted', 'waiting', 'delivered', 'failed', 'suppressed', 'canceled', 'inDoubt'] as const;

export const NO_PART: PartCounts = {
  accepted: 0,
  waiting: 0,
  delivered: 0,
  failed: 0,
  suppressed: 0,
  canceled: 0,
  inDoubt: 0,
};

/** A message before and after a change; without `before` it is new. */
export interface PartChange {
  readonly before?: Progress;
  readonly after: Progress;
}

export class BroadcastParts {
  private readonly db: LedgerDatabase;
  private readonly stopping: Set<string>;

  constructor(db: LedgerDatabase) {
    this.db = db;
    const rows = db.all<{ id: string }>(`SELECT id FROM broadcast_parts WHERE stop = ${STOPPING}`);
    this.stopping = new Set(rows.map(({ id }) => id));
  }

  /** `fenced`: it cannot be accepted any more. */
  findPage({ broadcastId, page }: BroadcastPage): 'new' | 'accepted' | 'fenced' {
    const row = this.db.first<{ page: number; fenced: number; stop: number }>(
      'SELECT page, fenced, stop FROM broadcast_parts WHERE id = ?',
      broadcastId,
    );
    if (!row) return 'new';
    if (page <= row.page) return 'accepted';
    return page <= row.fenced || row.stop > 0 ? 'fenced' : 'new';
  }

  /** In the transaction that writes its messages. */
  recordPage({ broadcastId, page }: BroadcastPage, nowMs: number): void {
    this.db.run(
      `INSERT INTO broadcast_parts (id, changed_at, page) VALUES (?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET changed_at = excluded.changed_at, page = excluded.page`,
      broadcastId,
      nowMs,
      page,
    );
  }

  fence(page: BroadcastPage, nowMs: number): 'accepted' | 'fenced' {
    const found = this.findPage(page);
    if (found !== 'new') return found;
    this.db.run(
      `INSERT INTO broadcast_parts (id, changed_at, fenced) VALUES (?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET changed_at = excluded.changed_at, fenced = excluded.fenced`,
      page.broadcastId,
      nowMs,
      page.page,
    );
    return 'fenced';
  }

  /** In the transaction that changes the messages. Those of no broadcast cost nothing. */
  count(changes: readonly PartChange[], nowMs: number): void {
    const sums = new Map<string, Record<keyof PartCounts, number>>();
    for (const { before, after } of changes) {
      const { broadcastId } = after;
      if (broadcastId === undefined) continue;
      const sum = sums.get(broadcastId) ?? { ...NO_PART };
      sums.set(broadcastId, sum);
      const [was, is] = [before ? countsOf(before) : NO_PART, countsOf(after)];
      for (const name of COUNTS) sum[name] += is[name] - was[name];
    }
    for (const [id, sum] of sums) if (COUNTS.some((name) => sum[name] !== 0)) this.add(id, sum, nowMs);
  }

  read(id: string): PartCounts {
    const row = this.db.first<Row>(
      `SELECT accepted, waiting, delivered, failed, suppressed, canceled, in_doubt FROM broadcast_parts WHERE id = ?`,
      id,
    );
    if (!row) return NO_PART;
    const { in_doubt, ...rest } = row;
    return { ...rest, inDoubt: in_doubt };
  }

  /** Over all broadcasts. */
  countWaiting(): number {
    return this.db.first<{ n: number | null }>('SELECT sum(waiting) AS n FROM broadcast_parts')?.n ?? 0;
  }

  stop(id: string, nowMs: number): void {
    this.db.run(
      `INSERT INTO broadcast_parts (id, changed_at, stop) VALUES (?, ?, ${STOPPING})
       ON CONFLICT (id) DO UPDATE SET changed_at = excluded.changed_at, stop = excluded.stop WHERE stop = 0`,
      id,
      nowMs,
    );
    const row = this.db.first<{ stop: number }>('SELECT stop FROM broadcast_parts WHERE id = ?', id);
    if (row?.stop === STOPPING) this.stopping.add(id);
  }

  /** All of its messages are closed or held. */
  finishStop(id: string): void {
    this.db.run(`UPDATE broadcast_parts SET stop = ${STOPPED} WHERE id = ?`, id);
    this.stopping.delete(id);
  }

  /** Those that were canceled, and of which messages may be open. */
  get stoppingIds(): readonly string[] {
    return [...this.stopping];
  }

  isStopping(id: string | undefined): boolean {
    return id !== undefined && this.stopping.has(id);
  }

  get isEmpty(): boolean {
    return this.db.first('SELECT 1 FROM broadcast_parts LIMIT 1') === undefined;
  }

  sweep(changedBeforeMs: number): void {
    this.db.run('DELETE FROM broadcast_parts WHERE changed_at < ? AND stop <> ?', changedBeforeMs, STOPPING);
  }

  private add(id: string, sum: PartCounts, nowMs: number): void {
    this.db.run(
      `INSERT INTO broadcast_parts
         (id, changed_at, accepted, waiting, delivered, failed, suppressed, canceled, in_doubt)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET changed_at = excluded.changed_at,
         accepted = accepted + excluded.accepted, waiting = waiting + excluded.waiting,
         delivered = delivered + excluded.delivered, failed = failed + excluded.failed,
         suppressed = suppressed + excluded.suppressed, canceled = canceled + excluded.canceled,
         in_doubt = in_doubt + excluded.in_doubt`,
      id,
      nowMs,
      ...COUNTS.map((name) => sum[name]),
    );
  }
}

/** What one message adds to its broadcast. */
export function countsOf({ deliveries }: Progress): PartCounts {
  const counts = { ...NO_PART, accepted: deliveries.length };
  for (const { status, nextAttemptAtMs } of deliveries) {
    if (status === 'queued' || status === 'sending') counts.waiting++;
    else if (status === 'delivered' || status === 'suppressed' || status === 'canceled') counts[status]++;
    else if (status === 'failed' || status === 'expired') counts.failed++;
    else if (status === 'in_doubt' && nextAttemptAtMs === undefined) counts.inDoubt++;
  }
  return counts;
}
