/** Scheduled, canceled and test mail on a real Durable Object's SQLite, without the pump. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import { advance } from '../../src/delivery/progress.ts';
import { newMessageId } from '../../src/ids.ts';
import type { MessageToAccept } from '../../src/outbox/client.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const KEPT = { bodies: 7, metadata: 30, claims: 7 };
const nowMs = Date.now();

function withLedger(work: (ledger: Ledger, reopen: () => Ledger, db: LedgerDatabase) => void): Promise<void> {
  const stub = env.OUTBOX.get(env.OUTBOX.newUniqueId());
  return runInDurableObject(stub, (_instance, state) => {
    const db = new LedgerDatabase(state.storage);
    work(new Ledger(db), () => new Ledger(new LedgerDatabase(state.storage)), db);
  });
}

function message(as: Partial<MessageToAccept> = {}): MessageToAccept {
  const pieces = {
    summary: new Uint8Array(50),
    head: [new Uint8Array(100)],
    attachments: [new Uint8Array(9)],
  };
  return { id: newMessageId(0, nowMs), recipientCount: 1, ...pieces, ...as };
}

function accept(ledger: Ledger, messages: MessageToAccept[]): void {
  ledger.accept({ accountId: 'acc_x', keyId: 'key_x', messages }, nowMs);
}

/** As the pump does once a 250 was read. */
function deliver(ledger: Ledger, item: LedgerItem, atMs = nowMs): LedgerItem | undefined {
  const change = (status: 'sending' | 'delivered') =>
    advance(item.progress, new Map([[0, { status, attempts: 1, updatedAtMs: atMs }]]), []);
  const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
  const [atDot] = ledger.commit([{ item, progress: change('sending'), replies: undefined, dot }]);
  if (!atDot?.dot?.pending) return atDot;
  return ledger.commit([
    { item: atDot, progress: change('delivered'), replies: undefined, dot: undefined },
  ])[0];
}

const statusOf = (ledger: Ledger, id: string) => ledger.messages.findPublic(id)?.deliveries[0]?.status;

describe('a scheduled message', () => {
  test('is taken at its time and not before, also after a restart', () =>
    withLedger((ledger, reopen) => {
      const scheduledAtMs = nowMs + DAY_MS;
      const later = message({ scheduledAtMs });
      const atOnce = message();
      accept(ledger, [later, atOnce]);
      expect(statusOf(ledger, later.id)).toBe('scheduled');
      expect(ledger.queue.take(nowMs)?.id).toBe(atOnce.id);
      expect(ledger.queue.take(nowMs)).toBeUndefined();
      expect(ledger.backlog).toBe(2);
      for (const book of [ledger, reopen()]) {
        expect(book.queue.nextDueAt()).toBe(scheduledAtMs);
        const item = book.queue.take(scheduledAtMs);
        expect(item?.id).toBe(later.id);
        if (item) book.queue.release(item);
      }
    }));

  test('whose time has come waits in the queue, to whoever asks for it and in every list', () =>
    withLedger((ledger) => {
      const scheduledAtMs = nowMs + DAY_MS;
      accept(ledger, [message({ scheduledAtMs }), message({ scheduledAtMs })]);
      const listedAt = (atMs: number) =>
        ledger.list({ limit: 10 }, atMs).messages.map(({ deliveries }) => deliveries[0]?.status);
      expect(listedAt(scheduledAtMs - 1)).toEqual(['scheduled', 'scheduled']);
      expect(listedAt(scheduledAtMs)).toEqual(['queued', 'queued']);
    }));

  test('counts its time to expiry from when it was to be sent', () =>
    withLedger((ledger) => {
      accept(ledger, [message({ scheduledAtMs: nowMs + 20 * DAY_MS })]);
      expect(ledger.findOverdue(nowMs + 10 * DAY_MS, 10)).toEqual([]);
      expect(ledger.findOverdue(nowMs + 21 * DAY_MS, 10)).toHaveLength(1);
    }));

  test('keeps its body until it is sent and for its retention after that, and nobody else’s', () =>
    withLedger((ledger, _reopen, db) => {
      const scheduledAtMs = nowMs + 20 * DAY_MS;
      const later = message({ scheduledAtMs });
      const others = Array.from({ length: 5 }, () => message());
      accept(ledger, [later, ...others]);
      for (let item = ledger.queue.take(nowMs); item; item = ledger.queue.take(nowMs)) deliver(ledger, item);
      const hasBody = ({ id }: MessageToAccept) => ledger.messages.findHead(id) !== undefined;
      ledger.sweep(nowMs + 7 * DAY_MS, KEPT);
      expect([later, ...others].map(hasBody)).toEqual([true, true, true, true, true, true]);
      ledger.sweep(nowMs + 8 * DAY_MS, KEPT);
      expect([later, ...others].map(hasBody)).toEqual([true, false, false, false, false, false]);
      // A sweep with nothing to do writes nothing.
      const before = db.rowsWritten;
      ledger.sweep(nowMs + 9 * DAY_MS, KEPT);
      expect(db.rowsWritten).toBe(before);
      const item = ledger.queue.take(scheduledAtMs);
      expect(item && ledger.messages.readPiece(item, 'attachments', 0)).toHaveLength(9);
      if (item) deliver(ledger, item, scheduledAtMs);
      ledger.sweep(nowMs + 27 * DAY_MS, KEPT);
      expect(hasBody(later)).toBe(true);
      ledger.sweep(nowMs + 28 * DAY_MS, KEPT);
      expect(hasBody(later)).toBe(false);
      ledger.sweep(nowMs + 31 * DAY_MS, KEPT);
      expect([later, ...others].map(({ id }) => statusOf(ledger, id))).toEqual([
        'delivered',
        ...Array(5).fill(undefined),
      ]);
      ledger.sweep(nowMs + 51 * DAY_MS, KEPT);
      expect(ledger.hasHistory).toBe(false);
    }));

  test('gives up single rows where most of a day is still to be sent', () =>
    withLedger((ledger) => {
      const kept = Array.from({ length: 5 }, () => message({ scheduledAtMs: nowMs + 20 * DAY_MS }));
      const gone = message();
      accept(ledger, [gone, ...kept]);
      const item = ledger.queue.take(nowMs);
      if (item) deliver(ledger, item);
      ledger.sweep(nowMs + 8 * DAY_MS, KEPT);
      expect(ledger.messages.findHead(gone.id)).toBeUndefined();
      for (const { id } of kept) expect(ledger.messages.findHead(id)).toHaveLength(1);
    }));

  test('moves to another time while it waits, and not once it is taken', () =>
    withLedger((ledger) => {
      const later = message({ scheduledAtMs: nowMs + DAY_MS });
      accept(ledger, [later]);
      expect(ledger.reschedule(later.id, nowMs + 1000, nowMs)).toBe('rescheduled');
      expect(ledger.queue.nextDueAt()).toBe(nowMs + 1000);
      expect(ledger.reschedule(later.id, nowMs - 1000, nowMs)).toBe('rescheduled');
      const item = ledger.queue.take(nowMs);
      expect(item?.progress.scheduledAtMs).toBe(nowMs);
      expect(ledger.reschedule(later.id, nowMs + DAY_MS, nowMs)).toBe('not_scheduled');
      expect(ledger.reschedule(newMessageId(0), nowMs, nowMs)).toBe('not_found');
    }));
});

describe('a cancel', () => {
  test('of a message that waits is final, also after a restart', () =>
    withLedger((ledger, reopen) => {
      const messages = [message(), message({ scheduledAtMs: nowMs + DAY_MS })];
      accept(ledger, messages);
      for (const { id } of messages) expect(ledger.cancel(id, nowMs)).toBe('canceled');
      for (const book of [ledger, reopen()]) {
        expect(book.queue.take(nowMs + 2 * DAY_MS)).toBeUndefined();
        expect(book.queue.nextDueAt()).toBeUndefined();
        expect(book.backlog).toBe(0);
        for (const { id } of messages) expect(statusOf(book, id)).toBe('canceled');
      }
    }));

  test('of a message in hand makes whatever is decided about it too late', () =>
    withLedger((ledger, reopen) => {
      const accepted = message();
      accept(ledger, [accepted]);
      const item = ledger.queue.take(nowMs);
      if (!item) throw new Error('nothing was taken');
      expect(ledger.cancel(accepted.id, nowMs)).toBe('canceled');
      expect(ledger.queue.isRevoked(accepted.id)).toBe(true);
      expect(deliver(ledger, item)?.dot).toBeUndefined();
      expect(ledger.queue.isInHand(accepted.id)).toBe(false);
      expect([statusOf(ledger, accepted.id), ledger.backlog]).toEqual(['canceled', 0]);
      expect([statusOf(reopen(), accepted.id), reopen().backlog]).toEqual(['canceled', 0]);
    }));

  test('of a message in hand that is given back leaves nothing to take', () =>
    withLedger((ledger) => {
      const accepted = message();
      accept(ledger, [accepted]);
      const item = ledger.queue.take(nowMs);
      ledger.cancel(accepted.id, nowMs);
      if (item) ledger.queue.release(item);
      expect(ledger.queue.take(nowMs)).toBeUndefined();
      expect(ledger.queue.isRevoked(accepted.id)).toBe(false);
    }));

  test('is refused from the record of the dot on', () =>
    withLedger((ledger) => {
      const accepted = message();
      accept(ledger, [accepted]);
      const item = ledger.queue.take(nowMs);
      if (!item) throw new Error('nothing was taken');
      const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
      const [atDot = item] = ledger.commit([{ item, progress: item.progress, replies: undefined, dot }]);
      expect(ledger.cancel(accepted.id, nowMs)).toBe('at_dot');
      deliver(ledger, atDot);
      expect(ledger.cancel(accepted.id, nowMs)).toBe('ended');
      expect(ledger.cancel(newMessageId(0), nowMs)).toBe('not_found');
    }));
});

describe('mail of a test key', () => {
  test('is out of sight of the pump, and found again after a restart', () =>
    withLedger((ledger, reopen) => {
      const test = message({ isTest: true });
      accept(ledger, [test]);
      for (const book of [ledger, reopen()]) {
        expect(book.queue.take(nowMs + 40 * DAY_MS)).toBeUndefined();
        expect(book.queue.hasWork(nowMs + 40 * DAY_MS)).toBe(false);
        expect(book.backlog).toBe(1);
        const item = book.tests.take(nowMs);
        expect(item?.id).toBe(test.id);
        if (item) book.tests.release(item);
      }
      const item = ledger.tests.take(nowMs);
      if (item) deliver(ledger, item);
      expect([statusOf(ledger, test.id), ledger.backlog]).toEqual(['delivered', 0]);
    }));

  test('can be canceled', () =>
    withLedger((ledger) => {
      const test = message({ isTest: true, scheduledAtMs: nowMs + DAY_MS });
      accept(ledger, [test]);
      expect(ledger.cancel(test.id, nowMs)).toBe('canceled');
      expect(ledger.tests.take(nowMs + 2 * DAY_MS)).toBeUndefined();
    }));
});
