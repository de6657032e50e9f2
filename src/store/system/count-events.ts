/** Without an account, because what is limited here happens before there is one, or to somebody who has none. */
import { lt, sql } from 'drizzle-orm';
import { databaseOf } from '../db.ts';
import { eventCounts } from '../schema/event-counts.ts';

/** Counts one more, exactly also under a race; how many there were since the window began. */
export async function countEvent(
  d1: D1Database,
  event: { readonly bucket: string; readonly nowMs: number; readonly windowMs: number },
): Promise<number> {
  const { bucket, nowMs, windowMs } = event;
  const isOver = sql`${eventCounts.startedAt} <= ${nowMs - windowMs}`;
  const rows = await databaseOf(d1)
    .insert(eventCounts)
    .values({ bucket, startedAt: nowMs, count: 1 })
    .onConflictDoUpdate({
      target: eventCounts.bucket,
      set: {
        count: sql`CASE WHEN ${isOver} THEN 1 ELSE ${eventCounts.count} + 1 END`,
        startedAt: sql`CASE WHEN ${isOver} THEN ${nowMs} ELSE ${eventCounts.startedAt} END`,
      },
    })
    .returning({ count: eventCounts.count });
  return rows[0]?.count ?? 0;
}

/** Forgets what began before then. */
export async function dropEventCounts(d1: D1Database, startedBefore: number): Promise<void> {
  await databaseOf(d1).delete(eventCounts).where(lt(eventCounts.startedAt, startedBefore));
}
