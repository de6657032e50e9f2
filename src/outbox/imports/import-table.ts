/**
 * Imports in the object's own database: the file in pieces, how far it was worked through, and the lines that were
 * refused. The file goes once it was worked through, the rest with its retention.
 */
import { idTimeMs } from '../../ids.ts';
import type { LedgerDatabase } from '../ledger/database.ts';
import type {
  ImportPageRequest,
  ImportRecord,
  ImportStatus,
  ImportToStart,
  PieceOfImport,
} from './import-api.ts';
import {
  addConfirmations,
  addCounts,
  type Confirmations,
  type ImportCounts,
  type ImportPosition,
  NO_COUNTS,
  type SealedRefusals,
} from './import-content.ts';

/** Piece numbers are counted anew from a multiple of this for each import. */
const BLOCK = 1024;
const MAX_PIECES = 128;
/** Uploads, and files that wait: what they hold is disk. */
const MAX_OPEN = 20;

export interface OpenImport {
  readonly number: number;
  readonly id: string;
  readonly sizeBytes: number;
  readonly options: Uint8Array;
  readonly progress: Progress;
}

export interface Progress {
  readonly position: ImportPosition;
  readonly counts: ImportCounts;
  /** How many refusals are kept. */
  readonly kept: number;
  readonly confirmations?: Confirmations;
}

interface Row extends Record<string, SqlStorageValue> {
  number: number;
  id: string;
  status: string;
  completed_at: number | null;
  size_bytes: number;
  options: ArrayBuffer | null;
  progress: string | null;
}

const UPLOADING = 'uploading';
const IS_OPEN = `status IN ('${UPLOADING}', 'queued', 'in_progress')`;

/** What the next alarm depends on; asked after each commit of mail, so it is remembered. */
interface Overview {
  readonly hasOpen: boolean;
  /** When the upload that has been silent for the longest time was last heard of. */
  readonly oldestUploadMs: number | undefined;
  readonly isEmpty: boolean;
}

export class ImportTable {
  private readonly db: LedgerDatabase;
  private known: Overview | undefined;

  constructor(db: LedgerDatabase) {
    this.db = db;
  }

  put({ id, index, piece }: PieceOfImport, nowMs: number): 'staged' | 'lost' | 'full' {
    if (index >= MAX_PIECES) return 'full';
    return this.change(() => {
      if (index === 0) {
        const open = this.db.first<{ n: number }>(`SELECT count(*) AS n FROM imports WHERE ${IS_OPEN}`);
        if ((open?.n ?? 0) >= MAX_OPEN) return 'full';
        this.db.run(
          'INSERT INTO imports (id, status, changed_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
          id,
          UPLOADING,
          nowMs,
        );
      }
      const row = this.row(id);
      if (row?.status !== UPLOADING) return 'lost';
      this.db.run('UPDATE imports SET changed_at = ? WHERE number = ?', nowMs, row.number);
      this.db.run(
        'INSERT OR REPLACE INTO import_pieces (piece_number, piece) VALUES (?, ?)',
        row.number * BLOCK + index,
        // SQLite takes views as they are; only the platform's types ask for a whole buffer.
        piece as unknown as ArrayBuffer,
      );
      return 'staged';
    });
  }

  /** Safe to repeat. `lost`: what was uploaded was swept, or is not complete. */
  start(
    { id, pieces, sizeBytes, options, start, asksToConfirm }: ImportToStart,
    nowMs: number,
  ): 'started' | 'lost' {
    this.known = undefined;
    const row = this.row(id);
    if (!row) return 'lost';
    if (row.status !== UPLOADING) return 'started';
    const [from, to] = [row.number * BLOCK, (row.number + 1) * BLOCK - 1];
    const found = this.db.first<{ n: number }>(
      'SELECT count(*) AS n FROM import_pieces WHERE piece_number BETWEEN ? AND ?',
      from,
      to,
    );
    if (found?.n !== pieces) return 'lost';
    const progress: Progress = {
      position: start,
      counts: NO_COUNTS,
      kept: 0,
      ...(asksToConfirm && { confirmations: { mailed: 0, notMailed: 0 } }),
    };
    this.db.run(
      `UPDATE imports SET status = 'queued', changed_at = ?, size_bytes = ?, options = ?, progress = ?
       WHERE number = ?`,
      nowMs,
      sizeBytes,
      options as unknown as ArrayBuffer,
      JSON.stringify(progress),
      row.number,
    );
    return 'started';
  }

  /** The oldest that is not worked through: of those after a number, if there are any. */
  nextOpen(after: number): OpenImport | undefined {
    if (!this.overview.hasOpen) return undefined;
    const row = this.db.first<Row>(
      `SELECT * FROM imports WHERE status IN ('queued', 'in_progress') ORDER BY number <= ?, number LIMIT 1`,
      after,
    );
    if (!row?.options || row.progress === null) return undefined;
    const { number, id, size_bytes: sizeBytes, options, progress } = row;
    return { number, id, sizeBytes, options: new Uint8Array(options), progress: JSON.parse(progress) };
  }

  readPiece(number: number, index: number): Uint8Array | undefined {
    const row = this.db.first<{ piece: ArrayBuffer }>(
      'SELECT piece FROM import_pieces WHERE piece_number = ?',
      number * BLOCK + index,
    );
    return row && new Uint8Array(row.piece);
  }

  /** Nothing happens where the import was dropped meanwhile. */
  record(
    { number, id, progress }: OpenImport,
    done: {
      readonly position: ImportPosition;
      readonly counts: ImportCounts;
      readonly refusals?: (SealedRefusals & { readonly count: number }) | undefined;
      readonly confirmations?: Confirmations;
      readonly isLast: boolean;
    },
    nowMs: number,
  ): void {
    this.change(() => {
      if (this.row(id)?.number !== number) return;
      const { position, refusals, isLast } = done;
      const next: Progress = {
        position,
        counts: addCounts(progress.counts, done.counts),
        kept: progress.kept + (refusals?.count ?? 0),
        ...(progress.confirmations && {
          confirmations: addConfirmations(progress.confirmations, done.confirmations),
        }),
      };
      this.db.run(
        'UPDATE imports SET status = ?, changed_at = ?, completed_at = ?, progress = ? WHERE number = ?',
        isLast ? 'completed' : 'in_progress',
        nowMs,
        isLast ? nowMs : null,
        JSON.stringify(next),
        number,
      );
      if (refusals) {
        this.db.run(
          'INSERT OR REPLACE INTO import_refusals (import, line, refusals) VALUES (?, ?, ?)',
          number,
          refusals.line,
          refusals.refusals as unknown as ArrayBuffer,
        );
      }
      if (isLast) this.dropFile(number);
    });
  }

  /** What was written so far stays. */
  fail({ number }: OpenImport, nowMs: number): void {
    this.change(() => {
      const statement = `UPDATE imports SET status = 'failed', changed_at = ?, completed_at = ? WHERE number = ?`;
      this.db.run(statement, nowMs, nowMs, number);
      this.dropFile(number);
    });
  }

  drop(id: string): boolean {
    const row = this.row(id);
    if (!row) return false;
    this.change(() => {
      this.dropFile(row.number);
      this.db.run('DELETE FROM import_refusals WHERE import = ?', row.number);
      this.db.run('DELETE FROM imports WHERE number = ?', row.number);
    });
    return row.status !== UPLOADING;
  }

  find(id: string): ImportRecord | undefined {
    const row = this.row(id);
    return row && row.status !== UPLOADING ? recordOf(row) : undefined;
  }

  list({ limit, after, before, status }: ImportPageRequest): { rows: ImportRecord[]; hasMore: boolean } {
    const found = this.db.all<Row>(
      `SELECT * FROM imports WHERE status <> ?1 AND (?2 IS NULL OR status = ?2)
         AND (?3 IS NULL OR id < ?3) AND (?4 IS NULL OR id > ?4)
       ORDER BY id ${before === undefined ? 'DESC' : 'ASC'} LIMIT ?5`,
      UPLOADING,
      status ?? null,
      after ?? null,
      before ?? null,
      limit + 1,
    );
    const rows = found.slice(0, limit).map(recordOf);
    if (before !== undefined) rows.reverse();
    return { rows, hasMore: found.length > limit };
  }

  listRefusals(id: string): SealedRefusals[] {
    const row = this.row(id);
    if (!row) return [];
    return this.db
      .all<{ line: number; refusals: ArrayBuffer }>(
        'SELECT line, refusals FROM import_refusals WHERE import = ? ORDER BY line',
        row.number,
      )
      .map(({ line, refusals }) => ({ line, refusals: new Uint8Array(refusals) }));
  }

  /** Uploads that were left, and imports that were over before the other time. */
  sweep(uploadingBeforeMs: number, overBeforeMs: number): void {
    const rows = this.db.all<{ id: string }>(
      `SELECT id FROM imports WHERE (status = ? AND changed_at <= ?) OR completed_at <= ?`,
      UPLOADING,
      uploadingBeforeMs,
      overBeforeMs,
    );
    for (const { id } of rows) this.drop(id);
  }

  get overview(): Overview {
    this.known ??= this.readOverview();
    return this.known;
  }

  private readOverview(): Overview {
    const row = this.db.first<{ n: number; open: number | null; oldest: number | null }>(
      `SELECT count(*) AS n, max(status IN ('queued', 'in_progress')) AS open,
         min(iif(status = ?, changed_at, NULL)) AS oldest FROM imports`,
      UPLOADING,
    );
    return {
      hasOpen: row?.open === 1,
      oldestUploadMs: row?.oldest ?? undefined,
      isEmpty: (row?.n ?? 0) === 0,
    };
  }

  private change<T>(work: () => T): T {
    this.known = undefined;
    return this.db.transaction(work);
  }

  private dropFile(number: number): void {
    this.db.run(
      'DELETE FROM import_pieces WHERE piece_number BETWEEN ? AND ?',
      number * BLOCK,
      (number + 1) * BLOCK - 1,
    );
    this.db.run('UPDATE imports SET options = NULL WHERE number = ?', number);
  }

  private row(id: string): Row | undefined {
    return this.db.first<Row>('SELECT * FROM imports WHERE id = ?', id);
  }
}

function recordOf({ id, status, completed_at, progress }: Row): ImportRecord {
  const { counts = NO_COUNTS, confirmations } = JSON.parse(progress ?? '{}') as Partial<Progress>;
  return {
    id,
    status: status as ImportStatus,
    completedAtMs: completed_at ?? undefined,
    counts,
    ...(confirmations && { confirmations }),
  };
}

/** So long nothing could be written of it that it is given up. */
export function isTooOld({ id }: OpenImport, nowMs: number, keptMs: number): boolean {
  return nowMs - idTimeMs(id) > keptMs;
}
