import { sql } from 'drizzle-orm';
import { databaseOf } from '../db.ts';
import { accounts } from '../schema/accounts.ts';

/** Without an account, because the question is whether any has this address. Nobody but its owner is told. */
export async function isAddressConfirmed(d1: D1Database, emailHashes: readonly string[]): Promise<boolean> {
  const rows = await databaseOf(d1)
    .select({ isThere: sql<number>`1` })
    .from(accounts)
    .where(
      sql`${accounts.emailHash} IN (SELECT value FROM json_each(${JSON.stringify(emailHashes)}))
        AND ${accounts.unconfirmed} = 0 AND ${accounts.status} <> 'closed'`,
    )
    .limit(1);
  return rows.length > 0;
}
