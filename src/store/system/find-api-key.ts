import { and, eq, getTableColumns } from 'drizzle-orm';
import { databaseOf } from '../db.ts';
import { type AccountStatus, accounts } from '../schema/accounts.ts';
import { apiKeySecrets, apiKeys, type Permission } from '../schema/api-keys.ts';

export interface FoundApiKey {
  readonly accountId: string;
  readonly accountStatus: AccountStatus;
  readonly id: string;
  readonly permission: Permission;
  readonly domainId: string | null;
  readonly allowedIps: readonly string[];
  readonly expiresAt: number | null;
  readonly lastUsedOn: string | null;
  /** Set where it was found by a secret that a rotation replaced. */
  readonly secretValidUntil?: number;
}

const { accountId, id, permission, domainId, allowedIps, expiresAt, lastUsedOn } = getTableColumns(apiKeys);
const columns = {
  accountId,
  accountStatus: accounts.status,
  id,
  permission,
  domainId,
  allowedIps,
  expiresAt,
  lastUsedOn,
};

/** Without an account, because the key is what tells whose request this is. The hash is unique. */
export async function findApiKeyByHash(d1: D1Database, hash: Uint8Array): Promise<FoundApiKey | undefined> {
  const rows = await databaseOf(d1)
    .select(columns)
    .from(apiKeys)
    .innerJoin(accounts, eq(accounts.accountId, apiKeys.accountId))
    .where(eq(apiKeys.hash, hash));
  return rows[0] ?? findByEarlierSecret(d1, hash);
}

async function findByEarlierSecret(d1: D1Database, hash: Uint8Array): Promise<FoundApiKey | undefined> {
  const rows = await databaseOf(d1)
    .select({ ...columns, secretValidUntil: apiKeySecrets.validUntil })
    .from(apiKeySecrets)
    .innerJoin(
      apiKeys,
      and(eq(apiKeys.accountId, apiKeySecrets.accountId), eq(apiKeys.id, apiKeySecrets.keyId)),
    )
    .innerJoin(accounts, eq(accounts.accountId, apiKeys.accountId))
    .where(eq(apiKeySecrets.hash, hash));
  return rows[0];
}
