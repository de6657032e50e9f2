/** The log of events on a real Durable Object's SQLite: rows, places, and what a crash leaves. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import { advance, type TimelineEventType } from '../../src/delivery/progress.ts';
import { newMessageId } from '../../src/ids.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';
import { wireTypeOf } from '../../src/outbox/webhooks/event-entry.ts';
import { OLDEST, positionAt } from '../../src/outbox/webhooks/event-id.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

function withLedger(work: (books: { ledger: Ledger; db: LedgerDatabase; reopen: () => Ledger }) => void) {
  const stub = env.OUTBOX.get(env.OUTBOX.newUniqueId());
  return runInDurableObject(stub, (_instance, state) => {
    const db = new LedgerDatabase(state.storage);
    work({ db, ledger: new Ledger(db), reopen: () => new Ledger(new LedgerDatabase(state.storage)) });
  });
}

function accepted(ledger: Ledger, count: number): LedgerItem[] {
  const messages = Array.from({ length: count }, () => ({
    id: newMessageId(0),
    recipientCount: 1,
    summary: new Uint8Array(9),
    head: [],
    attachments: [],
  }));
  ledger.accept({ accountId: 'acc_x', keyId: 'key_x', messages }, Date.now());
  return messages.map(() => ledger.queue.take(Date.now())).filter((item) => item !== undefined);
}

function settle(
  ledger: Ledger,
  item: LedgerItem,
  type: TimelineEventType,
  nextAttemptAtMs?: number,
): LedgerItem {
  const status = nextAttemptAtMs === undefined ? ('delivered' as const) : ('deferred' as const);
  const delivery = { status, attempts: 1, updatedAtMs: 1, ...(nextAttemptAtMs && { nextAttemptAtMs }) };
  const progress = advance(item.progress, new Map([[0, delivery]]), [{ type, atMs: Date.now() }]);
  return ledger.commit([{ item, progress, replies: undefined, dot: undefined }])[0] ?? item;
}

const told = (ledger: Ledger) =>
  ledger.events
    .read(OLDEST, 1000)
    .entries.map(({ entry }) => ('m' in entry ? `${entry.m} ${wireTypeOf(entry)}` : ''));

describe('events of finished messages', () => {
  test('may wait for a row that they share', () =>
    withLedger(({ ledger, db }) => {
      const items = accepted(ledger, 5);
      for (const item of items) settle(ledger, item, 'delivered');
      expect([ledger.events.hasPending, ledger.events.mustFlush]).toEqual([true, false]);
      const before = db.rowsWritten;
      ledger.events.flush(Date.now());
      expect(db.rowsWritten - before).toBeLessThanOrEqual(2);
      expect(told(ledger)).toEqual(items.flatMap(({ id }) => [`${id} email.sent`, `${id} email.delivered`]));
    }));

  test('are found again by a restart, each once, in whatever part they were written', () =>
    withLedger(({ ledger, reopen }) => {
      const items = accepted(ledger, 6);
      for (const item of items.slice(0, 3)) settle(ledger, item, 'delivered');
      ledger.events.flush(Date.now());
      for (const item of items.slice(3)) settle(ledger, item, 'delivered');
      const expected = items.flatMap(({ id }) => [`${id} email.sent`, `${id} email.delivered`]);
      expect(told(ledger)).toEqual(expected.slice(0, 6));
      expect(told(reopen())).toEqual(expected);
      expect(told(reopen())).toEqual(expected);
    }));

  test('are written before the mark that a restart looks from', () =>
    withLedger(({ ledger, reopen }) => {
      const [item] = accepted(ledger, 1);
      if (!item) throw new Error('no message');
      settle(ledger, item, 'delivered');
      ledger.saveLowWater();
      expect(ledger.events.hasPending).toBe(false);
      expect(told(reopen())).toEqual([`${item.id} email.sent`, `${item.id} email.delivered`]);
    }));
});

test('events of messages that go on must be written in the same turn', () =>
  withLedger(({ ledger }) => {
    const [item] = accepted(ledger, 1);
    if (!item) throw new Error('no message');
    settle(ledger, item, 'delivery_delayed', Date.now() + 1000);
    expect(ledger.events.mustFlush).toBe(true);
  }));

describe('the log', () => {
  const entry = (n: number) => ({ m: `msg_${n}`, t: 'sent', a: n });

  test('is read from any place on, in its order, a few rows at a time', () =>
    withLedger(({ ledger: { events } }) => {
      const startMs = Date.now();
      for (let row = 0; row < 4; row++) {
        events.append([entry(2 * row), entry(2 * row + 1)]);
        // The clock may stand still, or go back.
        events.flush(startMs - row);
      }
      const all = events.read(OLDEST, 100);
      expect(all.entries.map(({ entry: { a } }) => a)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(all.hasMore).toBe(false);
      for (const [index, place] of all.entries.entries()) {
        expect(events.read(place, 100).entries).toEqual(all.entries.slice(index + 1));
        expect(events.find(place)).toEqual(place.entry);
      }
      const first = events.read(OLDEST, 1);
      expect([first.entries.length, first.hasMore]).toEqual([2, true]);
      expect(events.read(first.position, 100).entries).toEqual(all.entries.slice(2));
      expect(events.read(events.head, 100).entries).toEqual([]);
    }));

  test('is cut by day, dropped by retention, and never gives a number twice', () =>
    withLedger(({ ledger, reopen }) => {
      const nowMs = Date.now();
      const { events } = ledger;
      for (const daysAgo of [40, 20, 0]) {
        events.append([entry(daysAgo)]);
        events.flush(nowMs - daysAgo * DAY_MS);
      }
      expect(events.read(positionAt(nowMs - 25 * DAY_MS), 9).entries.map(({ entry: { a } }) => a)).toEqual([
        20, 0,
      ]);
      ledger.sweep(nowMs, { bodies: 7, metadata: 30, claims: 7 });
      expect(events.read(OLDEST, 9).entries.map(({ entry: { a } }) => a)).toEqual([20, 0]);
      const { seq } = events.head;
      ledger.sweep(nowMs + 100 * DAY_MS, { bodies: 7, metadata: 30, claims: 7 });
      expect(ledger.hasHistory).toBe(false);
      const later = reopen().events;
      later.append([entry(1)]);
      later.flush(nowMs + 1);
      expect(later.head.seq).toBeGreaterThan(seq);
    }));
});
