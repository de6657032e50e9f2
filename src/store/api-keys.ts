import { and, eq, isNull, lt, lte, or, sql } from 'drizzle-orm';
import type { NewApiKey } from '../crypto/api-key.ts';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { apiKeySecrets, apiKeys, type Permission } from './schema/api-keys.ts';

export interface ApiKeyRecord {
  readonly id: string;
  readonly name: string;
  /** `er_live` or `er_test`. */
  readonly prefix: string;
  readonly createdAt: number;
  readonly lastUsedOn: string | null;
}

export interface ApiKeyToInsert extends Omit<NewApiKey, 'token'> {
  readonly id: string;
  readonly name: string;
  readonly permission: Permission;
  readonly domainId: string | null;
  readonly allowedIps: readonly string[];
  readonly expiresAt: number | null;
  readonly createdAt: number;
}

/** Throws a foreign-key error where the domain, or the account, is not there. */
export async function insertApiKey(
  scope: AccountScope,
  key: ApiKeyToInsert,
  audit: AuditEntry,
): Promise<void> {
  await atomically(scope, [
    scope.db.insert(apiKeys).values({
      accountId: scope.accountId,
      id: key.id,
      name: key.name,
      hash: key.hash,
      prefix: key.prefix,
      lastFour: key.lastFour,
      permission: key.permission,
      domainId: key.domainId,
      allowedIps: key.allowedIps,
      expiresAt: key.expiresAt,
      createdAt: key.createdAt,
    }),
    auditOfChange(scope, audit),
  ]);
}

export async function listApiKeys(scope: AccountScope, page: PageOf): Promise<Page<ApiKeyRecord>> {
  const { where, orderBy, limit } = pageClauses(apiKeys.id, page, eq(apiKeys.accountId, scope.accountId));
  const rows = await scope.db
    .select({
      id: apiKeys.id,
      name: apiKeys.name,
      prefix: apiKeys.prefix,
      createdAt: apiKeys.createdAt,
      lastUsedOn: apiKeys.lastUsedOn,
    })
    .from(apiKeys)
    .where(where)
    .orderBy(orderBy)
    .limit(limit);
  return toPage(rows, page);
}

export interface ApiKeyDetail extends ApiKeyRecord {
  readonly prefix: string;
  readonly lastFour: string;
  readonly permission: Permission;
  readonly domainId: string | null;
  readonly allowedIps: readonly string[];
  readonly expiresAt: number | null;
  /** When the last of its earlier secrets ends; null where none is good any more. */
  readonly previousValidUntil: number | null;
}

export async function findApiKey(
  scope: AccountScope,
  id: string,
  nowMs: number,
): Promise<ApiKeyDetail | undefined> {
  const rows = await scope.db
    .select({
      id: apiKeys.id,
      name: apiKeys.name,
      prefix: apiKeys.prefix,
      lastFour: apiKeys.lastFour,
      permission: apiKeys.permission,
      domainId: apiKeys.domainId,
      allowedIps: apiKeys.allowedIps,
      expiresAt: apiKeys.expiresAt,
      createdAt: apiKeys.createdAt,
      lastUsedOn: apiKeys.lastUsedOn,
      previousValidUntil: sql<number | null>`(SELECT max(s.valid_until) FROM api_key_secrets s
        WHERE s.account_id = api_keys.account_id AND s.key_id = api_keys.id AND s.valid_until > ${nowMs})`,
    })
    .from(apiKeys)
    .where(and(eq(apiKeys.accountId, scope.accountId), eq(apiKeys.id, id)));
  return rows[0];
}

export interface ApiKeyChange {
  readonly name?: string;
  readonly allowedIps?: readonly string[];
  readonly expiresAt?: number | null;
}

/** Absent fields stay; there is at least one. */
export async function updateApiKey(
  scope: AccountScope,
  id: string,
  { audit, ...change }: ApiKeyChange & { readonly audit: AuditEntry },
): Promise<boolean> {
  const [updated] = await atomically(scope, [
    scope.db
      .update(apiKeys)
      .set(change)
      .where(and(eq(apiKeys.accountId, scope.accountId), eq(apiKeys.id, id))),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

/** Gives the key another secret; the one it had stays good until then, and those that are over are dropped. */
export async function rotateApiKey(
  scope: AccountScope,
  id: string,
  rotation: {
    readonly secret: Omit<NewApiKey, 'token'>;
    readonly nowMs: number;
    readonly validUntil: number;
    readonly audit: AuditEntry;
  },
): Promise<boolean> {
  const { db, accountId } = scope;
  const { secret, nowMs, validUntil, audit } = rotation;
  const isKey = and(eq(apiKeys.accountId, accountId), eq(apiKeys.id, id));
  const [, , updated] = await atomically(scope, [
    db
      .delete(apiKeySecrets)
      .where(
        and(
          eq(apiKeySecrets.accountId, accountId),
          eq(apiKeySecrets.keyId, id),
          lte(apiKeySecrets.validUntil, nowMs),
        ),
      ),
    // In the order of the table's columns.
    db.insert(apiKeySecrets).select(sql`
      SELECT ${apiKeys.accountId}, ${apiKeys.id}, ${apiKeys.hash}, ${validUntil} FROM ${apiKeys}
      WHERE ${isKey} AND ${validUntil} > ${nowMs}`),
    db
      .update(apiKeys)
      .set({ hash: secret.hash, prefix: secret.prefix, lastFour: secret.lastFour })
      .where(isKey),
    auditOfChange(scope, audit),
  ] as const);
  return updated.meta.changes === 1;
}

export async function deleteApiKey(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(apiKeys).where(and(eq(apiKeys.accountId, scope.accountId), eq(apiKeys.id, id))),
    auditOfChange(scope, audit),
  ]);
  // D1 counts the earlier secrets that go along.
  return deleted.meta.changes > 0;
}

/** Notes the day of use, once a day. Not a change anyone made, so without an audit row. */
export async function touchApiKey(scope: AccountScope, id: string, day: string): Promise<void> {
  await scope.db
    .update(apiKeys)
    .set({ lastUsedOn: day })
    .where(
      and(
        eq(apiKeys.accountId, scope.accountId),
        eq(apiKeys.id, id),
        or(isNull(apiKeys.lastUsedOn), lt(apiKeys.lastUsedOn, day)),
      ),
    );
}
