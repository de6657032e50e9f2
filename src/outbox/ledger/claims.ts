/** Idempotency keys: a claim says which messages a request made, and by its fingerprint which request it was. */
import type { AcceptRequest } from '../client.ts';
import type { LedgerDatabase } from './database.ts';
import { DAY_MS, dayOf } from './partitions.ts';

export type Claimed =
  | { readonly kind: 'new' }
  | { readonly kind: 'same'; readonly ids: readonly string[] }
  | { readonly kind: 'different' };

export function findClaim(
  db: LedgerDatabase,
  claim: { readonly keyHash: string; readonly fingerprint: string },
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
    return found.fingerprint === claim.fingerprint
      ? { kind: 'same', ids: JSON.parse(found.ids) }
      : { kind: 'different' };
  }
  return { kind: 'new' };
}

/** In the transaction that writes the messages. */
export function insertClaim(db: LedgerDatabase, { claim, messages }: AcceptRequest, nowMs: number): void {
  if (!claim) return;
  db.all(
    `INSERT INTO ${db.partitions.make('claims', dayOf(nowMs))} (key_hash, fingerprint, ids, created_at)
     VALUES (?, ?, ?, ?)`,
    claim.keyHash,
    claim.fingerprint,
    JSON.stringify(messages.map((message) => message.id)),
    nowMs,
  );
}
