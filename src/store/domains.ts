import { and, asc, eq, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { type DomainStatus, domains } from './schema/domains.ts';

export interface DomainRecord {
  readonly id: string;
  readonly name: string;
  readonly status: DomainStatus;
  readonly returnPath: string | null;
  readonly createdAt: number;
}

const columns = {
  id: domains.id,
  name: domains.name,
  status: domains.status,
  returnPath: domains.returnPath,
  createdAt: domains.createdAt,
};

/** False where the account already has a domain of this name. */
export async function insertDomain(
  scope: AccountScope,
  domain: { id: string; name: string; createdAt: number },
  audit: AuditEntry,
): Promise<boolean> {
  const [inserted] = await atomically(scope, [
    scope.db
      .insert(domains)
      .values({ accountId: scope.accountId, ...domain, status: 'pending' })
      .onConflictDoNothing({ target: [domains.accountId, domains.name] }),
    auditOfChange(scope, audit),
  ]);
  return inserted.meta.changes === 1;
}

/** Creates the domain or marks the one of that name verified. An absent return path leaves a known one. */
export async function putVerifiedDomain(
  scope: AccountScope,
  domain: { id: string; name: string; returnPath?: string | undefined; nowMs: number },
  audit: AuditEntry,
): Promise<DomainRecord | undefined> {
  const { db, accountId } = scope;
  const [, , rows] = await atomically(scope, [
    db
      .insert(domains)
      .values({
        accountId,
        id: domain.id,
        name: domain.name,
        status: 'verified',
        returnPath: domain.returnPath ?? null,
        createdAt: domain.nowMs,
        verifiedAt: domain.nowMs,
      })
      .onConflictDoUpdate({
        target: [domains.accountId, domains.name],
        set: {
          status: 'verified',
          returnPath: sql`coalesce(excluded.return_path, ${domains.returnPath})`,
          verifiedAt: sql`coalesce(${domains.verifiedAt}, excluded.verified_at)`,
        },
      }),
    auditOfChange(scope, audit),
    db
      .select(columns)
      .from(domains)
      .where(and(eq(domains.accountId, accountId), eq(domains.name, domain.name))),
  ] as const);
  return rows[0];
}

export async function findDomain(scope: AccountScope, id: string): Promise<DomainRecord | undefined> {
  const rows = await scope.db
    .select(columns)
    .from(domains)
    .where(and(eq(domains.accountId, scope.accountId), eq(domains.id, id)));
  return rows[0];
}

/** The names that the account has, of those asked for; in no order. One statement for any number of names. */
export async function findDomainsByNames(
  scope: AccountScope,
  names: readonly string[],
): Promise<Pick<DomainRecord, 'id' | 'name' | 'status' | 'returnPath'>[]> {
  return scope.db
    .select({ id: domains.id, name: domains.name, status: domains.status, returnPath: domains.returnPath })
    .from(domains)
    .where(
      and(
        eq(domains.accountId, scope.accountId),
        sql`${domains.name} IN (SELECT value FROM json_each(${JSON.stringify(names)}))`,
      ),
    )
    .orderBy(asc(domains.name));
}

export async function listDomains(scope: AccountScope, page: PageOf): Promise<Page<DomainRecord>> {
  const { where, orderBy, limit } = pageClauses(domains.id, page, eq(domains.accountId, scope.accountId));
  return toPage(
    await scope.db.select(columns).from(domains).where(where).orderBy(orderBy).limit(limit),
    page,
  );
}

/** False where there is no such domain. Throws a foreign-key error where a key is bound to it. */
export async function deleteDomain(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(domains).where(and(eq(domains.accountId, scope.accountId), eq(domains.id, id))),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
}
