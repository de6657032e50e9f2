/** What is to be sent to a list, and whether it was handed over to the Outbox. */
import { and, eq, isNotNull, isNull, sql } from 'drizzle-orm';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { hexOf } from './blobs.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { type BroadcastEnd, broadcasts } from './schema/broadcasts.ts';

export interface BroadcastRecord {
  readonly id: string;
  readonly listId: string;
  readonly topicId: string | null;
  readonly sealedName: Uint8Array;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly handedOverAt: number | null;
  readonly startedAt: number | null;
  readonly endedAs: BroadcastEnd | null;
  readonly scheduledAt: number | null;
  readonly origin: string | null;
}

export interface BroadcastWithContent extends BroadcastRecord {
  readonly sealedContent: Uint8Array;
}

/** Of the request that created it; keyed hashes. */
export interface BroadcastRequest {
  readonly hash: Uint8Array;
  readonly fingerprint: Uint8Array;
}

export type BroadcastChange = Partial<Omit<BroadcastWithContent, 'id' | 'createdAt' | 'updatedAt'>>;

const columns = {
  id: broadcasts.id,
  listId: broadcasts.listId,
  topicId: broadcasts.topicId,
  sealedName: broadcasts.sealedName,
  createdAt: broadcasts.createdAt,
  updatedAt: broadcasts.updatedAt,
  handedOverAt: broadcasts.handedOverAt,
  startedAt: broadcasts.startedAt,
  endedAs: broadcasts.endedAs,
  scheduledAt: broadcasts.scheduledAt,
  origin: broadcasts.origin,
};
const allColumns = { ...columns, sealedContent: broadcasts.sealedContent };

/** Throws where another one was created by this request. */
export async function insertBroadcast(
  scope: AccountScope,
  broadcast: BroadcastWithContent,
  options: { readonly request?: BroadcastRequest | undefined; readonly audit: AuditEntry },
): Promise<void> {
  const { db, accountId } = scope;
  const { request, audit } = options;
  const named = request && { requestHash: request.hash, requestFingerprint: request.fingerprint };
  await atomically(scope, [
    db.insert(broadcasts).values({ accountId, ...broadcast, ...named }),
    auditOfChange(scope, audit),
  ]);
}

/** What an earlier request with this hash created, and what it said. */
export async function findRequested(
  scope: AccountScope,
  hash: Uint8Array,
): Promise<(BroadcastRecord & { readonly fingerprint: Uint8Array | null }) | undefined> {
  const rows = await scope.db
    .select({ ...columns, fingerprint: broadcasts.requestFingerprint })
    .from(broadcasts)
    .where(
      and(eq(broadcasts.accountId, scope.accountId), sql`${broadcasts.requestHash} = unhex(${hexOf(hash)})`),
    );
  return rows[0];
}

export async function findBroadcast(
  scope: AccountScope,
  id: string,
): Promise<BroadcastWithContent | undefined> {
  return (await scope.db.select(allColumns).from(broadcasts).where(isBroadcast(scope, id)))[0];
}

/** Without its content. */
export async function findBroadcastRecord(
  scope: AccountScope,
  id: string,
): Promise<BroadcastRecord | undefined> {
  return (await scope.db.select(columns).from(broadcasts).where(isBroadcast(scope, id)))[0];
}

export async function listBroadcasts(scope: AccountScope, page: PageOf): Promise<Page<BroadcastRecord>> {
  const { db, accountId } = scope;
  const { where, orderBy, limit } = pageClauses(broadcasts.id, page, eq(broadcasts.accountId, accountId));
  return toPage(await db.select(columns).from(broadcasts).where(where).orderBy(orderBy).limit(limit), page);
}

/** False where the broadcast is not as it was at `knownAt`. */
export async function updateBroadcast(
  scope: AccountScope,
  { id, updatedAt: knownAt }: Pick<BroadcastRecord, 'id' | 'updatedAt'>,
  change: BroadcastChange,
  audit: AuditEntry,
): Promise<boolean> {
  const [updated] = await atomically(scope, [
    scope.db
      .update(broadcasts)
      .set({ ...change, updatedAt: Math.max(Date.now(), knownAt + 1) })
      .where(and(isBroadcast(scope, id), eq(broadcasts.updatedAt, knownAt))),
    auditOfChange(scope, audit),
  ] as const);
  return updated.meta.changes === 1;
}

/** Before anything of one that was handed over is sent. Safe to repeat. */
export async function markStarted(scope: AccountScope, id: string, audit: AuditEntry): Promise<void> {
  const isNew = and(isNotNull(broadcasts.handedOverAt), isNull(broadcasts.startedAt));
  await atomically(scope, [
    scope.db
      .update(broadcasts)
      .set({ startedAt: Date.now() })
      .where(and(isBroadcast(scope, id), isNew)),
    auditOfChange(scope, audit),
  ]);
}

/** Safe to repeat. A cancel comes last: it is what somebody asked for. */
export async function markEnded(
  scope: AccountScope,
  id: string,
  endedAs: BroadcastEnd,
  audit: AuditEntry,
): Promise<void> {
  const isNew = endedAs === 'canceled' ? isNotNull(broadcasts.startedAt) : isNull(broadcasts.endedAs);
  await atomically(scope, [
    scope.db
      .update(broadcasts)
      .set({ endedAs })
      .where(and(isBroadcast(scope, id), isNew)),
    auditOfChange(scope, audit),
  ]);
}

/** False where the broadcast is not as it was at `knownAt`. */
export async function deleteBroadcast(
  scope: AccountScope,
  { id, updatedAt: knownAt }: Pick<BroadcastRecord, 'id' | 'updatedAt'>,
  audit: AuditEntry,
): Promise<boolean> {
  const [deleted] = await atomically(scope, [
    scope.db.delete(broadcasts).where(and(isBroadcast(scope, id), eq(broadcasts.updatedAt, knownAt))),
    auditOfChange(scope, audit),
  ] as const);
  return deleted.meta.changes === 1;
}

function isBroadcast({ accountId }: AccountScope, id: string) {
  return and(eq(broadcasts.accountId, accountId), eq(broadcasts.id, id));
}
