/**
 * Idempotency keys: a claim says which messages a request made, and by its fingerprint which request it was.
 * All claims of an account lie in its shard 0. Messages of shard 0 are written in the transaction of their
 * claim; those of another shard after it, so there the ids may be claimed and not be on any ledger yet.
 *
 * A claim may be released only once its ids are fenced in their own shard: the fence is written there, in the
 * same table, and whatever is still on its way under these ids is then turned away.
 */
import { parseMessageId } from '../../ids.ts';
import type { AcceptRequest, IdempotencyClaim } from '../client.ts';
import type { LedgerDatabase } from './database.ts';
import type { MessageTable } from './message-table.ts';
import { DAY_MS, dayOf } from './partitions.ts';
import { isSwept } from './retention.ts';

export type Claimed =
  | { readonly kind: 'new' }
  | { readonly kind: 'same'; readonly ids: readonly string[] }
  | { readonly kind: 'different'; readonly ids: readonly string[] };

export function findClaim(
  db: LedgerDatabase,
  claim: IdempotencyClaim,
  times: { nowMs: number; keptForDays: number },
): Claimed {
  const since = times.nowMs - times.keptForDays * DAY_MS;
  for (let day = dayOf(times.nowMs); day >= dayOf(since); day--) {
    const table = db.partitions.find('claims', day);
    if (!table) continue;
    const found = db.first<{ fingerprint: string; ids: string }>(
      `SELECT fingerprint, ids FROM ${table} WHERE key_hash = ? AND created_at > ?`,
      claim.keyHash,
      since,
    );
    if (!found) continue;
    const kind = found.fingerprint === claim.fingerprint ? 'same' : 'different';
    return { kind, ids: JSON.parse(found.ids) };
  }
  return { kind: 'new' };
}

/** In the transaction that writes the messages. */
export function insertClaim(db: LedgerDatabase, { claim, messages }: AcceptRequest, nowMs: number): void {
  if (!claim) return;
  const ids = messages.map((message) => message.id);
  writeClaim(db, { ...claim, ids }, nowMs);
}

export function writeClaim(
  db: LedgerDatabase,
  { keyHash, fingerprint, ids }: IdempotencyClaim & { readonly ids: readonly string[] },
  nowMs: number,
): void {
  db.run(
    `INSERT INTO ${db.partitions.make('claims', dayOf(nowMs))} (key_hash, fingerprint, ids, created_at)
     VALUES (?, ?, ?, ?)`,
    keyHash,
    fingerprint,
    JSON.stringify(ids),
    nowMs,
  );
}

/** Only while the key is claimed for just these ids: another request may have claimed it anew. */
export function deleteClaim(db: LedgerDatabase, keyHash: string, ids: readonly string[]): void {
  for (const day of db.partitions.daysOf('claims')) {
    const table = db.partitions.find('claims', day);
    db.run(`DELETE FROM ${table} WHERE key_hash = ? AND ids = ?`, keyHash, JSON.stringify(ids));
  }
}

/** What became of ids that were claimed for this shard. A request is all or nothing, so its first id tells. */
export type ClaimedIds =
  | { readonly kind: 'new' }
  | { readonly kind: 'same'; readonly ids: readonly string[] }
  | { readonly kind: 'fenced' };

export function findClaimedIds(
  db: LedgerDatabase,
  messages: MessageTable,
  { ids, nowMs }: { readonly ids: readonly string[]; readonly nowMs: number },
): ClaimedIds {
  const [first = ''] = ids;
  if (messages.find(first)) return { kind: 'same', ids };
  const createdAtMs = parseMessageId(first)?.createdAtMs;
  // Retention may have been shorter than it is now: what it took is not to be sent anew.
  if (createdAtMs !== undefined && isSwept(db, dayOf(createdAtMs))) return { kind: 'same', ids };
  // The ledger takes no id that is further off than a day, so an old one needs no fence.
  if (createdAtMs === undefined || nowMs - createdAtMs > DAY_MS) return { kind: 'fenced' };
  for (const day of db.partitions.daysOf('claims')) {
    const table = db.partitions.find('claims', day);
    if (db.first(`SELECT 1 FROM ${table} WHERE key_hash = ?`, fenceOf(first))) return { kind: 'fenced' };
  }
  return { kind: 'new' };
}

export function fenceIds(
  db: LedgerDatabase,
  messages: MessageTable,
  claimed: { readonly ids: readonly string[]; readonly nowMs: number },
): 'accepted' | 'fenced' {
  const found = findClaimedIds(db, messages, claimed);
  if (found.kind === 'new') {
    const keyHash = fenceOf(claimed.ids[0] ?? '');
    writeClaim(db, { keyHash, fingerprint: '', ids: claimed.ids }, claimed.nowMs);
  }
  return found.kind === 'same' ? 'accepted' : 'fenced';
}

/** Cannot be the hash of a key: those are base64. */
function fenceOf(id: string): string {
  return `fence:${id}`;
}
