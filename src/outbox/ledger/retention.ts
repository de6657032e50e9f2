/**
 * Retention drops the tables of whole days, which writes no rows. A day on which a message is still open, or was
 * scheduled for a day that is not past retention, gives up everything else: nobody's mail is kept for another's.
 */
import type { LedgerDatabase } from './database.ts';
import { CLOSED } from './message-row.ts';
import { DAY_MS, dayOf, type PartitionedTable, startOfDay } from './partitions.ts';

export interface KeptDays {
  readonly bodies: number;
  readonly metadata: number;
  readonly claims: number;
}

/** A new webhook is given the events of the last seven days. */
const EVENT_DAYS = 7;

export function sweep(db: LedgerDatabase, kept: KeptDays, nowMs: number): void {
  const metadataDays = Math.max(kept.metadata, kept.bodies);
  const expired = (table: PartitionedTable, days: number) =>
    db.partitions.daysOf(table).filter((day) => day < dayOf(nowMs) - days);
  for (const day of expired('claims', kept.claims)) db.partitions.drop('claims', day);
  for (const table of ['events', 'deliveries'] as const) {
    for (const day of expired(table, Math.max(kept.metadata, EVENT_DAYS))) db.partitions.drop(table, day);
  }
  for (const day of expired('contents', kept.bodies)) thin(db, 'contents', day, sinceOf(nowMs, kept.bodies));
  for (const day of expired('messages', metadataDays)) {
    thin(db, 'messages', day, sinceOf(nowMs, metadataDays));
    if (db.partitions.find('messages', day)) continue;
    db.partitions.drop('terms', day);
    db.partitions.drop('late_terms', day);
  }
}

function sinceOf(nowMs: number, days: number): number {
  return startOfDay(dayOf(nowMs)) - days * DAY_MS;
}

/** What was scheduled for `sinceMs` or later counts its retention from then. */
function thin(db: LedgerDatabase, table: 'contents' | 'messages', day: number, sinceMs: number): void {
  const { partitions } = db;
  const name = partitions.find(table, day);
  const messages = partitions.find('messages', day);
  const isKept = `(phase <> ${CLOSED} OR coalesce(json_extract(progress, '$.scheduledAtMs'), 0) >= ${Number(sinceMs)})`;
  const count = (statement: string) => db.first<{ n: number | null }>(statement)?.n ?? 0;
  const size = table === 'messages' ? 'count(*)' : 'sum(head_pieces + attachment_pieces)';
  const kept = messages ? count(`SELECT ${size} AS n FROM ${messages} WHERE ${isKept}`) : 0;
  if (kept === 0 || !name) {
    partitions.drop(table, day);
    return;
  }
  const goes = count(`SELECT count(*) AS n FROM ${name}`) - kept;
  if (goes <= 0) return;
  const rows = (isWanted: string) =>
    table === 'messages'
      ? `SELECT * FROM ${messages} WHERE ${isWanted}`
      : `SELECT piece_number, piece FROM ${messages} JOIN ${name}
         ON piece_number BETWEEN first_piece AND first_piece + head_pieces + attachment_pieces - 1
         WHERE ${isWanted}`;
  // Each row that is written costs: either those that stay are copied, or the others are deleted.
  if (kept < goes) db.transaction(() => partitions.replace(table, day, rows(isKept)));
  else {
    const key = table === 'messages' ? 'id' : 'piece_number';
    db.all(`DELETE FROM ${name} WHERE ${key} IN (SELECT ${key} FROM (${rows(`NOT ${isKept}`)}))`);
  }
}
