import { and, eq, isNull, sql } from 'drizzle-orm';
import type { NewApiKey } from '../crypto/api-key.ts';
import type { WrappedDataKey } from '../crypto/data-key.ts';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type AccountStatus, accounts, dataKeys, type InDoubtPolicy } from './schema/accounts.ts';
import { apiKeys } from './schema/api-keys.ts';

export interface AccountRow {
  readonly id: string;
  /** As it was before profiles were sealed; empty since. */
  readonly plainName: string;
  readonly plainEmail: string | null;
  readonly sealedProfile: Uint8Array | null;
  /** What the profile is sealed under: `wrappedKeysOf` reads it. */
  readonly wrappedKeys: string;
  readonly status: AccountStatus;
  readonly shards: number;
  readonly inDoubtPolicy: InDoubtPolicy;
  readonly unconfirmed: number;
  readonly dailyQuota: number | null;
  readonly monthlyQuota: number | null;
  readonly bodyDays: number | null;
  readonly metadataDays: number | null;
  readonly createdAt: number;
}

export const accountColumns = {
  id: accounts.accountId,
  plainName: accounts.name,
  plainEmail: accounts.email,
  sealedProfile: accounts.sealedProfile,
  // Written out, because drizzle leaves the table's name out of a column where a statement has one table only.
  wrappedKeys: sql<string>`(SELECT json_group_array(json_array(k.number, hex(k.wrapped))) FROM data_keys k
    WHERE k.account_id = accounts.account_id)`,
  status: accounts.status,
  shards: accounts.shards,
  inDoubtPolicy: accounts.inDoubtPolicy,
  unconfirmed: accounts.unconfirmed,
  dailyQuota: accounts.dailyQuota,
  monthlyQuota: accounts.monthlyQuota,
  bodyDays: accounts.bodyDays,
  metadataDays: accounts.metadataDays,
  createdAt: accounts.createdAt,
};

export interface NewAccount {
  readonly sealedProfile: Uint8Array;
  readonly emailHash: string | null;
  readonly isUnconfirmed: boolean;
  /** Throws a foreign-key error where there is no such invite, one of uniqueness where it was used. */
  readonly inviteId?: string | undefined;
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
      name: '',
      sealedProfile: account.sealedProfile,
      emailHash: account.emailHash,
      unconfirmed: account.isUnconfirmed ? 1 : 0,
      inviteId: account.inviteId ?? null,
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

export async function findAccount(scope: AccountScope): Promise<AccountRow | undefined> {
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
): Promise<AccountRow | undefined> {
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
): Promise<AccountRow | undefined> {
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

export interface AccountChange {
  readonly inDoubtPolicy?: InDoubtPolicy;
  readonly dailyQuota?: number | null;
  readonly monthlyQuota?: number | null;
  readonly bodyDays?: number | null;
  readonly metadataDays?: number | null;
  readonly unconfirmed?: 0;
  readonly profile?: {
    /** Undone by another change meanwhile, this one matches nothing. */
    readonly before: Uint8Array | null;
    readonly sealed: Uint8Array;
    readonly emailHash: string | null;
  };
}

/**
 * The account after the change, and whether there was one; undefined where it does not exist. A closed account is
 * not changed any more.
 */
export async function updateAccount(
  scope: AccountScope,
  { profile, ...change }: AccountChange,
  audit: AuditEntry,
): Promise<{ readonly account: AccountRow; readonly isChanged: boolean } | undefined> {
  const { db, accountId } = scope;
  const set = {
    ...change,
    ...(profile && { sealedProfile: profile.sealed, emailHash: profile.emailHash, name: '', email: null }),
    updatedAt: Date.now(),
  };
  const [updated, , rows] = await atomically(scope, [
    db
      .update(accounts)
      .set(set)
      .where(
        and(
          sql`${accounts.accountId} = ${accountId} AND ${accounts.status} <> 'closed'`,
          profile && sealedIs(profile.before),
        ),
      ),
    auditOfChange(scope, audit),
    db.select(accountColumns).from(accounts).where(eq(accounts.accountId, accountId)),
  ] as const);
  const account = rows[0];
  return account && { account, isChanged: updated.meta.changes === 1 };
}

/**
 * True where the account's address is now confirmed, or was before. One address is confirmed for one account: false
 * where another one has it.
 */
export async function confirmAccount(
  scope: AccountScope,
  confirmed: { readonly sealedProfile: Uint8Array | null; readonly emailHashes: readonly string[] },
  audit: AuditEntry,
): Promise<boolean> {
  const { db, accountId } = scope;
  const [, , rows] = await atomically(scope, [
    db
      .update(accounts)
      .set({ unconfirmed: 0, updatedAt: Date.now() })
      .where(
        and(
          sql`${accounts.accountId} = ${accountId} AND ${accounts.unconfirmed} = 1 AND ${accounts.status} <> 'closed'`,
          sealedIs(confirmed.sealedProfile),
          sql`NOT EXISTS (SELECT 1 FROM accounts AS other WHERE other.unconfirmed = 0 AND other.status <> 'closed'
            AND other.email_hash IN
            (SELECT value FROM json_each(${JSON.stringify(confirmed.emailHashes)})))`,
        ),
      ),
    auditOfChange(scope, audit),
    db.select({ unconfirmed: accounts.unconfirmed }).from(accounts).where(eq(accounts.accountId, accountId)),
  ] as const);
  return rows[0]?.unconfirmed === 0;
}

/** For the deployment's own account. Repeating it changes nothing. */
export async function ensureAccount(
  scope: AccountScope,
  account: Pick<NewAccount, 'sealedProfile' | 'dataKey' | 'createdAt'> & { readonly quota: number },
): Promise<void> {
  const { db, accountId } = scope;
  const { createdAt, dataKey, sealedProfile, quota } = account;
  await atomically(scope, [
    db
      .insert(accounts)
      .values({
        accountId,
        name: '',
        // Opens only under the key that comes with it: where another one was first, both stay away.
        sealedProfile,
        status: 'active',
        shards: 1,
        dailyQuota: quota,
        monthlyQuota: quota,
        createdAt,
        updatedAt: createdAt,
      })
      .onConflictDoNothing(),
    db
      .insert(dataKeys)
      .values({ accountId, ...dataKey, createdAt })
      .onConflictDoNothing(),
  ]);
}

function sealedIs(before: Uint8Array | null) {
  return before === null ? isNull(accounts.sealedProfile) : eq(accounts.sealedProfile, before);
}
