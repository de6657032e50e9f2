/** Topics, and what contacts chose about them. */
import { and, eq, type SQL, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChange, auditOfChanges } from './audit-log.ts';
import { hexOf, isOneOf } from './blobs.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { contactTopics, type Subscription, type TopicVisibility, topics } from './schema/topics.ts';

export interface TopicRecord {
  readonly id: string;
  readonly sealed: Uint8Array;
  readonly defaultSubscription: Subscription;
  readonly visibility: TopicVisibility;
  readonly createdAt: number;
  readonly updatedAt: number;
}

const columns = {
  id: topics.id,
  sealed: topics.sealed,
  defaultSubscription: topics.defaultSubscription,
  visibility: topics.visibility,
  createdAt: topics.createdAt,
  updatedAt: topics.updatedAt,
};

/** False where the account has `limit` of them already. */
export async function insertTopic(
  scope: AccountScope,
  topic: TopicRecord,
  options: { readonly limit: number; readonly audit: AuditEntry },
): Promise<boolean> {
  const { db, accountId } = scope;
  const { id, sealed, defaultSubscription, visibility, createdAt, updatedAt } = topic;
  // In the order of the table's columns.
  const [inserted] = await atomically(scope, [
    db.insert(topics).select(sql`
      SELECT ${accountId}, ${id}, unhex(${hexOf(sealed)}), ${defaultSubscription}, ${visibility},
        ${createdAt}, ${updatedAt}
      WHERE (SELECT count(*) FROM topics WHERE account_id = ${accountId}) < ${options.limit}`),
    auditOfChange(scope, options.audit),
  ]);
  return inserted.meta.changes === 1;
}

export async function findTopics(scope: AccountScope, ids: readonly string[]): Promise<TopicRecord[]> {
  if (ids.length === 0) return [];
  return scope.db
    .select(columns)
    .from(topics)
    .where(and(eq(topics.accountId, scope.accountId), isOneOf(topics.id, ids)));
}

export async function listTopics(scope: AccountScope, page: PageOf): Promise<Page<TopicRecord>> {
  const { where, orderBy, limit } = pageClauses(topics.id, page, eq(topics.accountId, scope.accountId));
  return toPage(await scope.db.select(columns).from(topics).where(where).orderBy(orderBy).limit(limit), page);
}

/** False where the topic is not as it was at `knownAt`. */
export async function updateTopic(
  scope: AccountScope,
  id: string,
  change: { readonly sealed: Uint8Array; readonly visibility: TopicVisibility; readonly knownAt: number },
  audit: AuditEntry,
): Promise<boolean> {
  const { knownAt, ...set } = change;
  const [updated] = await atomically(scope, [
    scope.db
      .update(topics)
      .set({ ...set, updatedAt: Math.max(Date.now(), knownAt + 1) })
      .where(and(eq(topics.accountId, scope.accountId), eq(topics.id, id), eq(topics.updatedAt, knownAt))),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

/** Forgets so many choices about it; false where none is left. */
export async function thinTopic(scope: AccountScope, id: string, limit: number): Promise<boolean> {
  const { db, accountId } = scope;
  const some = sql`(SELECT contact_id FROM contact_topics WHERE account_id = ${accountId} AND topic_id = ${id} LIMIT ${limit})`;
  const deleted = await db
    .delete(contactTopics)
    .where(
      and(
        eq(contactTopics.accountId, accountId),
        eq(contactTopics.topicId, id),
        sql`${contactTopics.contactId} IN ${some}`,
      ),
    );
  return deleted.meta.changes === limit;
}

export async function deleteTopic(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(topics).where(and(eq(topics.accountId, scope.accountId), eq(topics.id, id))),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
}

/** Topics with what one contact chose; null where he did not. */
export async function listTopicsOfContact(
  scope: AccountScope,
  contactId: string,
  page: PageOf,
): Promise<Page<TopicRecord & { readonly subscription: Subscription | null }>> {
  const { db, accountId } = scope;
  const { where, orderBy, limit } = pageClauses(topics.id, page, eq(topics.accountId, accountId));
  const rows = await db
    .select({ ...columns, subscription: contactTopics.subscription })
    .from(topics)
    .leftJoin(contactTopics, isChoiceOf(scope, contactId))
    .where(where)
    .orderBy(orderBy)
    .limit(limit);
  return toPage(rows, page);
}

/** For a join with the topics: the row of what one contact chose about each. */
export function isChoiceOf({ accountId }: AccountScope, contactId: string): SQL | undefined {
  return and(
    eq(contactTopics.accountId, accountId),
    eq(contactTopics.topicId, topics.id),
    eq(contactTopics.contactId, contactId),
  );
}

/** What one contact chooses. Throws where the contact or a topic is not there. */
export async function putSubscriptions(
  scope: AccountScope,
  contactId: string,
  choices: readonly { readonly id: string; readonly subscription: Subscription }[],
  audit: AuditEntry,
): Promise<void> {
  const { db, accountId } = scope;
  // In the order of the table's columns.
  await atomically(scope, [
    db
      .insert(contactTopics)
      .select(sql`
        SELECT ${accountId}, value ->> 'id', ${contactId}, value ->> 'subscription', ${Date.now()}
        FROM json_each(${JSON.stringify(choices)}) WHERE true`)
      .onConflictDoUpdate({
        target: [contactTopics.accountId, contactTopics.contactId, contactTopics.topicId],
        set: { subscription: sql`excluded.subscription`, updatedAt: sql`excluded.updated_at` },
        setWhere: sql`${contactTopics.subscription} <> excluded.subscription`,
      }),
    auditOfChanges(scope, audit),
  ]);
}
