/**
 * The ledger of one account and shard: what was accepted, how far it has come, and what is due next.
 * Each change is one transaction; what is kept in memory beside it changes after the transaction did.
 */
import { applyCancel, applyExpiry, applyReschedule, applyResolution } from '../../delivery/ending.ts';
import { newProgress, nextDueAt, type Progress } from '../../delivery/progress.ts';
import { firstMessageIdAt } from '../../ids.ts';
import type {
  AcceptRequest,
  CancelOutcome,
  MessagePage,
  MessageToAccept,
  PageRequest,
  RescheduleOutcome,
  Resolution,
  ResolveOutcome,
} from '../client.ts';
import { entriesOfChange, entriesOfNew } from '../webhooks/event-entry.ts';
import { BroadcastParts, type PartChange } from './broadcast-parts.ts';
import { type Claimed, findClaim, insertClaim } from './claims.ts';
import type { LedgerDatabase } from './database.ts';
import { EventLog } from './event-log.ts';
import { recoverEvents } from './event-recovery.ts';
import { MessageList } from './message-list.ts';
import { CLOSED, type DotRecord, DUE, HELD, type LedgerItem, phaseOf, TEST, WAITING } from './message-row.ts';
import { MessageTable } from './message-table.ts';
import { dropEndedContent, type KeptDays, sweep } from './retention.ts';
import { TermIndex } from './term-index.ts';
import { TestQueue } from './test-queue.ts';
import { DUE_AT_ONCE_MS, WorkQueue } from './work-queue.ts';

/** A change of one message, decided by the pump. */
export interface ItemChange {
  readonly item: LedgerItem;
  readonly progress: Progress;
  readonly replies: Uint8Array | undefined;
  readonly dot: DotRecord | undefined;
}

/** A message of which somebody was erased. */
export interface ErasedMessage {
  readonly change: ItemChange;
  readonly summary: Uint8Array;
  readonly terms: Uint8Array;
}

export class Ledger {
  readonly messages: MessageTable;
  readonly queue: WorkQueue;
  readonly events: EventLog;
  /** Mail of test keys has a queue of its own. */
  readonly tests: TestQueue;
  /** What this shard has of broadcasts. */
  readonly parts: BroadcastParts;
  private readonly db: LedgerDatabase;
  private readonly index: TermIndex;
  private readonly lists: MessageList;
  private openCount: number;
  private duplicates: number;
  /** False: content goes with the end of its message. */
  private keepsContent = true;

  /** `segmentPairs`: how much of the index is written at once. */
  constructor(db: LedgerDatabase, segmentPairs?: number) {
    this.db = db;
    this.messages = new MessageTable(db);
    this.queue = new WorkQueue(db, this.messages);
    this.tests = new TestQueue(db, this.messages);
    this.events = new EventLog(db);
    this.parts = new BroadcastParts(db);
    recoverEvents(this.events, this.messages, this.queue.savedLowWater);
    const lowWater = () => this.queue.savedLowWater;
    this.index = new TermIndex(db, lowWater, segmentPairs);
    this.lists = new MessageList(db, this.index, lowWater);
    this.openCount = this.queue.countOpen() + this.tests.countOpen();
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

  /** Writes messages and claim, and returns those that are new: repeating it with the same ids changes nothing. */
  accept(request: AcceptRequest, nowMs: number): readonly MessageToAccept[] {
    const { messages, db } = this;
    const admitted = db.transaction(() => {
      insertClaim(db, request, nowMs);
      if (request.page) this.parts.recordPage(request.page, nowMs);
      const fresh = request.messages.flatMap((message) => {
        const { id } = message;
        const place = this.placeOfNew(message);
        if (!messages.insert(message, { keyId: request.keyId, nowMs, phase: place.phase })) return [];
        this.index.addMessage(id, message);
        this.queueOf(message).reschedule(id, undefined, place.dueAtMs);
        return [{ message, ...place }];
      });
      const counted = fresh.filter(({ message }) => message.broadcastId !== undefined);
      this.parts.count(
        counted.map(({ message }) => ({ after: newProgress(message.recipientCount, nowMs, message) })),
        nowMs,
      );
      return fresh;
    });
    for (const { message, phase, dueAtMs } of admitted) {
      if (phase !== TEST) this.queue.admit(message.id, dueAtMs);
      if (message.scheduledAtMs === undefined) messages.keepFresh(message, nowMs);
      if (message.stagedPieces !== undefined) messages.staging.forget(message.id);
      this.events.append(entriesOfNew(message.id, message, nowMs));
    }
    this.openCount += admitted.length;
    this.index.afterAccept(nowMs);
    return admitted.map(({ message }) => message);
  }

  /** Newest first. */
  list(page: PageRequest, nowMs: number): MessagePage {
    return this.lists.read(page, nowMs);
  }

  /**
   * Writes changes, and returns the items as they are now. What the customer took back meanwhile stays as it is:
   * the caller sees no pending dot on it, and lets no dot leave. Where the events `mustFlush`, that has to follow in
   * the same turn: both are then one write of the storage.
   */
  commit(changes: readonly ItemChange[]): LedgerItem[] {
    const isLate = ({ item }: ItemChange) => this.queueOf(item.progress).isRevoked(item.id);
    const doubts = changes.reduce(
      (sum, change) =>
        sum +
        (isLate(change) ? 0 : change.progress.possibleDuplicates - change.item.progress.possibleDuplicates),
      0,
    );
    const written = this.db.transaction(() => {
      const inTime = changes.filter((change) => !isLate(change));
      this.parts.count(inTime.map(partChangeOf), Date.now());
      if (doubts > 0) this.db.writeMeta('possible_duplicates', String(this.duplicates + doubts));
      return changes.map((change) => (isLate(change) ? this.asItIs(change.item) : this.writeChange(change)));
    });
    this.duplicates += doubts;
    const nowMs = Date.now();
    changes.forEach((change, index) => {
      if (isLate(change)) return;
      const { item, progress } = change;
      const isFound = written[index]?.phase === CLOSED && item.id > this.queue.savedLowWater;
      this.events.append(entriesOfChange(item.id, item.progress, progress, nowMs), { mayWait: isFound });
    });
    written.forEach((item, index) => {
      const change = changes[index];
      if (change && !isLate(change)) this.countChange(change.item, item);
      this.queueOf(item.progress).settle(item);
    });
    this.index.afterChange();
    return written;
  }

  isInHand(item: LedgerItem): boolean {
    return this.queueOf(item.progress).isInHand(item.id);
  }

  /** Takes back what is not at its dot, whatever the pump has in mind with it. */
  cancel(id: string, nowMs: number): CancelOutcome {
    const item = this.messages.find(id);
    if (!item) return 'not_found';
    if (item.dot?.pending) return 'at_dot';
    const progress = applyCancel(item.progress, nowMs);
    if (progress) this.rewrite(item, progress, nowMs);
    else if (!item.progress.deliveries.some(({ status }) => status === 'canceled')) return 'ended';
    return 'canceled';
  }

  /**
   * The broadcast was canceled: no page of it is accepted from here on. What the pump has in hand of it and is not at
   * its dot is taken back at once; the rest waits for `cancelOfBroadcast`, and is not sent.
   */
  stopBroadcast(broadcastId: string, nowMs: number): void {
    this.parts.stop(broadcastId, nowMs);
    for (const list of [this.queue.idsInHand, this.tests.idsInHand])
      this.cancelThose(list, broadcastId, nowMs);
  }

  /** Cancels what is open among the next messages, and says where to go on; nowhere after the last. */
  cancelOfBroadcast(
    broadcastId: string,
    { after, limit }: { readonly after: string; readonly limit: number },
    nowMs: number,
  ): { readonly atDot: number; readonly next: string | undefined } {
    const { ids, next } = this.messages.listOpenOfBroadcast(broadcastId, after, limit);
    return { atDot: this.cancelThose(ids, broadcastId, nowMs), next };
  }

  /** Says how many of them are at their dot. */
  private cancelThose(ids: readonly string[], broadcastId: string, nowMs: number): number {
    const items = ids
      .flatMap((id) => this.messages.find(id) ?? [])
      .filter(({ progress }) => progress.broadcastId === broadcastId);
    const open = items.filter(({ dot }) => !dot?.pending);
    this.rewriteAll(
      open.flatMap((item) => {
        const progress = applyCancel(item.progress, nowMs);
        return progress ? [{ item, progress, replies: item.replies, dot: item.dot }] : [];
      }),
      nowMs,
    );
    return items.length - open.length;
  }

  /** Puts what is left of a message in its place. The caller knows that it is not at its dot. */
  erase({ change, ...left }: ErasedMessage, nowMs: number): void {
    this.rewriteAll([change], nowMs);
    this.messages.overwrite(change.item.id, left);
  }

  /** Ends a doubt that is held. `n` is the delivery's place in the message. */
  resolve(id: string, n: number, resolution: Resolution, nowMs: number): ResolveOutcome {
    const item = this.messages.find(id);
    if (!item?.progress.deliveries[n]) return 'not_found';
    const progress = this.isInHand(item) ? undefined : applyResolution(item.progress, n, resolution, nowMs);
    if (!progress) return 'not_in_doubt';
    this.rewrite(item, progress, nowMs);
    return 'resolved';
  }

  reschedule(id: string, scheduledAtMs: number, nowMs: number): RescheduleOutcome {
    const item = this.messages.find(id);
    if (!item) return 'not_found';
    const progress = this.isInHand(item) ? undefined : applyReschedule(item.progress, scheduledAtMs, nowMs);
    if (!progress) return 'not_scheduled';
    this.rewrite(item, progress, nowMs);
    return 'rescheduled';
  }

  /**
   * Ends open messages that were to be sent before the given time, a few at a time, and says how many. In the turn that
   * finds them: what is decided later might be about a message that the pump or the customer has taken meanwhile.
   */
  expire(startedBeforeMs: number, limit: number, nowMs: number): number {
    const overdue = this.findOverdue(startedBeforeMs, limit);
    this.rewriteAll(
      overdue.map((item) => {
        const { replies, dot } = item;
        return { item, progress: applyExpiry(item.progress, nowMs), replies, dot };
      }),
      nowMs,
    );
    return overdue.length;
  }

  /** Open messages that were to be sent before the given time, and are in nobody's hands. */
  findOverdue(startedBeforeMs: number, limit: number): LedgerItem[] {
    // What is in hand is not to crowd out the rest.
    return this.messages
      .listUnfinished(firstMessageIdAt(startedBeforeMs), startedBeforeMs, limit + this.queue.inHandCount)
      .filter((item) => !this.isInHand(item))
      .slice(0, limit);
  }

  /** Events that wait are written first: a restart looks for them above the mark. */
  saveLowWater(): void {
    this.events.flush(Date.now());
    this.queue.saveLowWater();
  }

  /** Whether the content of messages is kept when they end. What has ended before is not touched. */
  keepContent(isKept: boolean): void {
    this.keepsContent = isKept;
  }

  dropEndedContent(nowMs: number): void {
    dropEndedContent(this.db, nowMs);
  }

  sweep(nowMs: number, kept: KeptDays): void {
    const { partitions } = this.db;
    const days = partitions.daysOf('messages').length;
    sweep(this.db, kept, nowMs);
    if (partitions.daysOf('messages').length < days) this.index.forget();
  }

  /** True where there is anything left to sweep one day. */
  get hasHistory(): boolean {
    const { partitions } = this.db;
    return (['messages', 'claims', 'events'] as const).some((table) => partitions.daysOf(table).length > 0);
  }

  private rewrite(item: LedgerItem, progress: Progress, nowMs: number): void {
    const { replies, dot } = item;
    this.rewriteAll([{ item, progress, replies, dot }], nowMs);
  }

  /** Beneath the pump. */
  private rewriteAll(changes: readonly ItemChange[], nowMs: number): void {
    const written = this.db.transaction(() => {
      this.parts.count(changes.map(partChangeOf), nowMs);
      return changes.map((change) => ({ change, now: this.writeChange(change) }));
    });
    for (const { change, now } of written) {
      const { item, progress } = change;
      this.countChange(item, now);
      this.events.append(entriesOfChange(item.id, item.progress, progress, nowMs));
      this.queueOf(progress).revoke(now);
    }
  }

  private countChange(before: LedgerItem, after: LedgerItem): void {
    this.openCount += Number(isOpenPhase(after.phase)) - Number(isOpenPhase(before.phase));
  }

  private asItIs(item: LedgerItem): LedgerItem {
    return this.messages.find(item.id) ?? item;
  }

  private queueOf({ isTest }: { readonly isTest?: boolean }): WorkQueue | TestQueue {
    return isTest ? this.tests : this.queue;
  }

  private placeOfNew(message: MessageToAccept): { phase: number; dueAtMs: number | undefined } {
    const { scheduledAtMs, isTest, id } = message;
    if (isTest) return { phase: TEST, dueAtMs: scheduledAtMs ?? DUE_AT_ONCE_MS };
    if (scheduledAtMs !== undefined) return { phase: DUE, dueAtMs: scheduledAtMs };
    const phase = this.queue.phaseOfNew(id);
    return { phase, dueAtMs: phase === DUE ? DUE_AT_ONCE_MS : undefined };
  }

  private writeChange({ item, progress, replies, dot }: ItemChange): LedgerItem {
    // At the dot, the way back to the message stays as it is: a restart must find it.
    const place = dot?.pending ? item : this.placeOf(item.id, progress);
    const moved = { ...item, progress, replies, dot, phase: place.phase, dueAtMs: place.dueAtMs };
    const isEnd = moved.phase === CLOSED && (!this.keepsContent || progress.isErased === true);
    const changed = isEnd ? this.messages.dropContent(moved) : moved;
    this.queueOf(progress).reschedule(item.id, item.dueAtMs, changed.dueAtMs);
    this.messages.update(changed);
    this.index.addChange(item, changed);
    return changed;
  }

  /** Where a message that is not at its dot belongs. What is to go on at once must be found by a restart too. */
  private placeOf(id: string, progress: Progress): { phase: number; dueAtMs: number | undefined } {
    const phase = phaseOf(progress);
    const isDue = phase === DUE || phase === TEST || (phase === WAITING && this.queue.phaseOfNew(id) === DUE);
    return isDue
      ? { phase: phase === TEST ? TEST : DUE, dueAtMs: nextDueAt(progress) }
      : { phase, dueAtMs: undefined };
  }
}

function isOpenPhase(phase: number | undefined): boolean {
  return phase !== CLOSED && phase !== HELD;
}

function partChangeOf({ item, progress }: ItemChange): PartChange {
  return { before: item.progress, after: progress };
}
