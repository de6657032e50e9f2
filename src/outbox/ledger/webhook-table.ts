/**
 * How far each webhook is in this shard's log, and what became of each event there.
 * - Every event up to a webhook's cursor is settled, or has a row in `webhook_retries`.
 * - Beyond the cursor some may be settled too: they have a row in `deliveries` of the cursor's generation.
 *   A replay moves the cursor back and counts the generation up.
 */
import type { EventPosition } from '../webhooks/event-id.ts';
import type { LedgerDatabase } from './database.ts';
import { dayOfSeq } from './event-log.ts';

export const PENDING = 0;
export const SUCCESS = 1;
export const FAILED = 2;

export interface WebhookCursor extends EventPosition {
  readonly webhookId: string;
  readonly generation: number;
  /** The time of activation that the cursor was last put to. */
  readonly activeSinceMs: number;
}

export interface Delivery extends EventPosition {
  readonly webhookId: string;
  readonly generation: number;
  readonly status: number;
  /** Attempts of the run that is under way. */
  readonly tries: number;
  readonly nextAtMs: number | undefined;
  /** Sealed: answers of an endpoint may quote what was sent to it. */
  readonly attempts: Uint8Array | undefined;
}

interface DeliveryRow extends Record<string, SqlStorageValue> {
  webhook_id: string;
  seq: number;
  entry: number;
  generation: number;
  status: number;
  tries: number;
  next_at: number | null;
  attempts: ArrayBuffer | null;
}

const COLUMNS = 'webhook_id, seq, entry, generation, status, tries, next_at, attempts';

export class WebhookTable {
  private readonly db: LedgerDatabase;

  constructor(db: LedgerDatabase) {
    this.db = db;
  }

  listCursors(): WebhookCursor[] {
    return this.db
      .all<{ webhook_id: string; seq: number; entry: number; generation: number; active_since: number }>(
        'SELECT webhook_id, seq, entry, generation, active_since FROM webhook_cursors',
      )
      .map((row) => ({
        webhookId: row.webhook_id,
        seq: row.seq,
        index: row.entry,
        generation: row.generation,
        activeSinceMs: row.active_since,
      }));
  }

  saveCursor(cursor: WebhookCursor): void {
    this.db.run(
      `INSERT INTO webhook_cursors (webhook_id, seq, entry, generation, active_since) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET seq = excluded.seq, entry = excluded.entry,
         generation = excluded.generation, active_since = excluded.active_since`,
      cursor.webhookId,
      cursor.seq,
      cursor.index,
      cursor.generation,
      cursor.activeSinceMs,
    );
  }

  /** A webhook that is gone. What it was sent stays until its day is dropped. */
  forget(webhookId: string): void {
    this.db.run('DELETE FROM webhook_cursors WHERE webhook_id = ?', webhookId);
    this.db.run('DELETE FROM webhook_retries WHERE webhook_id = ?', webhookId);
  }

  find(webhookId: string, { seq, index }: EventPosition): Delivery | undefined {
    const table = this.db.partitions.find('deliveries', dayOfSeq(seq));
    if (!table) return undefined;
    const row = this.db.first<DeliveryRow>(
      `SELECT ${COLUMNS} FROM ${table} WHERE webhook_id = ? AND seq = ? AND entry = ?`,
      webhookId,
      seq,
      index,
    );
    return row && deliveryOf(row);
  }

  /** Newest first, before a place. */
  list(webhookId: string, before: EventPosition, limit: number): Delivery[] {
    const found: Delivery[] = [];
    for (const day of this.db.partitions.daysOf('deliveries').reverse()) {
      const table = this.db.partitions.find('deliveries', day);
      if (!table || day > dayOfSeq(before.seq)) continue;
      const rows = this.db.all<DeliveryRow>(
        `SELECT ${COLUMNS} FROM ${table} WHERE webhook_id = ? AND (seq, entry) < (?, ?)
         ORDER BY seq DESC, entry DESC LIMIT ?`,
        webhookId,
        before.seq,
        before.index,
        limit - found.length,
      );
      found.push(...rows.map(deliveryOf));
      if (found.length >= limit) break;
    }
    return found;
  }

  /** Writes a delivery as it is now, and the row by which its next attempt is found. */
  write(next: Delivery): void {
    this.db.transaction(() => {
      const previous = this.find(next.webhookId, next);
      if (previous?.nextAtMs !== next.nextAtMs) {
        this.removeRetry(previous);
        this.addRetry(next);
      }
      this.db.run(
        `INSERT INTO ${this.db.partitions.make('deliveries', dayOfSeq(next.seq))} (${COLUMNS})
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET generation = excluded.generation, status = excluded.status,
           tries = excluded.tries, next_at = excluded.next_at, attempts = excluded.attempts`,
        next.webhookId,
        next.seq,
        next.index,
        next.generation,
        next.status,
        next.tries,
        next.nextAtMs ?? null,
        next.attempts ? (next.attempts as unknown as ArrayBuffer) : null,
      );
    });
  }

  /** The retries of a webhook in the order of their times. */
  listRetries(webhookId: string, limit: number): (EventPosition & { readonly atMs: number })[] {
    return this.db
      .all<{ at: number; seq: number; entry: number }>(
        'SELECT at, seq, entry FROM webhook_retries WHERE webhook_id = ? ORDER BY at, seq, entry LIMIT ?',
        webhookId,
        limit,
      )
      .map(({ at, seq, entry }) => ({ atMs: at, seq, index: entry }));
  }

  /** A retry whose delivery, or whose event, is past its retention. */
  dropRetry(webhookId: string, retry: EventPosition & { readonly atMs: number }): void {
    this.db.run(
      'DELETE FROM webhook_retries WHERE webhook_id = ? AND at = ? AND seq = ? AND entry = ?',
      webhookId,
      retry.atMs,
      retry.seq,
      retry.index,
    );
  }

  private removeRetry(delivery: Delivery | undefined): void {
    if (delivery?.nextAtMs === undefined) return;
    this.dropRetry(delivery.webhookId, { ...delivery, atMs: delivery.nextAtMs });
  }

  private addRetry({ webhookId, nextAtMs, seq, index }: Delivery): void {
    if (nextAtMs === undefined) return;
    this.db.run(
      'INSERT OR IGNORE INTO webhook_retries (webhook_id, at, seq, entry) VALUES (?, ?, ?, ?)',
      webhookId,
      nextAtMs,
      seq,
      index,
    );
  }
}

function deliveryOf(row: DeliveryRow): Delivery {
  return {
    webhookId: row.webhook_id,
    seq: row.seq,
    index: row.entry,
    generation: row.generation,
    status: row.status,
    tries: row.tries,
    nextAtMs: row.next_at ?? undefined,
    attempts: row.attempts ? new Uint8Array(row.attempts) : undefined,
  };
}
