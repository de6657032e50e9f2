import { asc, sql } from 'drizzle-orm';
import { databaseOf } from '../db.ts';
import { outboxes } from '../schema/outboxes.ts';

export interface RegisteredOutbox {
  readonly accountId: string;
  readonly shard: number;
}

/** Without an account, because an object whose alarm was lost can be anybody's. Longest unswept first. */
export function listOutboxesToSweep(d1: D1Database, limit: number): Promise<RegisteredOutbox[]> {
  return databaseOf(d1)
    .select({ accountId: outboxes.accountId, shard: outboxes.shard })
    .from(outboxes)
    .orderBy(asc(outboxes.sweptAt), asc(outboxes.accountId), asc(outboxes.shard))
    .limit(limit);
}

/** Without an account, because one statement marks the objects of many; each is named by its whole key. */
export async function markOutboxesSwept(
  d1: D1Database,
  swept: readonly RegisteredOutbox[],
  sweptAt: number,
): Promise<void> {
  const keys = JSON.stringify(swept.map(({ accountId, shard }) => [accountId, shard]));
  await databaseOf(d1)
    .update(outboxes)
    .set({ sweptAt })
    .where(
      sql`(${outboxes.accountId}, ${outboxes.shard}) IN
        (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(${keys}))`,
    );
}
