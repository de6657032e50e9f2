import { eq } from 'drizzle-orm';
import { databaseOf } from '../db.ts';
import { type AccountStatus, accounts } from '../schema/accounts.ts';
import { apiKeys, type Permission } from '../schema/api-keys.ts';

export interface FoundApiKey {
  readonly accountId: string;
  readonly accountStatus: AccountStatus;
  readonly id: string;
  readonly permission: Permission;
  readonly domainId: string | null;
  readonly lastUsedOn: string | null;
}

/** Without an account, because the key is what tells whose request this is. The hash is unique. */
export async function findApiKeyByHash(d1: D1Database, hash: Uint8Array): Promise<FoundApiKey | undefined> {
  const rows = await databaseOf(d1)
    .select({
      accountId: apiKeys.accountId,
      accountStatus: accounts.status,
      id: apiKeys.id,
      permission: apiKeys.permission,
      domainId: apiKeys.domainId,
      lastUsedOn: apiKeys.lastUsedOn,
    })
    .from(apiKeys)
    .innerJoin(accounts, eq(accounts.accountId, apiKeys.accountId))
    .where(eq(apiKeys.hash, hash));
  return rows[0];
}
