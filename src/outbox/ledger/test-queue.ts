/**
 * Mail of test keys, apart from everything that opens a socket: the pump never sees it, so it can neither reach a
 * relay nor wait behind mail that does. Each open message has a row in `test_due`.
 */
import type { LedgerDatabase } from './database.ts';
import type { LedgerItem } from './message-row.ts';
import type { MessageTable } from './message-table.ts';

export class TestQueue {
  private readonly db: LedgerDatabase;
  private readonly messages: MessageTable;
  private readonly inHand = new Set<string>();
  private readonly revoked = new Set<string>();
  /** Most accounts send no test mail. Asked of the database for every commit, that was 3 to 5 % of a message. */
  private isKnownEmpty = false;

  constructor(db: LedgerDatabase, messages: MessageTable) {
    this.db = db;
    this.messages = messages;
  }

  take(nowMs: number): LedgerItem | undefined {
    const row = this.first();
    const item = row && row.at <= nowMs ? this.messages.find(row.id) : undefined;
    if (item) this.inHand.add(item.id);
    return item;
  }

  release(item: LedgerItem): void {
    this.inHand.delete(item.id);
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

  get idsInHand(): readonly string[] {
    return [...this.inHand];
  }

  nextDueAt(): number | undefined {
    return this.first()?.at;
  }

  /** In the transaction that moves a message to another time. */
  reschedule(id: string, fromMs: number | undefined, toMs: number | undefined): void {
    if (fromMs === toMs) return;
    if (fromMs !== undefined) this.db.all('DELETE FROM test_due WHERE at = ? AND id = ?', fromMs, id);
    if (toMs === undefined) return;
    this.isKnownEmpty = false;
    this.db.run('INSERT OR IGNORE INTO test_due (at, id) VALUES (?, ?)', toMs, id);
  }

  countOpen(): number {
    return this.db.first<{ n: number }>('SELECT count(*) AS n FROM test_due')?.n ?? 0;
  }

  /** The first row that is not in hand. */
  private first(): { at: number; id: string } | undefined {
    if (this.isKnownEmpty) return undefined;
    const rows = this.db.all<{ at: number; id: string }>(
      'SELECT at, id FROM test_due ORDER BY at, id LIMIT ?',
      this.inHand.size + 1,
    );
    this.isKnownEmpty = rows.length === 0;
    return rows.find((row) => !this.inHand.has(row.id));
  }
}
