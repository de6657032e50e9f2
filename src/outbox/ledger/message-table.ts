/** The statements on messages and their contents. A message is found by its id alone: the id says the day. */
import { newProgress, type Progress } from '../../delivery/progress.ts';
import { parseMessageId } from '../../ids.ts';
import type { LedgerMessage, MessageToAccept } from '../client.ts';
import type { LedgerDatabase } from './database.ts';
import { FreshContent } from './fresh-content.ts';
import {
  CLOSED,
  DUE,
  itemOf,
  type LedgerItem,
  MESSAGE_COLUMNS,
  type MessageRow,
  NO_PIECES,
  publicMessageOf,
  TEST,
  WAITING,
} from './message-row.ts';
import { DAY_MS, dayOf, type PartitionedTable } from './partitions.ts';
import { Staging } from './staging.ts';

export class MessageTable {
  readonly staging: Staging;
  private readonly db: LedgerDatabase;
  private readonly fresh = new FreshContent();

  constructor(db: LedgerDatabase) {
    this.db = db;
    this.staging = new Staging(db);
  }

  find(id: string): LedgerItem | undefined {
    const row = this.findRow(id);
    return row && itemOf(row);
  }

  findPublic(id: string): LedgerMessage | undefined {
    const row = this.findRow(id);
    return row && publicMessageOf(row, Date.now());
  }

  /** The sealed pieces of a message's head; undefined where the message or its content is gone. */
  findHead(id: string): Uint8Array[] | undefined {
    const item = this.find(id);
    if (!item || item.progress.isErased || !this.findPiece(item, 'head', 0)) return undefined;
    return this.headPieces(item);
  }

  /** After a new message was committed: its head is likely to be wanted soon. */
  keepFresh({ id, head, attachments }: MessageToAccept, nowMs: number): void {
    const [piece] = head;
    if (piece && head.length === 1 && attachments.length === 0) this.fresh.keep(id, piece, nowMs);
  }

  /** The sealed pieces of the head of a message that is about to be sent. */
  takeHead(item: LedgerItem): Uint8Array[] {
    const piece = this.fresh.take(item.id);
    return piece ? [piece] : this.headPieces(item);
  }

  /**
   * In the transaction that ends a message: its content goes. Returns it as it is then, to be written: the numbers of its
   * pieces may be given to others.
   */
  dropContent(item: LedgerItem): LedgerItem {
    this.fresh.take(item.id);
    const table = this.tableOf('contents', item.id);
    const { firstPiece, headPieces, attachmentPieces } = item;
    if (table) {
      const beyond = firstPiece + headPieces + attachmentPieces;
      this.db.run(`DELETE FROM ${table} WHERE piece_number >= ? AND piece_number < ?`, firstPiece, beyond);
    }
    return { ...item, firstPiece: NO_PIECES, headPieces: 0, attachmentPieces: 0 };
  }

  private headPieces(item: LedgerItem): Uint8Array[] {
    return Array.from({ length: item.headPieces }, (_, index) => this.readPiece(item, 'head', index));
  }

  /** undefined where the message, the piece, or the content is gone. */
  findAttachmentPiece(id: string, index: number): Uint8Array | undefined {
    const item = this.find(id);
    if (!item || item.progress.isErased) return undefined;
    const isThere = index < item.attachmentPieces && this.tableOf('contents', id);
    return isThere ? this.readPiece(item, 'attachments', index) : undefined;
  }

  readPiece(item: LedgerItem, part: 'head' | 'attachments', index: number): Uint8Array {
    const piece = this.findPiece(item, part, index);
    if (!piece) throw new Error('the content of a message is missing');
    return piece;
  }

  private findPiece(item: LedgerItem, part: 'head' | 'attachments', index: number): Uint8Array | undefined {
    const table = this.tableOf('contents', item.id);
    const number = item.firstPiece + index + (part === 'head' ? 0 : item.headPieces);
    const row = table
      ? this.db.first<{ piece: ArrayBuffer }>(`SELECT piece FROM ${table} WHERE piece_number = ?`, number)
      : undefined;
    return row && new Uint8Array(row.piece);
  }

  /** The next messages in the order of ids that wait for the scan. */
  listWaiting(afterId: string, limit: number): LedgerItem[] {
    const items: LedgerItem[] = [];
    for (const day of this.db.partitions.daysOf('messages')) {
      const table = this.db.partitions.find('messages', day);
      if (!table || day < dayOfId(afterId)) continue;
      const rows = this.db.all<MessageRow>(
        `SELECT ${MESSAGE_COLUMNS} FROM ${table} WHERE id > ? AND phase = ${WAITING} ORDER BY id LIMIT ?`,
        afterId,
        limit - items.length,
      );
      items.push(...rows.map(itemOf));
      if (items.length >= limit) break;
    }
    return items;
  }

  /** The next finished messages in the order of ids, with how far they came. */
  listClosed(afterId: string, limit: number): { readonly id: string; readonly progress: Progress }[] {
    const found: { id: string; progress: Progress }[] = [];
    for (const day of this.db.partitions.daysOf('messages')) {
      const table = this.db.partitions.find('messages', day);
      if (!table || day < dayOfId(afterId)) continue;
      const rows = this.db.all<{ id: string; progress: string }>(
        `SELECT id, progress FROM ${table} WHERE id > ? AND phase = ${CLOSED} ORDER BY id LIMIT ?`,
        afterId,
        limit - found.length,
      );
      found.push(...rows.map(({ id, progress }) => ({ id, progress: JSON.parse(progress) })));
      if (found.length >= limit) break;
    }
    return found;
  }

  /** Those that are open among the next so many messages. `next`: where to go on. */
  listOpenOfBroadcast(
    broadcastId: string,
    afterId: string,
    limit: number,
  ): { readonly ids: readonly string[]; readonly next: string | undefined } {
    for (const day of this.db.partitions.daysOf('messages')) {
      const table = this.db.partitions.find('messages', day);
      if (!table || day < dayOfId(afterId)) continue;
      const rows = this.db.all<{ id: string; is_open: number | null }>(
        `SELECT id, phase IN (${WAITING}, ${DUE}, ${TEST})
           AND json_extract(progress, '$.broadcastId') = ? AS is_open
         FROM ${table} WHERE id > ? ORDER BY id LIMIT ?`,
        broadcastId,
        afterId,
        limit,
      );
      if (rows.length === 0) continue;
      return { ids: rows.flatMap(({ id, is_open }) => (is_open === 1 ? [id] : [])), next: rows.at(-1)?.id };
    }
    return { ids: [], next: undefined };
  }

  countWaiting(afterId: string): number {
    let count = 0;
    for (const day of this.db.partitions.daysOf('messages')) {
      const table = this.db.partitions.find('messages', day);
      const row = this.db.first<{ n: number }>(
        `SELECT count(*) AS n FROM ${table} WHERE id > ? AND phase = ${WAITING}`,
        afterId,
      );
      count += row?.n ?? 0;
    }
    return count;
  }

  /** Messages below the id that wait or are due since before the time, and are not at their dot. */
  listUnfinished(belowId: string, startedBeforeMs: number, limit: number): LedgerItem[] {
    const items: LedgerItem[] = [];
    for (const day of this.db.partitions.daysOf('messages')) {
      const table = this.db.partitions.find('messages', day);
      if (!table || day > dayOfId(belowId) || items.length >= limit) break;
      const rows = this.db.all<MessageRow>(
        `SELECT ${MESSAGE_COLUMNS} FROM ${table} WHERE id < ? AND phase IN (${WAITING}, ${DUE}, ${TEST})
         AND (dot IS NULL OR NOT json_extract(dot, '$.pending'))
         AND coalesce(json_extract(progress, '$.scheduledAtMs'), 0) < ? LIMIT ?`,
        belowId,
        startedBeforeMs,
        limit - items.length,
      );
      items.push(...rows.map(itemOf));
    }
    return items;
  }

  /** False where the message was there already. Throws where the id is not one of today, give or take a day. */
  insert(message: MessageToAccept, accepted: { keyId: string; nowMs: number; phase: number }): boolean {
    const { keyId, nowMs, phase } = accepted;
    const createdAtMs = parseMessageId(message.id)?.createdAtMs;
    if (createdAtMs === undefined || Math.abs(createdAtMs - nowMs) > DAY_MS) {
      throw new Error('a message id is malformed or far off the clock');
    }
    const day = dayOf(createdAtMs);
    const table = this.db.partitions.make('messages', day);
    const contents = this.db.partitions.make('contents', day);
    const isStaged = message.stagedPieces !== undefined;
    // What is staged is taken over once. The others are told apart by the insert itself: a look-up costs as much.
    if (isStaged && this.findRow(message.id)) return false;
    const written = this.db.first<{ first_piece: number }>(
      `INSERT INTO ${table}
       (id, accepted_at, phase, key_id, first_piece, head_pieces, attachment_pieces, summary, progress, terms)
       VALUES (?, ?, ?, ?, coalesce(?, (SELECT max(piece_number) FROM ${contents}) + 1, 1), ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING RETURNING first_piece`,
      message.id,
      nowMs,
      phase,
      keyId,
      isStaged ? this.staging.adopt(message) : null,
      message.head.length,
      message.stagedPieces ?? message.attachments.length,
      blobOf(message.summary),
      JSON.stringify(newProgress(message.recipientCount, nowMs, message)),
      message.terms ? blobOf(message.terms) : null,
    );
    if (!written) return false;
    if (!isStaged)
      this.insertPieces([...message.head, ...message.attachments], contents, written.first_piece);
    return true;
  }

  update({ id, phase, progress, replies, dot, ...content }: LedgerItem): void {
    this.db.run(
      `UPDATE ${this.db.partitions.make('messages', dayOfId(id))}
       SET phase = ?, first_piece = ?, head_pieces = ?, attachment_pieces = ?, progress = ?, replies = ?, dot = ?
       WHERE id = ?`,
      phase,
      content.firstPiece,
      content.headPieces,
      content.attachmentPieces,
      JSON.stringify(progress),
      replies ? blobOf(replies) : null,
      dot ? JSON.stringify(dot) : null,
      id,
    );
  }

  /** What it is found by: see `fixedTermsOf`. */
  findTerms(id: string): Uint8Array | undefined {
    const table = this.tableOf('messages', id);
    const row = table
      ? this.db.first<{ terms: ArrayBuffer | null }>(`SELECT terms FROM ${table} WHERE id = ?`, id)
      : undefined;
    return row?.terms ? new Uint8Array(row.terms) : undefined;
  }

  /** What is fixed otherwise, of a message from which somebody was erased. */
  overwrite(
    id: string,
    { summary, terms }: { readonly summary: Uint8Array; readonly terms: Uint8Array },
  ): void {
    const table = this.tableOf('messages', id);
    if (!table) return;
    this.db.run(
      `UPDATE ${table} SET summary = ?, terms = ? WHERE id = ?`,
      blobOf(summary),
      blobOf(terms),
      id,
    );
  }

  private insertPieces(pieces: readonly Uint8Array[], table: string, first: number): void {
    for (const [index, piece] of pieces.entries()) {
      this.db.run(`INSERT INTO ${table} (piece_number, piece) VALUES (?, ?)`, first + index, blobOf(piece));
    }
  }

  private findRow(id: string): MessageRow | undefined {
    const table = this.tableOf('messages', id);
    return table
      ? this.db.first<MessageRow>(`SELECT ${MESSAGE_COLUMNS} FROM ${table} WHERE id = ?`, id)
      : undefined;
  }

  private tableOf(table: PartitionedTable, id: string): string | undefined {
    const parsed = parseMessageId(id);
    return parsed && this.db.partitions.find(table, dayOf(parsed.createdAtMs));
  }
}

function dayOfId(id: string): number {
  return dayOf(parseMessageId(id)?.createdAtMs ?? 0);
}

/** SQLite takes views as they are; only the platform's types ask for a whole buffer. */
function blobOf(bytes: Uint8Array): ArrayBuffer {
  return bytes as unknown as ArrayBuffer;
}
