import { and, eq, isNull, lt, or } from 'drizzle-orm';
import type { NewApiKey } from '../crypto/api-key.ts';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { apiKeys, type Permission } from './schema/api-keys.ts';

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

export async function renameApiKey(
  scope: AccountScope,
  id: string,
  change: { name: string; audit: AuditEntry },
): Promise<boolean> {
  const [updated] = await atomically(scope, [
    scope.db
      .update(apiKeys)
      .set({ name: change.name })
      .where(and(eq(apiKeys.accountId, scope.accountId), eq(apiKeys.id, id))),
    auditOfChange(scope, change.audit),
  ]);
  return updated.meta.changes === 1;
}

export async function deleteApiKey(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(apiKeys).where(and(eq(apiKeys.accountId, scope.accountId), eq(apiKeys.id, id))),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
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
