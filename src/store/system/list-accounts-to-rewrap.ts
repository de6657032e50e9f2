/** Without an account, because a new master key is to wrap the data keys of all of them. */
import { count, sql } from 'drizzle-orm';
import { type AccountRow, accountColumns } from '../accounts.ts';
import { databaseOf } from '../db.ts';
import { accounts } from '../schema/accounts.ts';

export type AccountToRewrap = AccountRow & { readonly emailHash: string | null };

/**
 * Which accounts hold anything made with an older master key. An `email_hash` begins with its version. The outer table's
 * name is written out, because drizzle leaves it out where a statement has one table only.
 */
function isBelow(masterVersion: number) {
  return sql`(EXISTS (SELECT 1 FROM data_keys k WHERE k.account_id = accounts.account_id
      AND k.master_version < ${masterVersion})
    OR CAST(${accounts.emailHash} AS INTEGER) < ${masterVersion})`;
}

/** In the order of their ids, after the given one. */
export function listAccountsToRewrap(
  d1: D1Database,
  { masterVersion, after, limit }: { masterVersion: number; after: string; limit: number },
): Promise<AccountToRewrap[]> {
  return databaseOf(d1)
    .select({ ...accountColumns, emailHash: accounts.emailHash })
    .from(accounts)
    .where(sql`${accounts.accountId} > ${after} AND ${isBelow(masterVersion)}`)
    .orderBy(accounts.accountId)
    .limit(limit);
}

export async function countAccountsToRewrap(d1: D1Database, masterVersion: number): Promise<number> {
  const rows = await databaseOf(d1).select({ count: count() }).from(accounts).where(isBelow(masterVersion));
  return rows[0]?.count ?? 0;
}
