import { asc, eq } from 'drizzle-orm';
import type { WrappedDataKey } from '../../crypto/data-key.ts';
import { databaseOf } from '../db.ts';
import { dataKeys } from '../schema/accounts.ts';

/**
 * Without a scope, because it is with this key that a link is found to be the account's, and there is no scope before.
 * The key is wrapped, and does nothing by itself. undefined where there is no such account.
 */
export async function findOldestDataKey(
  d1: D1Database,
  accountId: string,
): Promise<WrappedDataKey | undefined> {
  const rows = await databaseOf(d1)
    .select({ number: dataKeys.number, wrapped: dataKeys.wrapped, masterVersion: dataKeys.masterVersion })
    .from(dataKeys)
    .where(eq(dataKeys.accountId, accountId))
    .orderBy(asc(dataKeys.number))
    .limit(1);
  return rows[0];
}
