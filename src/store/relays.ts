import { and, eq } from 'drizzle-orm';
import type { AuthMethod, TlsMode } from '../smtp/types.ts';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { relays } from './schema/relays.ts';

export interface StoredRelay {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly auth: AuthMethod;
  readonly username: string | null;
  readonly sealedSecret: Uint8Array | null;
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

const columns = {
  id: relays.id,
  name: relays.name,
  host: relays.host,
  port: relays.port,
  tls: relays.tls,
  auth: relays.auth,
  username: relays.username,
  sealedSecret: relays.sealedSecret,
  version: relays.version,
  createdAt: relays.createdAt,
  updatedAt: relays.updatedAt,
};

export async function insertRelay(scope: AccountScope, relay: StoredRelay, audit: AuditEntry): Promise<void> {
  await atomically(scope, [
    scope.db.insert(relays).values({ accountId: scope.accountId, ...relay }),
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
  const { id, createdAt: _createdAt, ...changes } = next;
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
