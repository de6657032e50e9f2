/** Without an account, because what is limited here happens before there is one, or to somebody who has none. */
import { and, gt, lt, sql } from 'drizzle-orm';
import { isOneOf } from '../blobs.ts';
import { databaseOf } from '../db.ts';
import { eventCounts } from '../schema/event-counts.ts';

interface Window {
  readonly nowMs: number;
  readonly windowMs: number;
}

/** Counts one more, exactly also under a race; how many there were since the window began. */
export async function countEvent(
  d1: D1Database,
  { bucket, ...window }: Window & { readonly bucket: string },
): Promise<number> {
  return (await countEvents(d1, { buckets: [bucket], ...window })).get(bucket) ?? 0;
}

/** The same of many in one statement. A bucket that is there twice has two more, and the number after both. */
export async function countEvents(
  d1: D1Database,
  { buckets, nowMs, windowMs }: Window & { readonly buckets: readonly string[] },
): Promise<ReadonlyMap<string, number>> {
  if (buckets.length === 0) return new Map();
  const isOver = sql`${eventCounts.startedAt} <= ${nowMs - windowMs}`;
  const rows = await databaseOf(d1)
    .insert(eventCounts)
    .select(sql`SELECT value, ${nowMs}, 1 FROM json_each(${JSON.stringify(buckets)}) WHERE true`)
    .onConflictDoUpdate({
      target: eventCounts.bucket,
      set: {
        count: sql`CASE WHEN ${isOver} THEN 1 ELSE ${eventCounts.count} + 1 END`,
        startedAt: sql`CASE WHEN ${isOver} THEN ${nowMs} ELSE ${eventCounts.startedAt} END`,
      },
    })
    .returning({ bucket: eventCounts.bucket, count: eventCounts.count });
  const counts = new Map<string, number>();
  for (const { bucket, count } of rows) counts.set(bucket, Math.max(count, counts.get(bucket) ?? 0));
  return counts;
}

/** How many there were since the window began; counts nothing. */
export async function readEventCounts(
  d1: D1Database,
  { buckets, nowMs, windowMs }: Window & { readonly buckets: readonly string[] },
): Promise<ReadonlyMap<string, number>> {
  const rows = await databaseOf(d1)
    .select({ bucket: eventCounts.bucket, count: eventCounts.count })
    .from(eventCounts)
    .where(and(isOneOf(eventCounts.bucket, buckets), gt(eventCounts.startedAt, nowMs - windowMs)));
  return new Map(rows.map(({ bucket, count }) => [bucket, count]));
}

/** Forgets what began before then. */
export async function dropEventCounts(d1: D1Database, startedBefore: number): Promise<void> {
  await databaseOf(d1).delete(eventCounts).where(lt(eventCounts.startedAt, startedBefore));
}
