import { type AccountRow, accountColumns } from '../accounts.ts';
import { databaseOf } from '../db.ts';
import { type Page, type PageOf, pageClauses, toPage } from '../page.ts';
import { accounts } from '../schema/accounts.ts';

/** Without an account, because the operator lists all of them. */
export async function listAccounts(d1: D1Database, page: PageOf): Promise<Page<AccountRow>> {
  const { where, orderBy, limit } = pageClauses(accounts.accountId, page);
  const rows = await databaseOf(d1)
    .select(accountColumns)
    .from(accounts)
    .where(where)
    .orderBy(orderBy)
    .limit(limit);
  return toPage(rows, page);
}
