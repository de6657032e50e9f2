/** Contacts: written many at a time, found by id or by the keyed hash of the address. */
import { and, eq, sql } from 'drizzle-orm';
import type { BatchItem } from 'drizzle-orm/batch';
import { type AuditEntry, auditOfChanges } from './audit-log.ts';
import { hexOf } from './blobs.ts';
import { type AccountScope, atomically } from './db.ts';
import { contacts, contactValues } from './schema/contacts.ts';
import { listMembers, type MemberStatus } from './schema/lists.ts';
import { contactTopics, type Subscription } from './schema/topics.ts';

export interface ContactRecord {
  readonly id: string;
  readonly sealed: Uint8Array;
  readonly unsubscribed: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A contact by its id, or by its address. */
export type ContactKey = { readonly id: string } | { readonly emailHash: Uint8Array };

/** What becomes of the hashed value of a filterable property; null where the contact has none any more. */
export interface ValueChange {
  readonly propertyId: string;
  readonly valueHash: Uint8Array | null;
}

export interface NewContact extends ContactRecord {
  readonly emailHash: Uint8Array;
  readonly domainHash: Uint8Array;
  readonly values: readonly ValueChange[];
}

/** Made only where the row is still as it was at `knownAt`. */
export interface ContactChange {
  readonly id: string;
  readonly knownAt: number;
  readonly sealed: Uint8Array;
  readonly unsubscribed: boolean;
  readonly updatedAt: number;
  readonly values: readonly ValueChange[];
}

export interface ContactWrites {
  readonly created: readonly NewContact[];
  readonly changed: readonly ContactChange[];
  /** Those who join `lists` and get `topics`, whether their own row changes or not. */
  readonly contactIds: readonly string[];
  readonly lists: readonly { readonly id: string; readonly status: MemberStatus }[];
  readonly topics: readonly { readonly id: string; readonly subscription: Subscription }[];
  readonly nowMs: number;
}

export interface ContactAudits {
  readonly created: AuditEntry;
  readonly updated: AuditEntry;
  readonly joined: AuditEntry;
}

export const contactColumns = {
  id: contacts.id,
  sealed: contacts.sealed,
  unsubscribed: contacts.unsubscribed,
  createdAt: contacts.createdAt,
  updatedAt: contacts.updatedAt,
};

/**
 * All or nothing, save for single contacts that somebody else wrote in the meantime: an address that is there by
 * now, or a row that is not as it was read. Returns the ids of those that were written.
 */
export async function writeContacts(
  scope: AccountScope,
  writes: ContactWrites,
  audits: ContactAudits,
): Promise<ReadonlySet<string>> {
  const written: string[] = [];
  const [first, ...rest] = statementsOf(scope, writes, audits);
  if (first) {
    const answers = await atomically(scope, [first, ...rest]);
    // Only statements that return ids answer with rows.
    for (const rows of answers as unknown[]) {
      if (Array.isArray(rows)) written.push(...(rows as { readonly id: string }[]).map(({ id }) => id));
    }
  }
  return new Set(written);
}

function statementsOf(scope: AccountScope, writes: ContactWrites, audits: ContactAudits) {
  const { created, changed, contactIds, lists, topics, nowMs } = writes;
  const statements: BatchItem<'sqlite'>[] = [];
  if (created.length > 0) {
    statements.push(insertOf(scope, created), auditOfChanges(scope, audits.created));
    const values = valuesOf(created);
    if (values.length > 0) statements.push(insertValues(scope, values));
  }
  if (changed.length > 0) {
    // Before the rows themselves change: both go by what was read of them.
    const values = valuesOf(changed);
    if (values.some(({ hash }) => hash === null)) statements.push(deleteValues(scope, values));
    if (values.some(({ hash }) => hash !== null)) statements.push(insertValues(scope, values));
    statements.push(updateOf(scope, changed), auditOfChanges(scope, audits.updated));
  }
  if (contactIds.length > 0 && lists.length > 0) {
    statements.push(joinLists(scope, { contactIds, lists, nowMs }), auditOfChanges(scope, audits.joined));
  }
  if (contactIds.length > 0 && topics.length > 0)
    statements.push(putTopics(scope, contactIds, topics, nowMs));
  return statements;
}

/** In the order of the table's columns. */
function insertOf({ db, accountId }: AccountScope, created: readonly NewContact[]) {
  const rows = created.map(({ emailHash, domainHash, sealed, unsubscribed, values: _values, ...row }) => ({
    ...row,
    unsubscribed: Number(unsubscribed),
    email: hexOf(emailHash),
    domain: hexOf(domainHash),
    sealed: hexOf(sealed),
  }));
  return db
    .insert(contacts)
    .select(sql`
      SELECT ${accountId}, value ->> 'id', unhex(value ->> 'email'), unhex(value ->> 'domain'),
        unhex(value ->> 'sealed'), value ->> 'unsubscribed', value ->> 'createdAt', value ->> 'updatedAt'
      FROM json_each(${JSON.stringify(rows)}) WHERE true`)
    .onConflictDoNothing({ target: [contacts.accountId, contacts.emailHash] })
    .returning({ id: contacts.id });
}

function updateOf({ db, accountId }: AccountScope, changed: readonly ContactChange[]) {
  const rows = changed.map(({ id, knownAt, sealed, unsubscribed, updatedAt }) => {
    return { id, knownAt, unsubscribed: Number(unsubscribed), updatedAt, sealed: hexOf(sealed) };
  });
  // As an upsert of rows that are there: an UPDATE … FROM would go through the account's contacts, and look into the
  // JSON for each. Without the hashes: a column that is set has its index written, whatever its value.
  return db
    .insert(contacts)
    .select(sql`
      SELECT contacts.account_id, contacts.id, contacts.email_hash, contacts.domain_hash,
        unhex(value ->> 'sealed'), value ->> 'unsubscribed', contacts.created_at, value ->> 'updatedAt'
      FROM json_each(${JSON.stringify(rows)}) CROSS JOIN contacts
      WHERE contacts.account_id = ${accountId} AND contacts.id = value ->> 'id'
        AND contacts.updated_at = value ->> 'knownAt'
      ON CONFLICT DO UPDATE SET sealed = excluded.sealed, unsubscribed = excluded.unsubscribed,
        updated_at = excluded.updated_at`)
    .returning({ id: contacts.id });
}

interface ValueRow {
  readonly contact: string;
  readonly property: string;
  readonly hash: string | null;
  /** Of the contact's row, at this moment of the batch. */
  readonly at: number;
}

function valuesOf(rows: readonly (NewContact | ContactChange)[]): ValueRow[] {
  return rows.flatMap((row) =>
    row.values.map(({ propertyId, valueHash }) => ({
      contact: row.id,
      property: propertyId,
      hash: valueHash && hexOf(valueHash),
      at: 'knownAt' in row ? row.knownAt : row.updatedAt,
    })),
  );
}

function insertValues({ db, accountId }: AccountScope, values: readonly ValueRow[]) {
  const rows = values.filter(({ hash }) => hash !== null);
  // In the order of the table's columns.
  return db
    .insert(contactValues)
    .select(sql`
      SELECT ${accountId}, value ->> 'property', contacts.id, unhex(value ->> 'hash')
      FROM json_each(${JSON.stringify(rows)}) CROSS JOIN contacts
      WHERE contacts.account_id = ${accountId} AND contacts.id = value ->> 'contact'
        AND contacts.updated_at = value ->> 'at'`)
    .onConflictDoUpdate({
      target: [contactValues.accountId, contactValues.contactId, contactValues.propertyId],
      set: { valueHash: sql`excluded.value_hash` },
    });
}

function deleteValues({ db, accountId }: AccountScope, values: readonly ValueRow[]) {
  const rows = values.filter(({ hash }) => hash === null);
  return db.delete(contactValues).where(
    and(
      eq(contactValues.accountId, accountId),
      sql`(${contactValues.contactId}, ${contactValues.propertyId}) IN (
        SELECT contacts.id, value ->> 'property'
        FROM json_each(${JSON.stringify(rows)}) CROSS JOIN contacts
        WHERE contacts.account_id = ${accountId} AND contacts.id = value ->> 'contact'
          AND contacts.updated_at = value ->> 'at')`,
    ),
  );
}

/** Whoever is on a list already stays as he is. In the order of the table's columns. */
function joinLists(
  { db, accountId }: AccountScope,
  { contactIds, lists, nowMs }: Pick<ContactWrites, 'contactIds' | 'lists' | 'nowMs'>,
) {
  return db
    .insert(listMembers)
    .select(sql`
      SELECT ${accountId}, list.value ->> 'id', contacts.id, list.value ->> 'status', ${nowMs}
      FROM json_each(${JSON.stringify(contactIds)}) AS joining CROSS JOIN contacts
        CROSS JOIN json_each(${JSON.stringify(lists)}) AS list
      WHERE contacts.account_id = ${accountId} AND contacts.id = joining.value`)
    .onConflictDoNothing();
}

/** Made choices are only ever ended by it: the reader himself may have opted out of what an old file opts him in to. */
function putTopics(
  { db, accountId }: AccountScope,
  contactIds: readonly string[],
  topics: ContactWrites['topics'],
  nowMs: number,
) {
  return db
    .insert(contactTopics)
    .select(sql`
      SELECT ${accountId}, topic.value ->> 'id', contacts.id, topic.value ->> 'subscription', ${nowMs}
      FROM json_each(${JSON.stringify(contactIds)}) AS joining CROSS JOIN contacts
        CROSS JOIN json_each(${JSON.stringify(topics)}) AS topic
      WHERE contacts.account_id = ${accountId} AND contacts.id = joining.value`)
    .onConflictDoUpdate({
      target: [contactTopics.accountId, contactTopics.contactId, contactTopics.topicId],
      set: { subscription: sql`excluded.subscription`, updatedAt: sql`excluded.updated_at` },
      setWhere: sql`${contactTopics.subscription} = 'opt_in' AND excluded.subscription = 'opt_out'`,
    });
}

export async function findContact(scope: AccountScope, key: ContactKey): Promise<ContactRecord | undefined> {
  const rows = await scope.db
    .select(contactColumns)
    .from(contacts)
    .where(and(eq(contacts.accountId, scope.accountId), isContact(key)));
  return rows[0];
}

/** Those of the addresses that are there. One statement for any number of them. */
export async function findContactsByEmail(
  scope: AccountScope,
  emailHashes: readonly Uint8Array[],
): Promise<(ContactRecord & { readonly emailHash: Uint8Array })[]> {
  const wanted = sql`json_each(${JSON.stringify(emailHashes.map(hexOf))})`;
  return scope.db
    .select({ ...contactColumns, emailHash: contacts.emailHash })
    .from(wanted)
    .crossJoin(contacts)
    .where(and(eq(contacts.accountId, scope.accountId), sql`${contacts.emailHash} = unhex(value)`));
}

/** Another address. False where the row is not as it was; throws where the address is somebody else's. */
export async function moveContact(
  scope: AccountScope,
  change: ContactChange & { readonly emailHash: Uint8Array; readonly domainHash: Uint8Array },
  audits: ContactAudits,
): Promise<boolean> {
  const { id, knownAt, emailHash, domainHash } = change;
  const [, ...rest] = await atomically(scope, [
    scope.db
      .update(contacts)
      .set({ emailHash, domainHash })
      .where(
        and(eq(contacts.accountId, scope.accountId), eq(contacts.id, id), eq(contacts.updatedAt, knownAt)),
      ),
    ...statementsOf(
      scope,
      { created: [], changed: [change], contactIds: [], lists: [], topics: [], nowMs: change.updatedAt },
      audits,
    ),
  ]);
  return (rest as unknown[]).some((rows) => Array.isArray(rows) && rows.length > 0);
}

function isContact(key: ContactKey) {
  return 'id' in key ? eq(contacts.id, key.id) : eq(contacts.emailHash, key.emailHash);
}
