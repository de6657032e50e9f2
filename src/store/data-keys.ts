/** What a master key made for an account, replaced by what a newer one makes. */
import { and, eq } from 'drizzle-orm';
import type { WrappedDataKey } from '../crypto/data-key.ts';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { accounts, dataKeys } from './schema/accounts.ts';

/** Leaves what somebody else replaced meanwhile. */
export async function replaceWrappedKey(
  scope: AccountScope,
  { before, after }: { readonly before: Uint8Array; readonly after: WrappedDataKey },
  audit: AuditEntry,
): Promise<void> {
  await atomically(scope, [
    scope.db
      .update(dataKeys)
      .set({ wrapped: after.wrapped, masterVersion: after.masterVersion })
      .where(
        and(
          eq(dataKeys.accountId, scope.accountId),
          eq(dataKeys.number, after.number),
          eq(dataKeys.wrapped, before),
        ),
      ),
    auditOfChange(scope, audit),
  ]);
}

/** Leaves an address that was changed meanwhile. */
export async function replaceEmailHash(
  scope: AccountScope,
  { before, after }: { readonly before: string; readonly after: string },
  audit: AuditEntry,
): Promise<void> {
  await atomically(scope, [
    scope.db
      .update(accounts)
      .set({ emailHash: after })
      .where(and(eq(accounts.accountId, scope.accountId), eq(accounts.emailHash, before))),
    auditOfChange(scope, audit),
  ]);
}
