import { eq, sql } from 'drizzle-orm';
import type { NewApiKey } from '../crypto/api-key.ts';
import type { WrappedDataKey } from '../crypto/data-key.ts';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type AccountStatus, accounts, dataKeys, type InDoubtPolicy } from './schema/accounts.ts';
import { apiKeys } from './schema/api-keys.ts';

export interface AccountRecord {
  readonly id: string;
  readonly name: string;
  readonly email: string | null;
  readonly status: AccountStatus;
  readonly shards: number;
  readonly inDoubtPolicy: InDoubtPolicy;
  readonly createdAt: number;
}

export const accountColumns = {
  id: accounts.accountId,
  name: accounts.name,
  email: accounts.email,
  status: accounts.status,
  shards: accounts.shards,
  inDoubtPolicy: accounts.inDoubtPolicy,
  createdAt: accounts.createdAt,
};

export interface NewAccount {
  readonly name: string;
  readonly email: string | null;
  readonly createdAt: number;
  readonly dataKey: WrappedDataKey;
  readonly apiKey: Omit<NewApiKey, 'token'> & { readonly id: string; readonly name: string };
}

/** The account, its data key, its first API key and the audit row: all or nothing. */
export async function insertAccount(
  scope: AccountScope,
  account: NewAccount,
  audit: AuditEntry,
): Promise<void> {
  const { db, accountId } = scope;
  const { createdAt, apiKey, dataKey } = account;
  await atomically(scope, [
    db.insert(accounts).values({
      accountId,
      name: account.name,
      email: account.email,
      status: 'active',
      shards: 1,
      createdAt,
      updatedAt: createdAt,
    }),
    db.insert(dataKeys).values({
      accountId,
      number: dataKey.number,
      wrapped: dataKey.wrapped,
      masterVersion: dataKey.masterVersion,
      createdAt,
    }),
    db.insert(apiKeys).values({
      accountId,
      id: apiKey.id,
      name: apiKey.name,
      hash: apiKey.hash,
      prefix: apiKey.prefix,
      lastFour: apiKey.lastFour,
      permission: 'full_access',
      createdAt,
    }),
    auditOfChange(scope, audit),
  ]);
}

export async function findAccount(scope: AccountScope): Promise<AccountRecord | undefined> {
  const rows = await scope.db
    .select(accountColumns)
    .from(accounts)
    .where(eq(accounts.accountId, scope.accountId));
  return rows[0];
}

/**
 * The account after the change; undefined where it does not exist. A closed account stays closed, and a
 * status that is already there is no change and leaves no audit row.
 */
export async function setAccountStatus(
  scope: AccountScope,
  status: AccountStatus,
  audit: AuditEntry,
): Promise<AccountRecord | undefined> {
  const { db, accountId } = scope;
  const [, , rows] = await atomically(scope, [
    db
      .update(accounts)
      .set({ status, updatedAt: Date.now() })
      .where(sql`${accounts.accountId} = ${accountId} AND ${accounts.status} NOT IN ('closed', ${status})`),
    auditOfChange(scope, audit),
    db.select(accountColumns).from(accounts).where(eq(accounts.accountId, accountId)),
  ] as const);
  return rows[0];
}

/**
 * The account after the change; undefined where it does not exist. The number only rises: messages lie in the
 * shard that is in their id. One that is there already is no change and leaves no audit row.
 */
export async function raiseShards(
  scope: AccountScope,
  shards: number,
  audit: AuditEntry,
): Promise<AccountRecord | undefined> {
  const { db, accountId } = scope;
  const [, , rows] = await atomically(scope, [
    db
      .update(accounts)
      .set({ shards, updatedAt: Date.now() })
      .where(
        sql`${accounts.accountId} = ${accountId} AND ${accounts.shards} < ${shards} AND ${accounts.status} <> 'closed'`,
      ),
    auditOfChange(scope, audit),
    db.select(accountColumns).from(accounts).where(eq(accounts.accountId, accountId)),
  ] as const);
  return rows[0];
}

/** The account after the change; undefined where it does not exist. A closed account is not changed any more. */
export async function updateAccount(
  scope: AccountScope,
  change: { readonly name?: string; readonly inDoubtPolicy?: InDoubtPolicy },
  audit: AuditEntry,
): Promise<AccountRecord | undefined> {
  const { db, accountId } = scope;
  const [, , rows] = await atomically(scope, [
    db
      .update(accounts)
      .set({ ...change, updatedAt: Date.now() })
      .where(sql`${accounts.accountId} = ${accountId} AND ${accounts.status} <> 'closed'`),
    auditOfChange(scope, audit),
    db.select(accountColumns).from(accounts).where(eq(accounts.accountId, accountId)),
  ] as const);
  return rows[0];
}
