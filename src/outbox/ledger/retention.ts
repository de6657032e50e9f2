/**
 * Retention drops the tables of whole days, which writes no rows. A day on which a message is still open, or was
 * scheduled for a day that is not past retention, gives up everything else: nobody's mail is kept for another's.
 */
import type { LedgerDatabase } from './database.ts';
import { CLOSED, NO_PIECES } from './message-row.ts';
import { DAY_MS, dayOf, type PartitionedTable, startOfDay } from './partitions.ts';

export interface KeptDays {
  /** 0: none of a message that has ended. */
  readonly bodies: number;
  /** The log of events goes with them: what an event tells is read from its message. */
  readonly metadata: number;
  readonly claims: number;
}

const SWEPT_DAY = 'messages_swept_day';

export function sweep(db: LedgerDatabase, kept: KeptDays, nowMs: number): void {
  const metadataDays = Math.max(kept.metadata, kept.bodies);
  const expired = (table: PartitionedTable, days: number) =>
    db.partitions.daysOf(table).filter((day) => day < dayOf(nowMs) - days);
  for (const day of expired('claims', kept.claims)) db.partitions.drop('claims', day);
  for (const table of ['events', 'deliveries'] as const) {
    for (const day of expired(table, metadataDays)) db.partitions.drop(table, day);
  }
  const since = kept.bodies === 0 ? Number.MAX_SAFE_INTEGER : sinceOf(nowMs, kept.bodies);
  // Where messages and uploads still come in, content goes by itself or not yet.
  for (const day of expired('contents', Math.max(kept.bodies, 1))) thin(db, 'contents', day, since);
  const goneDays = expired('messages', metadataDays);
  // A claim that may be there longer than its messages must not take them for new ones.
  if (metadataDays <= kept.claims + 1) rememberSwept(db, goneDays.at(-1));
  for (const day of goneDays) {
    thin(db, 'messages', day, sinceOf(nowMs, metadataDays));
    if (db.partitions.find('messages', day)) continue;
    db.partitions.drop('terms', day);
    db.partitions.drop('late_terms', day);
  }
}

/** True where the message of an id of this day may have been here, and be past its retention. */
export function isSwept(db: LedgerDatabase, day: number): boolean {
  return day <= Number(db.readMeta(SWEPT_DAY) ?? Number.NEGATIVE_INFINITY);
}

/** All content of messages that have ended, whatever their day. Repeating it changes nothing. */
export function dropEndedContent(db: LedgerDatabase, nowMs: number): void {
  for (const day of db.partitions.daysOf('contents')) {
    // Where ids still come in, numbers of pieces are used again, and uploads lie between the messages' pieces.
    if (day >= dayOf(nowMs) - 1) dropEndedPieces(db, day);
    else thin(db, 'contents', day, Number.MAX_SAFE_INTEGER);
  }
}

function dropEndedPieces(db: LedgerDatabase, day: number): void {
  const contents = db.partitions.find('contents', day);
  const messages = db.partitions.find('messages', day);
  if (!contents || !messages) return;
  db.transaction(() => {
    db.run(`DELETE FROM ${contents} WHERE piece_number IN (SELECT piece_number ${piecesOf(contents, messages)}
      WHERE phase = ${CLOSED})`);
    db.run(`UPDATE ${messages} SET first_piece = ${NO_PIECES}, head_pieces = 0, attachment_pieces = 0
      WHERE phase = ${CLOSED} AND first_piece <> ${NO_PIECES}`);
  });
}

function rememberSwept(db: LedgerDatabase, day: number | undefined): void {
  if (day !== undefined && !isSwept(db, day)) db.writeMeta(SWEPT_DAY, String(day));
}

function sinceOf(nowMs: number, days: number): number {
  return startOfDay(dayOf(nowMs)) - days * DAY_MS;
}

function piecesOf(contents: string, messages: string): string {
  return `FROM ${messages} JOIN ${contents}
    ON piece_number BETWEEN first_piece AND first_piece + head_pieces + attachment_pieces - 1`;
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
      : `SELECT piece_number, piece ${piecesOf(name, messages ?? '')} WHERE ${isWanted}`;
  // Each row that is written costs: either those that stay are copied, or the others are deleted.
  if (kept < goes) db.transaction(() => partitions.replace(table, day, rows(isKept)));
  else {
    const key = table === 'messages' ? 'id' : 'piece_number';
    db.run(`DELETE FROM ${name} WHERE ${key} IN (SELECT ${key} FROM (${rows(`NOT ${isKept}`)}))`);
  }
}
