/**
 * The ledger of one account and shard: what was accepted, how far it has come, and what is due next.
 * Each change is one transaction; what is kept in memory beside it changes after the transaction did.
 */
import { nextDueAt, type Progress } from '../../delivery/progress.ts';
import { firstMessageIdAt } from '../../ids.ts';
import type { AcceptRequest, MessagePage, PageRequest } from '../client.ts';
import { type Claimed, findClaim, insertClaim } from './claims.ts';
import type { LedgerDatabase } from './database.ts';
import { MessageList } from './message-list.ts';
import { CLOSED, type DotRecord, DUE, HELD, type LedgerItem, phaseOf, WAITING } from './message-row.ts';
import { MessageTable } from './message-table.ts';
import { type KeptDays, sweep } from './retention.ts';
import { TermIndex } from './term-index.ts';
import { DUE_AT_ONCE_MS, WorkQueue } from './work-queue.ts';

/** A change of one message, decided by the pump. */
export interface ItemChange {
  readonly item: LedgerItem;
  readonly progress: Progress;
  readonly replies: Uint8Array | undefined;
  readonly dot: DotRecord | undefined;
}

export class Ledger {
  readonly messages: MessageTable;
  readonly queue: WorkQueue;
  private readonly db: LedgerDatabase;
  private readonly index: TermIndex;
  private readonly lists: MessageList;
  private openCount: number;
  private duplicates: number;

  /** `segmentPairs`: how much of the index is written at once. */
  constructor(db: LedgerDatabase, segmentPairs?: number) {
    this.db = db;
    this.messages = new MessageTable(db);
    this.queue = new WorkQueue(db, this.messages);
    const lowWater = () => this.queue.savedLowWater;
    this.index = new TermIndex(db, lowWater, segmentPairs);
    this.lists = new MessageList(db, this.index, lowWater);
    this.openCount = this.queue.countOpen();
    this.duplicates = Number(db.readMeta('possible_duplicates') ?? 0);
  }

  /** Times that a copy may have been made without our knowing, over all messages that ever were. */
  get possibleDuplicates(): number {
    return this.duplicates;
  }

  /** Messages that are neither closed nor held. */
  get backlog(): number {
    return this.openCount;
  }

  findClaim(
    claim: { readonly keyHash: string; readonly fingerprint: string },
    times: { nowMs: number; keptForDays: number },
  ): Claimed {
    return findClaim(this.db, claim, times);
  }

  /** Writes messages and claim. Repeating it with the same ids changes nothing. */
  accept(request: AcceptRequest, nowMs: number): void {
    const { queue, messages, db } = this;
    const admitted = db.transaction(() => {
      insertClaim(db, request, nowMs);
      return request.messages.filter((message) => {
        const phase = queue.phaseOfNew(message.id);
        if (!messages.insert(message, { keyId: request.keyId, nowMs, phase })) return false;
        this.index.addMessage(message.id, message.terms);
        if (phase === DUE) queue.reschedule(message.id, undefined, DUE_AT_ONCE_MS);
        return true;
      });
    });
    for (const { id } of admitted) queue.admit(id);
    this.openCount += admitted.length;
    this.index.afterAccept(nowMs);
  }

  /** Newest first. */
  list(page: PageRequest, nowMs: number): MessagePage {
    return this.lists.read(page, nowMs);
  }

  /** Writes changes, and returns the items as they are now. */
  commit(changes: readonly ItemChange[]): LedgerItem[] {
    const doubts = changes.reduce(
      (sum, { item, progress }) => sum + progress.possibleDuplicates - item.progress.possibleDuplicates,
      0,
    );
    const written = this.db.transaction(() => {
      if (doubts > 0) this.db.writeMeta('possible_duplicates', String(this.duplicates + doubts));
      return changes.map((change) => this.writeChange(change));
    });
    this.duplicates += doubts;
    written.forEach((item, index) => {
      this.queue.settle(item);
      this.openCount += Number(isOpenPhase(item.phase)) - Number(isOpenPhase(changes[index]?.item.phase));
    });
    this.index.afterChange();
    return written;
  }

  /** Open messages accepted before the given time, a few at a time, for expiry while no relay takes them. */
  findOverdue(acceptedBeforeMs: number, limit: number): LedgerItem[] {
    return this.messages
      .listUnfinished(firstMessageIdAt(acceptedBeforeMs), limit)
      .filter((item) => !this.queue.isInHand(item.id));
  }

  sweep(nowMs: number, kept: KeptDays): void {
    const { partitions } = this.db;
    const days = partitions.daysOf('messages').length;
    sweep(this.db, this.messages, kept, nowMs);
    if (partitions.daysOf('messages').length < days) this.index.forget();
  }

  /** True where there is anything left to sweep one day. */
  get hasHistory(): boolean {
    const { partitions } = this.db;
    return partitions.daysOf('messages').length > 0 || partitions.daysOf('claims').length > 0;
  }

  private writeChange({ item, progress, replies, dot }: ItemChange): LedgerItem {
    // At the dot, the way back to the message stays as it is: a restart must find it.
    const place = dot?.pending ? item : this.placeOf(item.id, progress);
    const changed = { ...item, progress, replies, dot, phase: place.phase, dueAtMs: place.dueAtMs };
    this.queue.reschedule(item.id, item.dueAtMs, changed.dueAtMs);
    this.messages.update(changed);
    this.index.addChange(item, changed);
    return changed;
  }

  /** Where a message that is not at its dot belongs. What is to go on at once must be found by a restart too. */
  private placeOf(id: string, progress: Progress): { phase: number; dueAtMs: number | undefined } {
    const phase = phaseOf(progress);
    const isDue = phase === DUE || (phase === WAITING && this.queue.phaseOfNew(id) === DUE);
    return isDue ? { phase: DUE, dueAtMs: nextDueAt(progress) } : { phase, dueAtMs: undefined };
  }
}

function isOpenPhase(phase: number | undefined): boolean {
  return phase !== CLOSED && phase !== HELD;
}
