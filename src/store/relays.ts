import { and, eq, sql } from 'drizzle-orm';
import type { AuthMethod, TlsMode } from '../smtp/types.ts';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { relays } from './schema/relays.ts';

/** null: no limit. */
export interface StoredLimits {
  /** Open at the same time. */
  readonly sessions: number | null;
  /** Messages. */
  readonly perSecond: number | null;
  readonly perMinute: number | null;
  readonly perDay: number | null;
  readonly perSession: number | null;
}

export interface StoredRelay {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly auth: AuthMethod;
  readonly username: string | null;
  readonly sealedSecret: Uint8Array | null;
  readonly priority: number;
  readonly weight: number;
  /** Canonical names; empty: every domain. */
  readonly fromDomains: readonly string[];
  readonly limits: StoredLimits;
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export const limitColumns = {
  sessions: relays.maxSessions,
  perSecond: relays.messagesPerSecond,
  perMinute: relays.messagesPerMinute,
  perDay: relays.messagesPerDay,
  perSession: relays.messagesPerSession,
};

/** What sending needs of a relay. */
export const sendingColumns = {
  id: relays.id,
  name: relays.name,
  host: relays.host,
  port: relays.port,
  tls: relays.tls,
  auth: relays.auth,
  username: relays.username,
  sealedSecret: relays.sealedSecret,
  priority: relays.priority,
  weight: relays.weight,
  fromDomains: relays.fromDomains,
  limits: limitColumns,
  version: relays.version,
};

const columns = {
  ...sendingColumns,
  createdAt: relays.createdAt,
  updatedAt: relays.updatedAt,
};

export async function insertRelay(scope: AccountScope, relay: StoredRelay, audit: AuditEntry): Promise<void> {
  await atomically(scope, [
    scope.db.insert(relays).values({ accountId: scope.accountId, ...rowOf(relay) }),
    auditOfChange(scope, audit),
  ]);
}

export async function findRelay(scope: AccountScope, id: string): Promise<StoredRelay | undefined> {
  const rows = await scope.db
    .select(columns)
    .from(relays)
    .where(and(eq(relays.accountId, scope.accountId), eq(relays.id, id)));
  return rows[0];
}

/** Those of the ids that are relays of the account. */
export async function findRelayIds(scope: AccountScope, ids: readonly string[]): Promise<readonly string[]> {
  const rows = await scope.db
    .select({ id: relays.id })
    .from(relays)
    .where(
      and(
        eq(relays.accountId, scope.accountId),
        sql`${relays.id} IN (SELECT value FROM json_each(${JSON.stringify(ids)}))`,
      ),
    );
  return rows.map((row) => row.id);
}

export async function listRelays(scope: AccountScope, page: PageOf): Promise<Page<StoredRelay>> {
  const { where, orderBy, limit } = pageClauses(relays.id, page, eq(relays.accountId, scope.accountId));
  return toPage(await scope.db.select(columns).from(relays).where(where).orderBy(orderBy).limit(limit), page);
}

/** Replaces the relay where it still has the version before `next.version`; false where it has moved on. */
export async function updateRelay(
  scope: AccountScope,
  next: StoredRelay,
  audit: AuditEntry,
): Promise<boolean> {
  const { id, createdAt: _createdAt, ...changes } = rowOf(next);
  const [updated] = await atomically(scope, [
    scope.db
      .update(relays)
      .set(changes)
      .where(
        and(eq(relays.accountId, scope.accountId), eq(relays.id, id), eq(relays.version, next.version - 1)),
      ),
    auditOfChange(scope, audit),
  ]);
  return updated.meta.changes === 1;
}

export async function deleteRelay(scope: AccountScope, id: string, audit: AuditEntry): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(relays).where(and(eq(relays.accountId, scope.accountId), eq(relays.id, id))),
    auditOfChange(scope, audit),
  ]);
  return deleted.meta.changes === 1;
}

function rowOf({ limits, ...rest }: StoredRelay) {
  return {
    ...rest,
    maxSessions: limits.sessions,
    messagesPerSecond: limits.perSecond,
    messagesPerMinute: limits.perMinute,
    messagesPerDay: limits.perDay,
    messagesPerSession: limits.perSession,
  };
}
