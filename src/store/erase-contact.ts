/** What is left of a contact who is deleted: the hash of who is suppressed. */
import { and, eq, exists, ne, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { contacts } from './schema/contacts.ts';
import { listMembers } from './schema/lists.ts';
import { type SuppressionOrigin, suppressions } from './schema/suppressions.ts';

const UNSUBSCRIBE: SuppressionOrigin = 'unsubscribe';

/**
 * With everything that hangs on it. Of its suppression only the hash is left: `erased` takes the place of the
 * sealed address. Who has unsubscribed gets one if he has none: he may be imported again. False where there is no
 * such contact.
 */
export async function eraseContact(
  scope: AccountScope,
  id: string,
  options: {
    readonly suppression: {
      readonly id: string;
      readonly erased: Uint8Array;
      readonly addressHash: string;
      readonly isThere: boolean;
    };
    /** Only where it is on no other list. */
    readonly ifOnlyOn?: string | undefined;
    readonly audit: AuditEntry;
  },
): Promise<boolean> {
  const { db, accountId } = scope;
  const { suppression, ifOnlyOn, audit } = options;
  const membership = db
    .select({ one: sql`1` })
    .from(listMembers)
    .where(
      and(
        eq(listMembers.accountId, accountId),
        eq(listMembers.contactId, id),
        ne(listMembers.listId, ifOnlyOn ?? ''),
      ),
    );
  const mayGo = ifOnlyOn === undefined ? undefined : sql`NOT ${exists(membership)}`;
  const going = and(eq(contacts.accountId, accountId), eq(contacts.id, id), mayGo);
  const { addressHash, erased, isThere } = suppression;
  // In the order of the table's columns. Before the row goes, which tells whether he has unsubscribed by now.
  const remembering = db
    .insert(suppressions)
    .select(sql`
      SELECT account_id, ${suppression.id}, ${addressHash}, ${erased}, ${UNSUBSCRIBE}, NULL, ${Date.now()}
      FROM contacts WHERE ${going} AND ${contacts.unsubscribed}`)
    .onConflictDoNothing({ target: [suppressions.accountId, suppressions.addressHash] });
  const deletion = db.delete(contacts).where(going).returning({ id: contacts.id });
  const contactIsGone = sql`NOT EXISTS (SELECT 1 FROM contacts WHERE account_id = ${accountId} AND id = ${id})`;
  const forgetting = db
    .update(suppressions)
    .set({ sealedAddress: erased })
    .where(and(eq(suppressions.accountId, accountId), eq(suppressions.id, suppression.id), contactIsGone));
  const deleting = [deletion, auditOfChange(scope, audit)] as const;
  if (isThere) {
    const [deleted] = await atomically(scope, [...deleting, forgetting]);
    return deleted.length === 1;
  }
  const [, deleted] = await atomically(scope, [remembering, ...deleting]);
  return deleted.length === 1;
}
