/** Accounts that registered themselves and were never confirmed. Without a scope, because nobody acts for them. */
import { and, asc, eq, lt, sql } from 'drizzle-orm';
import { databaseOf } from '../db.ts';
import { accounts, dataKeys } from '../schema/accounts.ts';
import { apiKeySecrets, apiKeys } from '../schema/api-keys.ts';
import { auditLog } from '../schema/audit-log.ts';
import { broadcasts } from '../schema/broadcasts.ts';
import { contactProperties, contacts, contactValues } from '../schema/contacts.ts';
import { domains } from '../schema/domains.ts';
import { listMembers, lists } from '../schema/lists.ts';
import { outboxes } from '../schema/outboxes.ts';
import { relays } from '../schema/relays.ts';
import { suppressions } from '../schema/suppressions.ts';
import { templates, templateVersions } from '../schema/templates.ts';
import { contactTopics, topics } from '../schema/topics.ts';
import { webhooks } from '../schema/webhooks.ts';

export interface UnconfirmedAccount {
  readonly accountId: string;
  readonly shards: number;
}

/** Those that registered before then, oldest first. */
export function listUnconfirmedAccounts(
  d1: D1Database,
  { createdBefore, limit }: { readonly createdBefore: number; readonly limit: number },
): Promise<UnconfirmedAccount[]> {
  return databaseOf(d1)
    .select({ accountId: accounts.accountId, shards: accounts.shards })
    .from(accounts)
    .where(and(sql`${accounts.unconfirmed} = 1`, lt(accounts.createdAt, createdBefore)))
    .orderBy(asc(accounts.createdAt))
    .limit(limit);
}

/** From then on it can be neither confirmed nor used. False where it was confirmed meanwhile. */
export async function closeUnconfirmed(d1: D1Database, accountId: string): Promise<boolean> {
  const rows = await databaseOf(d1)
    .update(accounts)
    .set({ status: 'closed', updatedAt: Date.now() })
    .where(and(eq(accounts.accountId, accountId), sql`${accounts.unconfirmed} = 1`))
    .returning({ accountId: accounts.accountId });
  return rows.length === 1;
}

/** All that is an account's, in an order that no reference stands against. A test knows when a table is missing here. */
export const ACCOUNT_TABLES = [
  broadcasts,
  templateVersions,
  templates,
  contactValues,
  contactTopics,
  listMembers,
  contactProperties,
  topics,
  lists,
  contacts,
  apiKeySecrets,
  apiKeys,
  domains,
  relays,
  webhooks,
  suppressions,
  outboxes,
  dataKeys,
  auditLog,
  accounts,
] as const;

/** Every row of an account that was closed unconfirmed, in one transaction; nothing where it is not. */
export async function deleteUnconfirmed(d1: D1Database, accountId: string): Promise<void> {
  const db = databaseOf(d1);
  const isClosed = sql`EXISTS (SELECT 1 FROM accounts AS own
    WHERE own.account_id = ${accountId} AND own.unconfirmed = 1 AND own.status = 'closed')`;
  const [first, ...rest] = ACCOUNT_TABLES.map((table) =>
    db.delete(table).where(and(eq(table.accountId, accountId), isClosed)),
  );
  if (first) await db.batch([first, ...rest]);
}
