import { and, eq } from 'drizzle-orm';
import { isOneOf } from './blobs.ts';
import type { AccountScope } from './db.ts';
import { listMembers } from './schema/lists.ts';

export interface PendingMember {
  readonly listId: string;
  readonly contactId: string;
}

/** Those of the contacts who have not confirmed yet that they want to be on one of the lists. */
export async function findPendingMembers(
  { db, accountId }: AccountScope,
  among: { readonly contactIds: readonly string[]; readonly listIds: readonly string[] },
): Promise<PendingMember[]> {
  return db
    .select({ listId: listMembers.listId, contactId: listMembers.contactId })
    .from(listMembers)
    .where(
      and(
        eq(listMembers.accountId, accountId),
        isOneOf(listMembers.listId, among.listIds),
        isOneOf(listMembers.contactId, among.contactIds),
        eq(listMembers.status, 'pending'),
      ),
    );
}
