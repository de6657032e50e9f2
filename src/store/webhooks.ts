import { and, asc, eq, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { type WebhookStatus, webhooks } from './schema/webhooks.ts';

export interface StoredWebhook {
  readonly id: string;
  readonly endpoint: string;
  /** null: every type. */
  readonly events: readonly string[] | null;
  readonly status: WebhookStatus;
  readonly disabledReason: string | null;
  readonly sealedSecret: Uint8Array;
  readonly previousSecret: Uint8Array | null;
  readonly previousUntil: number | null;
  readonly activeSince: number;
  readonly createdAt: number;
}

export interface NewWebhook {
  readonly id: string;
  readonly endpoint: string;
  readonly events: readonly string[] | null;
  readonly sealedSecret: Uint8Array;
  readonly activeSince: number;
  readonly createdAt: number;
}

const columns = {
  id: webhooks.id,
  endpoint: webhooks.endpoint,
  events: webhooks.events,
  status: webhooks.status,
  disabledReason: webhooks.disabledReason,
  sealedSecret: webhooks.sealedSecret,
  previousSecret: webhooks.previousSecret,
  previousUntil: webhooks.previousUntil,
  activeSince: webhooks.activeSince,
  createdAt: webhooks.createdAt,
};

/** False where the account has `limit` of them already. */
export async function insertWebhook(
  scope: AccountScope,
  webhook: NewWebhook,
  options: { readonly limit: number; readonly audit: AuditEntry },
): Promise<boolean> {
  const { db, accountId } = scope;
  const { id, endpoint, events, sealedSecret, activeSince, createdAt } = webhook;
  const eventsText = events === null ? null : JSON.stringify(events);
  // In the order of the table's columns.
  const [inserted] = await atomically(scope, [
    db.insert(webhooks).select(sql`
      SELECT ${accountId}, ${id}, ${endpoint}, ${eventsText}, 'enabled', NULL,
        unhex(${Buffer.from(sealedSecret).toString('hex')}), NULL, NULL, ${activeSince}, ${createdAt}, ${createdAt}
      WHERE (SELECT count(*) FROM webhooks WHERE account_id = ${accountId}) < ${options.limit}`),
    auditOfChange(scope, options.audit),
  ]);
  return inserted.meta.changes === 1;
}

export async function findWebhook(scope: AccountScope, id: string): Promise<StoredWebhook | undefined> {
  const rows = await scope.db
    .select(columns)
    .from(webhooks)
    .where(and(eq(webhooks.accountId, scope.accountId), eq(webhooks.id, id)));
  return rows[0];
}

/** All of the account's, as a statement for a batch. */
export function webhooksOf(scope: AccountScope) {
  return scope.db
    .select(columns)
    .from(webhooks)
    .where(eq(webhooks.accountId, scope.accountId))
    .orderBy(asc(webhooks.id));
}

export async function listWebhooks(scope: AccountScope, page: PageOf): Promise<Page<StoredWebhook>> {
  const { where, orderBy, limit } = pageClauses(webhooks.id, page, eq(webhooks.accountId, scope.accountId));
  return toPage(
    await scope.db.select(columns).from(webhooks).where(where).orderBy(orderBy).limit(limit),
    page,
  );
}

/** False where there is no such webhook. One that becomes enabled is active from then on. */
export async function updateWebhook(
  scope: AccountScope,
  id: string,
  change: {
    readonly endpoint?: string;
    readonly events?: readonly string[] | null;
    readonly status?: WebhookStatus;
  },
  audit: AuditEntry,
): Promise<boolean> {
  const nowMs = Date.now();
  const { status } = change;
  const [updated] = await atomically(scope, [
    scope.db
      .update(webhooks)
      .set({
        ...change,
        ...(status !== undefined && {
          disabledReason: null,
          activeSince: sql`CASE WHEN ${webhooks.status} = 'disabled' AND ${status} = 'enabled'
            THEN ${nowMs} ELSE ${webhooks.activeSince} END`,
        }),
        updatedAt: nowMs,
      })
      .where(and(eq(webhooks.accountId, scope.accountId), eq(webhooks.id, id))),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

/** The secret before becomes the previous one; that before it is forgotten. False where there is no such webhook. */
export async function rotateSecret(
  scope: AccountScope,
  id: string,
  secret: { readonly sealed: Uint8Array; readonly previousUntil: number },
  audit: AuditEntry,
): Promise<boolean> {
  const [updated] = await atomically(scope, [
    scope.db
      .update(webhooks)
      .set({
        previousSecret: sql`${webhooks.sealedSecret}`,
        previousUntil: secret.previousUntil,
        sealedSecret: secret.sealed,
        updatedAt: Date.now(),
      })
      .where(and(eq(webhooks.accountId, scope.accountId), eq(webhooks.id, id))),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

/** By the service itself. Only while it still has the endpoint that gave the reason. */
export async function disableWebhook(
  scope: AccountScope,
  webhook: { readonly id: string; readonly endpoint: string; readonly reason: string },
  audit: AuditEntry,
): Promise<void> {
  await atomically(scope, [
    scope.db
      .update(webhooks)
      .set({ status: 'disabled', disabledReason: webhook.reason, updatedAt: Date.now() })
      .where(
        and(
          eq(webhooks.accountId, scope.accountId),
          eq(webhooks.id, webhook.id),
          eq(webhooks.endpoint, webhook.endpoint),
          eq(webhooks.status, 'enabled'),
        ),
      ),
    auditOfChange(scope, audit),
  ]);
}

export async function deleteWebhook(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(webhooks).where(and(eq(webhooks.accountId, scope.accountId), eq(webhooks.id, id))),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
}
