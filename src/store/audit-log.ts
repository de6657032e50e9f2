import { type SQL, sql } from 'drizzle-orm';
import { newId } from '../ids.ts';
import type { AccountScope } from './db.ts';
import { auditLog } from './schema/audit-log.ts';

export interface AuditEntry {
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  /** Never a secret, never an address. */
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
}

/**
 * The audit row of the statement right before it in the same batch: written only where that statement
 * changed exactly one row, because an UPDATE that matches nothing is not an error.
 */
export function auditOfChange(scope: AccountScope, entry: AuditEntry) {
  return auditWhere(scope, entry, sql`changes() = 1`);
}

/** The same for a statement that may change many rows. */
export function auditOfChanges(scope: AccountScope, entry: AuditEntry) {
  return auditWhere(scope, entry, sql`changes() > 0`);
}

function auditWhere(scope: AccountScope, entry: AuditEntry, condition: SQL) {
  const nowMs = Date.now();
  // In the order of the table's columns.
  return scope.db.insert(auditLog).select(sql`
    SELECT ${scope.accountId}, ${newId('audit', nowMs)}, ${entry.actor}, ${entry.action}, ${entry.target},
      ${JSON.stringify(entry.details ?? {})}, ${nowMs}
    WHERE ${condition}`);
}

/** The audit row of an act whose effect lies outside of D1. Written before the act: without it, there is none. */
export async function insertAudit(scope: AccountScope, entry: AuditEntry): Promise<void> {
  const nowMs = Date.now();
  await scope.db.insert(auditLog).values({
    accountId: scope.accountId,
    id: newId('audit', nowMs),
    actor: entry.actor,
    action: entry.action,
    target: entry.target,
    details: JSON.stringify(entry.details ?? {}),
    createdAt: nowMs,
  });
}
