/** What an import finds of its own work. */
import { and, eq } from 'drizzle-orm';
import { isOneOf } from './blobs.ts';
import type { AccountScope } from './db.ts';
import { contacts } from './schema/contacts.ts';

/** Those of the ids that are there. One statement for any number of them. */
export async function findContactIds(
  scope: AccountScope,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await scope.db
    .select({ id: contacts.id })
    .from(contacts)
    .where(and(eq(contacts.accountId, scope.accountId), isOneOf(contacts.id, ids)));
  return new Set(rows.map(({ id }) => id));
}
