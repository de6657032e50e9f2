/**
 * Content that comes in before its message: pieces of a large upload, written as they come and made part of a
 * message by the transaction that accepts it. What no message takes over (the client went away, the request
 * was refused, the process died) is an orphan, and is swept.
 *
 * Staged pieces lie where they will stay, in `contents_<day>` under the day of the message's id, so accepting
 * copies nothing. Each upload has a block of piece numbers below zero: SQLite numbers other pieces from the
 * highest on, so neither gets in the other's way. A message's pieces are read from its first number on, head
 * first; the head is known last and is put in front of the attachments, into room that is kept for it.
 */
import { parseMessageId } from '../../ids.ts';
import type { MessageToAccept, StagedPiece } from '../client.ts';
import type { LedgerDatabase } from './database.ts';
import { DAY_MS, dayOf } from './partitions.ts';

const BLOCK = 256;
const HEAD_ROOM = 128;
const MAX_PIECES = BLOCK - HEAD_ROOM;
/** Uploads at once in one object; what they hold is disk, not memory. */
const MAX_UPLOADS = 256;

interface StagedRow extends Record<string, SqlStorageValue> {
  id: string;
  first_piece: number;
  started_at: number;
}

export class Staging {
  private readonly db: LedgerDatabase;
  /** When the last piece of each upload came, as far as this object knows, by the id that its message would have. */
  private readonly seenAtMs = new Map<string, number>();

  constructor(db: LedgerDatabase) {
    this.db = db;
    for (const row of db.all<StagedRow>('SELECT id, first_piece, started_at FROM staged')) {
      this.seenAtMs.set(row.id, row.started_at);
    }
  }

  /** Piece 0 begins an upload. `lost`: it was swept meanwhile, or accepted; `full`: there are too many. */
  put({ id, index, piece }: StagedPiece, nowMs: number): 'staged' | 'lost' | 'full' {
    const createdAtMs = parseMessageId(id)?.createdAtMs;
    if (createdAtMs === undefined || Math.abs(createdAtMs - nowMs) > DAY_MS) return 'lost';
    if (index >= MAX_PIECES) return 'full';
    if (!this.seenAtMs.has(id)) {
      if (index > 0) return 'lost';
      if (this.seenAtMs.size >= MAX_UPLOADS) return 'full';
    }
    this.db.transaction(() => {
      const firstPiece = this.firstPieceOf(id) ?? this.begin(id, nowMs);
      this.write(id, firstPiece + index, piece);
    });
    this.seenAtMs.set(id, nowMs);
    return 'staged';
  }

  read(id: string, index: number): Uint8Array | undefined {
    const firstPiece = this.firstPieceOf(id);
    const table = this.tableOf(id);
    if (firstPiece === undefined || table === undefined) return undefined;
    const row = this.db.first<{ piece: ArrayBuffer }>(
      `SELECT piece FROM ${table} WHERE piece_number = ?`,
      firstPiece + index,
    );
    return row && new Uint8Array(row.piece);
  }

  /** True where just these pieces are here. */
  isComplete(id: string, pieces: number): boolean {
    const firstPiece = this.firstPieceOf(id);
    const table = this.tableOf(id);
    if (firstPiece === undefined || table === undefined) return false;
    const row = this.db.first<{ n: number; last: number | null }>(
      `SELECT count(*) AS n, max(piece_number) AS last FROM ${table} WHERE piece_number BETWEEN ? AND ?`,
      firstPiece,
      firstPiece + MAX_PIECES - 1,
    );
    return row?.n === pieces && row.last === firstPiece + pieces - 1;
  }

  /** In the transaction that writes the message: its first piece number. The pieces are no orphans from then on. */
  adopt({ id, head, stagedPieces = 0 }: MessageToAccept): number {
    const firstPiece = this.firstPieceOf(id);
    if (firstPiece === undefined || !this.isComplete(id, stagedPieces) || head.length > HEAD_ROOM) {
      throw new Error('the staged content of a message is missing');
    }
    for (const [index, piece] of head.entries()) this.write(id, firstPiece - head.length + index, piece);
    this.db.run('DELETE FROM staged WHERE id = ?', id);
    return firstPiece - head.length;
  }

  /** After that transaction was made. */
  forget(id: string): void {
    this.seenAtMs.delete(id);
  }

  /** Safe to repeat. What belongs to a message is not touched. */
  discard(id: string): void {
    const firstPiece = this.firstPieceOf(id);
    const table = this.tableOf(id);
    this.seenAtMs.delete(id);
    if (firstPiece === undefined) return;
    this.db.transaction(() => {
      const [from, to] = [firstPiece - HEAD_ROOM, firstPiece + MAX_PIECES - 1];
      if (table) this.db.all(`DELETE FROM ${table} WHERE piece_number BETWEEN ? AND ?`, from, to);
      this.db.run('DELETE FROM staged WHERE id = ?', id);
    });
  }

  sweep(seenBeforeMs: number): void {
    for (const [id, seenAtMs] of [...this.seenAtMs]) if (seenAtMs <= seenBeforeMs) this.discard(id);
  }

  /** Of the upload that has been silent for the longest time. */
  get oldestSeenMs(): number | undefined {
    return this.seenAtMs.size === 0 ? undefined : Math.min(...this.seenAtMs.values());
  }

  private begin(id: string, nowMs: number): number {
    const table = this.makeTable(id);
    // So that the table never has pieces below zero alone: the next free number is one above the highest.
    this.db.run(`INSERT OR IGNORE INTO ${table} (piece_number, piece) VALUES (0, x'')`);
    const inTable =
      this.db.first<{ n: number | null }>(`SELECT min(piece_number) AS n FROM ${table}`)?.n ?? 0;
    const begun = this.db.first<{ n: number | null }>('SELECT min(first_piece) AS n FROM staged')?.n ?? 0;
    const block = Math.floor(Math.min(inTable, begun, 0) / BLOCK) - 1;
    const firstPiece = block * BLOCK + HEAD_ROOM;
    this.db.run('INSERT INTO staged (id, first_piece, started_at) VALUES (?, ?, ?)', id, firstPiece, nowMs);
    return firstPiece;
  }

  private write(id: string, pieceNumber: number, piece: Uint8Array): void {
    this.db.run(
      `INSERT OR REPLACE INTO ${this.makeTable(id)} (piece_number, piece) VALUES (?, ?)`,
      pieceNumber,
      // SQLite takes views as they are; only the platform's types ask for a whole buffer.
      piece as unknown as ArrayBuffer,
    );
  }

  private firstPieceOf(id: string): number | undefined {
    return this.db.first<{ first_piece: number }>('SELECT first_piece FROM staged WHERE id = ?', id)
      ?.first_piece;
  }

  private makeTable(id: string): string {
    return this.db.partitions.make('contents', dayOf(parseMessageId(id)?.createdAtMs ?? 0));
  }

  private tableOf(id: string): string | undefined {
    return this.db.partitions.find('contents', dayOf(parseMessageId(id)?.createdAtMs ?? 0));
  }
}
