import type { AccountScope } from './db.ts';
import { outboxes } from './schema/outboxes.ts';

/** The account's object of this shard exists. Safe to repeat. */
export async function registerOutbox(scope: AccountScope, shard: number, createdAt: number): Promise<void> {
  const { db, accountId } = scope;
  await db.insert(outboxes).values({ accountId, shard, createdAt }).onConflictDoNothing();
}
