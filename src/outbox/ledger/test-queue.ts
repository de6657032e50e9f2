/**
 * Mail of test keys, apart from everything that opens a socket: the pump never sees it, so it can neither reach a
 * relay nor wait behind mail that does. Each open message has a row in `test_due`.
 */
import type { LedgerDatabase } from './database.ts';
import type { LedgerItem } from './message-row.ts';
import type { MessageTable } from './message-table.ts';

type DueRow = { at: number; id: string };

export class TestQueue {
  private readonly db: LedgerDatabase;
  private readonly messages: MessageTable;
  private readonly inHand = new Set<string>();
  private readonly revoked = new Set<string>();
  /** The first row that is not in hand, until something changes: it is asked for at each commit. */
  private known: { readonly first: DueRow | undefined } | undefined;

  constructor(db: LedgerDatabase, messages: MessageTable) {
    this.db = db;
    this.messages = messages;
  }

  take(nowMs: number): LedgerItem | undefined {
    const row = this.first();
    const item = row && row.at <= nowMs ? this.messages.find(row.id) : undefined;
    if (!item) return undefined;
    this.inHand.add(item.id);
    this.known = undefined;
    return item;
  }

  release(item: LedgerItem): void {
    this.inHand.delete(item.id);
    this.known = undefined;
    this.revoked.delete(item.id);
  }

  /** After a message was written: it stays in hand only while it is at its dot. */
  settle(item: LedgerItem): void {
    if (!item.dot?.pending) this.release(item);
  }

  revoke(item: LedgerItem): void {
    if (this.inHand.has(item.id)) this.revoked.add(item.id);
  }

  isRevoked(id: string): boolean {
    return this.revoked.has(id);
  }

  isInHand(id: string): boolean {
    return this.inHand.has(id);
  }

  nextDueAt(): number | undefined {
    return this.first()?.at;
  }

  /** In the transaction that moves a message to another time. */
  reschedule(id: string, fromMs: number | undefined, toMs: number | undefined): void {
    if (fromMs === toMs) return;
    this.known = undefined;
    if (fromMs !== undefined) this.db.all('DELETE FROM test_due WHERE at = ? AND id = ?', fromMs, id);
    if (toMs !== undefined) this.db.all('INSERT OR IGNORE INTO test_due (at, id) VALUES (?, ?)', toMs, id);
  }

  countOpen(): number {
    return this.db.first<{ n: number }>('SELECT count(*) AS n FROM test_due')?.n ?? 0;
  }

  private first(): DueRow | undefined {
    this.known ??= { first: this.findFirst() };
    return this.known.first;
  }

  private findFirst(): DueRow | undefined {
    return this.db
      .all<DueRow>('SELECT at, id FROM test_due ORDER BY at, id LIMIT ?', this.inHand.size + 1)
      .find((row) => !this.inHand.has(row.id));
  }
}
