/**
 * How work is found without an index on state: the pump walks the messages in id order behind a cursor.
 *
 * - Every open message is either above the saved low-water mark, or has a row in `due`.
 * - The low-water mark trails the oldest message in hand, so a restart finds everything by walking from it.
 * - An id made by a slower clock can arrive below the cursor: it is remembered in `late`; should it arrive
 *   below the low-water mark too, it gets a row in `due`.
 */
import { firstMessageIdAt, parseMessageId } from '../../ids.ts';
import type { LedgerDatabase } from './database.ts';
import { DUE, type LedgerItem, WAITING } from './message-row.ts';
import type { MessageTable } from './message-table.ts';

const SCAN_PAGE = 64;
/** How far ids of several clocks may be out of order without costing a row each. */
const CLOCK_SLACK_MS = 10_000;

/** The key in `due` of what waits for no time: the one that follows from its progress. */
export const DUE_AT_ONCE_MS = 0;

export class WorkQueue {
  private readonly db: LedgerDatabase;
  private readonly messages: MessageTable;
  /** Messages taken by the pump and not given back. */
  private readonly inHand = new Set<string>();
  /** Messages whose relay has enough to do: passed over until it has room. */
  private readonly aside = new Set<string>();
  /** Of those, what the customer took back meanwhile: whatever the pump decides about them comes too late. */
  private readonly revoked = new Set<string>();
  /** Messages that were scanned and not taken yet. */
  private buffer: LedgerItem[] = [];
  private late: string[] = [];
  private lowWater: string;
  private cursor: string;
  /** No row of `due` that is not in hand is earlier than this. Spares the query for every message. */
  private dueFromMs = 0;

  constructor(db: LedgerDatabase, messages: MessageTable) {
    this.db = db;
    this.messages = messages;
    this.lowWater = db.readMeta('low_water') ?? firstMessageIdAt(0);
    this.cursor = this.lowWater;
  }

  /** The next message to work on, or undefined where nothing is due now. */
  take(nowMs: number): LedgerItem | undefined {
    const item = this.takeDue(nowMs) ?? this.takeLate() ?? this.takeScanned();
    if (item) this.inHand.add(item.id);
    return item;
  }

  /** What is likely to be taken next, left where it is. */
  peek(limit: number): readonly LedgerItem[] {
    return this.buffer.slice(0, limit);
  }

  /** Gives a message back unchanged: it is the next one to be taken. */
  release(item: LedgerItem): void {
    this.inHand.delete(item.id);
    if (this.revoked.delete(item.id)) {
      // Somebody was erased from it, and the others are still to be mailed: it is found again as it is now.
      const now = this.messages.find(item.id);
      if (now) this.settle(now);
      return;
    }
    if (item.phase === WAITING) this.buffer.unshift(item);
    if (item.dueAtMs !== undefined) this.expectDue(item.dueAtMs);
  }

  /** Passes a message over, so that those behind it can be taken. */
  setAside(item: LedgerItem): void {
    this.inHand.delete(item.id);
    this.aside.add(item.id);
  }

  /** Takes a message that was set aside; undefined where it was changed since. */
  takeAside(id: string): LedgerItem | undefined {
    if (!this.aside.delete(id)) return undefined;
    this.inHand.add(id);
    return this.messages.find(id);
  }

  /** After a message was written: it stays in hand only while it is at its dot. */
  settle(item: LedgerItem): void {
    // The customer or the expiry may change a message that lies ready: taken from there it would be the old one.
    if (!this.inHand.has(item.id)) this.discardReady(item.id);
    else if (item.dot?.pending) return;
    this.inHand.delete(item.id);
    this.revoked.delete(item.id);
    if (item.dueAtMs !== undefined) this.expectDue(item.dueAtMs);
    // Some of its recipients are to go on at once, in another transaction. What the scan has yet to reach, it finds.
    if (item.phase === WAITING && item.id <= this.cursor) this.late.push(item.id);
  }

  get idsInHand(): readonly string[] {
    return [...this.inHand];
  }

  get inHandCount(): number {
    return this.inHand.size;
  }

  /** As it is on disk. */
  get savedLowWater(): string {
    return this.lowWater;
  }

  isInHand(id: string): boolean {
    return this.inHand.has(id);
  }

  /** After the row of a message was rewritten beneath the pump. What lies ready is found again. */
  revoke(item: LedgerItem): void {
    if (this.inHand.has(item.id)) this.revoked.add(item.id);
    else this.settle(item);
  }

  isRevoked(id: string): boolean {
    return this.revoked.has(id);
  }

  /** After an error that nobody expected: forget what is in hand, and find it again from the low-water mark. */
  forgetHand(): void {
    this.inHand.clear();
    this.aside.clear();
    this.revoked.clear();
    this.buffer = [];
    this.late = [];
    this.cursor = this.lowWater;
    this.dueFromMs = 0;
  }

  /** True while something could be taken now. */
  hasWork(nowMs: number): boolean {
    if (this.buffer.length > 0 || this.late.length > 0) return true;
    if (this.firstDue(nowMs)) return true;
    this.fillBuffer();
    return this.buffer.length > 0;
  }

  /** The time of the next row in `due` that is not in hand. */
  nextDueAt(): number | undefined {
    return this.firstDueNotInHand()?.at;
  }

  /** Where a new message belongs, so that it is found whatever its clock said. */
  phaseOfNew(id: string): typeof WAITING | typeof DUE {
    return id <= this.lowWater ? DUE : WAITING;
  }

  /** After a new message was committed, with its row in `due` where it waits for a time. */
  admit(id: string, dueAtMs?: number): void {
    if (dueAtMs !== undefined) this.expectDue(dueAtMs);
    else if (id <= this.lowWater) this.expectDue(DUE_AT_ONCE_MS);
    else if (id <= this.cursor) this.late.push(id);
  }

  /** In the transaction that moves a message to another time. */
  reschedule(id: string, fromMs: number | undefined, toMs: number | undefined): void {
    if (fromMs === toMs) return;
    if (fromMs !== undefined) this.db.all('DELETE FROM due WHERE at = ? AND id = ?', fromMs, id);
    if (toMs !== undefined) this.db.all('INSERT OR IGNORE INTO due (at, id) VALUES (?, ?)', toMs, id);
  }

  /** Saves how far everything is done; called now and then, and when the pump goes idle. */
  saveLowWater(): void {
    let lowest = this.cursor;
    for (const id of [...this.inHand, ...this.aside, ...this.late]) if (id < lowest) lowest = id;
    for (const { id } of this.buffer) if (id < lowest) lowest = id;
    const parsed = parseMessageId(lowest);
    if (!parsed) return;
    const mark = firstMessageIdAt(parsed.createdAtMs - CLOCK_SLACK_MS);
    if (mark <= this.lowWater) return;
    this.db.writeMeta('low_water', mark);
    this.lowWater = mark;
  }

  countOpen(): number {
    const due = this.db.first<{ n: number }>('SELECT count(*) AS n FROM due')?.n ?? 0;
    return this.messages.countWaiting(this.lowWater) + due;
  }

  private takeDue(nowMs: number): LedgerItem | undefined {
    const due = this.firstDue(nowMs);
    const item = due && this.messages.find(due.id);
    return item && { ...item, dueAtMs: due.at };
  }

  private takeLate(): LedgerItem | undefined {
    const id = this.late.shift();
    return id === undefined ? undefined : this.messages.find(id);
  }

  private takeScanned(): LedgerItem | undefined {
    if (this.buffer.length === 0) this.fillBuffer();
    return this.buffer.shift();
  }

  private fillBuffer(): void {
    const page = this.messages.listWaiting(this.cursor, SCAN_PAGE);
    this.cursor = page.at(-1)?.id ?? this.cursor;
    this.buffer.push(...page);
  }

  private discardReady(id: string): void {
    this.buffer = this.buffer.filter((ready) => ready.id !== id);
    this.late = this.late.filter((ready) => ready !== id);
    this.aside.delete(id);
  }

  private expectDue(atMs: number): void {
    this.dueFromMs = Math.min(this.dueFromMs, atMs);
  }

  private firstDue(nowMs: number): { at: number; id: string } | undefined {
    if (nowMs < this.dueFromMs) return undefined;
    const first = this.firstDueNotInHand();
    this.dueFromMs = first?.at ?? Number.POSITIVE_INFINITY;
    return first && first.at <= nowMs ? first : undefined;
  }

  private firstDueNotInHand(): { at: number; id: string } | undefined {
    const passedOver = this.inHand.size + this.aside.size;
    return this.db
      .all<{ at: number; id: string }>('SELECT at, id FROM due ORDER BY at, id LIMIT ?', passedOver + 1)
      .find((row) => !this.inHand.has(row.id) && !this.aside.has(row.id));
  }
}
