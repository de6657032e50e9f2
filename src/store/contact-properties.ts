/** What the account's contacts may have besides a name, at most a hundred kinds. */
import { and, eq, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { hexOf } from './blobs.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { contactProperties, contactValues, type PropertyType } from './schema/contacts.ts';

export interface PropertyRecord {
  readonly id: string;
  readonly sealed: Uint8Array;
  readonly type: PropertyType;
  readonly isFilterable: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

const columns = {
  id: contactProperties.id,
  sealed: contactProperties.sealed,
  type: contactProperties.type,
  isFilterable: contactProperties.isFilterable,
  createdAt: contactProperties.createdAt,
  updatedAt: contactProperties.updatedAt,
};

/** False where the account has `limit` of them already. Throws where the key is taken. */
export async function insertProperty(
  scope: AccountScope,
  property: PropertyRecord & { readonly keyHash: Uint8Array },
  options: { readonly limit: number; readonly audit: AuditEntry },
): Promise<boolean> {
  const { db, accountId } = scope;
  const { id, keyHash, sealed, type, isFilterable, createdAt, updatedAt } = property;
  // In the order of the table's columns.
  const [inserted] = await atomically(scope, [
    db.insert(contactProperties).select(sql`
      SELECT ${accountId}, ${id}, unhex(${hexOf(keyHash)}), unhex(${hexOf(sealed)}), ${type},
        ${Number(isFilterable)}, ${createdAt}, ${updatedAt}
      WHERE (SELECT count(*) FROM contact_properties WHERE account_id = ${accountId}) < ${options.limit}`),
    auditOfChange(scope, options.audit),
  ]);
  return inserted.meta.changes === 1;
}

/** All of the account's: as many as a page has. */
export async function findProperties(scope: AccountScope): Promise<PropertyRecord[]> {
  return scope.db
    .select(columns)
    .from(contactProperties)
    .where(eq(contactProperties.accountId, scope.accountId));
}

export async function findProperty(scope: AccountScope, id: string): Promise<PropertyRecord | undefined> {
  const rows = await scope.db
    .select(columns)
    .from(contactProperties)
    .where(and(eq(contactProperties.accountId, scope.accountId), eq(contactProperties.id, id)));
  return rows[0];
}

export async function listProperties(scope: AccountScope, page: PageOf): Promise<Page<PropertyRecord>> {
  const own = eq(contactProperties.accountId, scope.accountId);
  const { where, orderBy, limit } = pageClauses(contactProperties.id, page, own);
  const rows = await scope.db
    .select(columns)
    .from(contactProperties)
    .where(where)
    .orderBy(orderBy)
    .limit(limit);
  return toPage(rows, page);
}

/** False where the property is not as it was at `knownAt`. */
export async function updateProperty(
  scope: AccountScope,
  id: string,
  change: { readonly sealed: Uint8Array; readonly knownAt: number },
  audit: AuditEntry,
): Promise<boolean> {
  const { sealed, knownAt } = change;
  const [updated] = await atomically(scope, [
    scope.db
      .update(contactProperties)
      .set({ sealed, updatedAt: Math.max(Date.now(), knownAt + 1) })
      .where(
        and(
          eq(contactProperties.accountId, scope.accountId),
          eq(contactProperties.id, id),
          eq(contactProperties.updatedAt, knownAt),
        ),
      ),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

/** Forgets the hashed values of so many contacts; false where none is left. */
export async function thinProperty(scope: AccountScope, id: string, limit: number): Promise<boolean> {
  const { db, accountId } = scope;
  const some = sql`(SELECT contact_id FROM contact_values WHERE account_id = ${accountId} AND property_id = ${id} LIMIT ${limit})`;
  const deleted = await db
    .delete(contactValues)
    .where(
      and(
        eq(contactValues.accountId, accountId),
        eq(contactValues.propertyId, id),
        sql`${contactValues.contactId} IN ${some}`,
      ),
    );
  return deleted.meta.changes === limit;
}

export async function deleteProperty(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db
      .delete(contactProperties)
      .where(and(eq(contactProperties.accountId, scope.accountId), eq(contactProperties.id, id))),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
}
