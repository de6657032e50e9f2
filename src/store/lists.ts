/** Lists, and who is on them. */
import { and, eq, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { hexOf, isOneOf } from './blobs.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { listMembers, lists, type MemberStatus } from './schema/lists.ts';

export interface ListRecord {
  readonly id: string;
  readonly sealed: Uint8Array;
  readonly isDynamic: boolean;
  readonly doubleOptIn: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

const columns = {
  id: lists.id,
  sealed: lists.sealed,
  isDynamic: lists.isDynamic,
  doubleOptIn: lists.doubleOptIn,
  createdAt: lists.createdAt,
  updatedAt: lists.updatedAt,
};

/** False where the account has `limit` of them already. */
export async function insertList(
  scope: AccountScope,
  list: ListRecord,
  options: { readonly limit: number; readonly audit: AuditEntry },
): Promise<boolean> {
  const { db, accountId } = scope;
  const { id, sealed, isDynamic, doubleOptIn, createdAt, updatedAt } = list;
  // In the order of the table's columns.
  const [inserted] = await atomically(scope, [
    db.insert(lists).select(sql`
      SELECT ${accountId}, ${id}, unhex(${hexOf(sealed)}), ${Number(isDynamic)}, ${Number(doubleOptIn)},
        ${createdAt}, ${updatedAt}
      WHERE (SELECT count(*) FROM lists WHERE account_id = ${accountId}) < ${options.limit}`),
    auditOfChange(scope, options.audit),
  ]);
  return inserted.meta.changes === 1;
}

export async function findList(scope: AccountScope, id: string): Promise<ListRecord | undefined> {
  const rows = await scope.db
    .select(columns)
    .from(lists)
    .where(and(eq(lists.accountId, scope.accountId), eq(lists.id, id)));
  return rows[0];
}

export async function findLists(scope: AccountScope, ids: readonly string[]): Promise<ListRecord[]> {
  if (ids.length === 0) return [];
  return scope.db
    .select(columns)
    .from(lists)
    .where(and(eq(lists.accountId, scope.accountId), isOneOf(lists.id, ids)));
}

export async function listLists(scope: AccountScope, page: PageOf): Promise<Page<ListRecord>> {
  const { where, orderBy, limit } = pageClauses(lists.id, page, eq(lists.accountId, scope.accountId));
  return toPage(await scope.db.select(columns).from(lists).where(where).orderBy(orderBy).limit(limit), page);
}

/** False where the list is not as it was at `knownAt`. */
export async function updateList(
  scope: AccountScope,
  id: string,
  change: { readonly sealed: Uint8Array; readonly doubleOptIn: boolean; readonly knownAt: number },
  audit: AuditEntry,
): Promise<boolean> {
  const { knownAt, ...set } = change;
  const [updated] = await atomically(scope, [
    scope.db
      .update(lists)
      .set({ ...set, updatedAt: Math.max(Date.now(), knownAt + 1) })
      .where(and(eq(lists.accountId, scope.accountId), eq(lists.id, id), eq(lists.updatedAt, knownAt))),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

/** Takes so many off the list; false where nobody is left on it. A list is deleted once it is empty. */
export async function thinList(scope: AccountScope, id: string, limit: number): Promise<boolean> {
  const { db, accountId } = scope;
  const some = sql`(SELECT contact_id FROM list_members WHERE account_id = ${accountId} AND list_id = ${id} LIMIT ${limit})`;
  const deleted = await db
    .delete(listMembers)
    .where(
      and(
        eq(listMembers.accountId, accountId),
        eq(listMembers.listId, id),
        sql`${listMembers.contactId} IN ${some}`,
      ),
    );
  return deleted.meta.changes === limit;
}

/** Who is on it goes with it. False where there is no such list. */
export async function deleteList(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(lists).where(and(eq(lists.accountId, scope.accountId), eq(lists.id, id))),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
}

/** The lists a contact is on, with his status on each. */
export async function listListsOfContact(
  scope: AccountScope,
  contactId: string,
  page: PageOf,
): Promise<Page<ListRecord & { readonly status: MemberStatus }>> {
  const { db, accountId } = scope;
  const own = and(eq(listMembers.accountId, accountId), eq(listMembers.contactId, contactId));
  const { where, orderBy, limit } = pageClauses(listMembers.listId, page, own);
  const rows = await db
    .select({ ...columns, status: listMembers.status })
    .from(listMembers)
    .innerJoin(lists, and(eq(lists.accountId, accountId), eq(lists.id, listMembers.listId)))
    .where(where)
    .orderBy(orderBy)
    .limit(limit);
  return toPage(rows, page);
}

/** Whoever is on it already stays as he is. Throws where either is not there. */
export async function insertMember(
  scope: AccountScope,
  member: { readonly listId: string; readonly contactId: string; readonly status: MemberStatus },
  audit: AuditEntry,
): Promise<void> {
  await atomically(scope, [
    scope.db
      .insert(listMembers)
      .values({ accountId: scope.accountId, ...member, createdAt: Date.now() })
      .onConflictDoNothing(),
    auditOfChange(scope, audit),
  ]);
}

/** Of the lists that a contact is on, those named; or all of them. */
export async function findMemberships(
  scope: AccountScope,
  contactId: string,
  listIds?: readonly string[],
): Promise<{ readonly listId: string; readonly status: MemberStatus }[]> {
  return scope.db
    .select({ listId: listMembers.listId, status: listMembers.status })
    .from(listMembers)
    .where(
      and(
        eq(listMembers.accountId, scope.accountId),
        eq(listMembers.contactId, contactId),
        listIds && isOneOf(listMembers.listId, listIds),
      ),
    );
}

/** From `pending` to `confirmed`. False where nothing waited. */
export async function confirmMember(
  scope: AccountScope,
  member: { readonly listId: string; readonly contactId: string },
  audit: AuditEntry,
): Promise<boolean> {
  const [updated] = await atomically(scope, [
    scope.db
      .update(listMembers)
      .set({ status: 'confirmed' })
      .where(
        and(
          eq(listMembers.accountId, scope.accountId),
          eq(listMembers.listId, member.listId),
          eq(listMembers.contactId, member.contactId),
          eq(listMembers.status, 'pending'),
        ),
      ),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

/** False where he was not on it. */
export async function deleteMember(
  scope: AccountScope,
  member: { readonly contactId: string; readonly listId: string },
  audit: AuditEntry,
): Promise<boolean> {
  const { contactId, listId } = member;
  const [deleted] = await atomically(scope, [
    scope.db
      .delete(listMembers)
      .where(
        and(
          eq(listMembers.accountId, scope.accountId),
          eq(listMembers.contactId, contactId),
          eq(listMembers.listId, listId),
        ),
      ),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
}
