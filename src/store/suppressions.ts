/** Addresses that an account does not mail, by keyed hash. */
import { and, eq, or, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChanges } from './audit-log.ts';
import { hexOf, isOneOf } from './blobs.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { type SuppressionOrigin, suppressions } from './schema/suppressions.ts';

export interface SuppressionRecord {
  readonly id: string;
  readonly sealedAddress: Uint8Array;
  readonly origin: SuppressionOrigin;
  readonly sourceId: string | null;
  readonly createdAt: number;
}

/** With its hash: what is written, and what was removed. */
export interface NewSuppression extends SuppressionRecord {
  readonly addressHash: string;
}

/** One suppression, by its id or by its address. */
export type SuppressionKey = { readonly id: string } | { readonly addressHash: string };

const columns = {
  id: suppressions.id,
  sealedAddress: suppressions.sealedAddress,
  origin: suppressions.origin,
  sourceId: suppressions.sourceId,
  createdAt: suppressions.createdAt,
};

/** Leaves what is there as it is. Returns the id of each address, old or new, by its hash; and which are new. */
export async function insertSuppressions(
  scope: AccountScope,
  rows: readonly NewSuppression[],
  audit: AuditEntry,
): Promise<{ readonly id: string; readonly addressHash: string; readonly isNew: boolean }[]> {
  const { db, accountId } = scope;
  const values = rows.map(({ sealedAddress, ...row }) => ({
    ...row,
    sealed: hexOf(sealedAddress),
  }));
  // In the order of the table's columns.
  const [, , found] = await atomically(scope, [
    db
      .insert(suppressions)
      .select(sql`
        SELECT ${accountId}, value ->> 'id', value ->> 'addressHash', unhex(value ->> 'sealed'),
          value ->> 'origin', value ->> 'sourceId', value ->> 'createdAt'
        FROM json_each(${JSON.stringify(values)}) WHERE true`)
      .onConflictDoNothing({ target: [suppressions.accountId, suppressions.addressHash] }),
    auditOfChanges(scope, audit),
    db
      .select({ id: suppressions.id, addressHash: suppressions.addressHash })
      .from(suppressions)
      .where(
        and(
          eq(suppressions.accountId, accountId),
          isOneOf(
            suppressions.addressHash,
            rows.map((row) => row.addressHash),
          ),
        ),
      ),
  ] as const);
  const made = new Set(rows.map((row) => row.id));
  return found.map((row) => ({ ...row, isNew: made.has(row.id) }));
}

export async function findSuppression(
  scope: AccountScope,
  key: SuppressionKey,
): Promise<SuppressionRecord | undefined> {
  const rows = await scope.db
    .select(columns)
    .from(suppressions)
    .where(
      and(
        eq(suppressions.accountId, scope.accountId),
        'id' in key ? eq(suppressions.id, key.id) : eq(suppressions.addressHash, key.addressHash),
      ),
    );
  return rows[0];
}

/** Those of the hashes that are suppressed. One statement for any number of them. */
export async function findSuppressedHashes(
  scope: AccountScope,
  hashes: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await scope.db
    .select({ addressHash: suppressions.addressHash })
    .from(suppressions)
    .where(and(eq(suppressions.accountId, scope.accountId), isOneOf(suppressions.addressHash, hashes)));
  return new Set(rows.map((row) => row.addressHash));
}

export async function listSuppressions(
  scope: AccountScope,
  page: PageOf & { readonly origin?: SuppressionOrigin | undefined },
): Promise<Page<SuppressionRecord>> {
  const filter = and(
    eq(suppressions.accountId, scope.accountId),
    page.origin === undefined ? undefined : eq(suppressions.origin, page.origin),
  );
  const { where, orderBy, limit } = pageClauses(suppressions.id, page, filter);
  const rows = await scope.db.select(columns).from(suppressions).where(where).orderBy(orderBy).limit(limit);
  return toPage(rows, page);
}

/** Returns what was there and is gone. */
export async function deleteSuppressions(
  scope: AccountScope,
  keys: { readonly ids: readonly string[]; readonly addressHashes: readonly string[] },
  audit: AuditEntry,
): Promise<NewSuppression[]> {
  const [deleted] = await atomically(scope, [
    scope.db
      .delete(suppressions)
      .where(
        and(
          eq(suppressions.accountId, scope.accountId),
          or(isOneOf(suppressions.id, keys.ids), isOneOf(suppressions.addressHash, keys.addressHashes)),
        ),
      )
      .returning({ ...columns, addressHash: suppressions.addressHash }),
    auditOfChanges(scope, audit),
  ] as const);
  return deleted;
}
