/** The ledger on a real Durable Object's SQLite, without the pump. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import { advance, type DeliveryState, type Progress } from '../../src/delivery/progress.ts';
import { firstMessageIdAt, newMessageId } from '../../src/ids.ts';
import type { MessageToAccept } from '../../src/outbox/client.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const KEPT = { bodies: 7, metadata: 30, claims: 7 };

interface Books {
  readonly ledger: Ledger;
  readonly db: LedgerDatabase;
  /** The ledger as a restarted object would find it. */
  reopen(): Ledger;
}

function withLedger(work: (books: Books) => void): Promise<void> {
  const stub = env.OUTBOX.get(env.OUTBOX.newUniqueId());
  return runInDurableObject(stub, (_instance, state) => {
    const db = new LedgerDatabase(state.storage);
    work({ db, ledger: new Ledger(db), reopen: () => new Ledger(new LedgerDatabase(state.storage)) });
  });
}

function message(id = newMessageId(0)): MessageToAccept {
  return { id, recipientCount: 1, summary: new Uint8Array(50), head: [new Uint8Array(100)], attachments: [] };
}

function accept(ledger: Ledger, messages: MessageToAccept[], nowMs = Date.now(), keyHash?: string): void {
  const claim = keyHash === undefined ? {} : { claim: { keyHash, fingerprint: 'f' } };
  ledger.accept({ accountId: 'acc_x', keyId: 'key_x', messages, ...claim }, nowMs);
}

function withStatus(item: LedgerItem, status: DeliveryState['status'], nextAttemptAtMs?: number): Progress {
  const delivery = {
    status,
    attempts: 1,
    updatedAtMs: 1,
    ...(nextAttemptAtMs === undefined ? {} : { nextAttemptAtMs }),
  };
  return advance(item.progress, new Map([[0, delivery]]), []);
}

function deliver(ledger: Ledger, item: LedgerItem): void {
  const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
  const [atDot = item] = ledger.commit([
    { item, progress: withStatus(item, 'sending'), replies: undefined, dot },
  ]);
  ledger.commit([
    { item: atDot, progress: withStatus(item, 'delivered'), replies: undefined, dot: undefined },
  ]);
}

function takeAll(ledger: Ledger, nowMs = Date.now()): LedgerItem[] {
  const items: LedgerItem[] = [];
  for (let item = ledger.queue.take(nowMs); item; item = ledger.queue.take(nowMs)) items.push(item);
  return items;
}

describe('the ledger', () => {
  test('hands out the same head from memory, from its table, and after a restart', () =>
    withLedger(({ ledger, reopen }) => {
      const head = [Uint8Array.from({ length: 100 }, (_, index) => index)];
      const long = [head[0] ?? new Uint8Array(), new Uint8Array(3)];
      const messages = [
        { ...message(), head },
        { ...message(), head: long },
        { ...message(), head, attachments: [new Uint8Array(5)] },
      ];
      accept(ledger, messages);
      const restarted = reopen();
      for (const { id, head: accepted } of messages) {
        for (const table of [ledger.messages, ledger.messages, restarted.messages]) {
          const item = table.find(id);
          expect(item && table.takeHead(item)).toEqual(accepted);
        }
      }
    }));

  test('takes a message once, whether its id is the greatest there is or not, also after a restart', () =>
    withLedger(({ ledger, reopen }) => {
      const [low = '', middle = '', high = ''] = Array.from({ length: 3 }, () => newMessageId(0)).sort();
      accept(ledger, [message(middle)]);
      accept(ledger, [message(middle), message(low), message(high)]);
      accept(ledger, [message(high), message(low)]);
      const restarted = reopen();
      accept(restarted, [message(low), message(middle), message(high)]);
      expect(restarted.backlog).toBe(3);
      expect(takeAll(restarted).map((item) => item.id)).toEqual([low, middle, high]);
    }));

  test('knows the next time anything is due without asking again, whatever happened meanwhile', () =>
    withLedger(({ ledger }) => {
      const nowMs = Date.now();
      const due = () => ledger.queue.nextDueAt();
      const defer = (item: LedgerItem, atMs: number) =>
        ledger.commit([
          { item, progress: withStatus(item, 'deferred', atMs), replies: undefined, dot: undefined },
        ]);
      accept(ledger, [message(), message()]);
      expect(due()).toBeUndefined();
      const [first, second] = takeAll(ledger);
      if (!first || !second) throw new Error('two were accepted');
      defer(first, nowMs + 5_000);
      expect(due()).toBe(nowMs + 5_000);
      defer(second, nowMs + 1_000);
      expect(due()).toBe(nowMs + 1_000);
      const again = ledger.queue.take(nowMs + 2_000);
      expect(again?.id).toBe(second.id);
      expect(due()).toBe(nowMs + 5_000);
      if (again) ledger.queue.release(again);
      expect(due()).toBe(nowMs + 1_000);
      for (const item of takeAll(ledger, nowMs + 9_000)) deliver(ledger, item);
      expect(due()).toBeUndefined();
    }));

  test('hands out what it accepted in order of ids, each once', () =>
    withLedger(({ ledger }) => {
      const messages = Array.from({ length: 150 }, () => message());
      accept(ledger, messages);
      const taken = takeAll(ledger).map((item) => item.id);
      expect(taken).toEqual(messages.map(({ id }) => id).sort());
      expect(ledger.queue.take(Date.now())).toBeUndefined();
    }));

  test('accepts the same ids twice without a second message', () =>
    withLedger(({ ledger }) => {
      const messages = [message(), message()];
      accept(ledger, messages);
      accept(ledger, messages);
      expect(ledger.backlog).toBe(2);
      expect(takeAll(ledger)).toHaveLength(2);
    }));

  test('finds a message whose id comes from a slower clock, before and after a restart', () =>
    withLedger(({ ledger, reopen }) => {
      const nowMs = Date.now();
      accept(ledger, [message(newMessageId(0, nowMs))]);
      for (const item of takeAll(ledger)) deliver(ledger, item);
      ledger.queue.saveLowWater();
      const late = message(newMessageId(0, nowMs - 2_000));
      const veryLate = message(newMessageId(0, nowMs - 60_000));
      accept(ledger, [late, veryLate]);
      const restarted = reopen();
      expect(restarted.backlog).toBe(2);
      expect(
        takeAll(restarted)
          .map((item) => item.id)
          .sort(),
      ).toEqual([veryLate.id, late.id]);
      expect(takeAll(ledger)).toHaveLength(2);
    }));

  test('finds everything open again after a restart at any point', () =>
    withLedger(({ ledger, reopen }) => {
      const nowMs = Date.now();
      const messages = Array.from({ length: 10 }, () => message());
      accept(ledger, messages);
      const items = takeAll(ledger);
      for (const item of items.slice(0, 4)) deliver(ledger, item);
      const [, , , , atDot, deferred] = items;
      if (!atDot || !deferred) throw new Error('ten were accepted');
      const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
      ledger.commit([{ item: atDot, progress: withStatus(atDot, 'sending'), replies: undefined, dot }]);
      const progress = withStatus(deferred, 'deferred', nowMs + 5_000);
      ledger.commit([{ item: deferred, progress, replies: undefined, dot: undefined }]);
      ledger.queue.saveLowWater();

      const restarted = reopen();
      expect(restarted.backlog).toBe(6);
      const found = takeAll(restarted, nowMs);
      expect(found.map((item) => item.id).sort()).toEqual(
        [atDot.id, ...items.slice(6).map((item) => item.id)].sort(),
      );
      expect(found.find((item) => item.id === atDot.id)?.dot).toEqual(dot);
      expect(restarted.queue.nextDueAt()).toBe(nowMs + 5_000);
      expect(takeAll(restarted, nowMs + 5_000).map((item) => item.id)).toEqual([deferred.id]);
    }));

  test('gives a released message out again', () =>
    withLedger(({ ledger }) => {
      accept(ledger, [message()]);
      const item = ledger.queue.take(Date.now());
      if (!item) throw new Error('one was accepted');
      expect(ledger.queue.take(Date.now())).toBeUndefined();
      ledger.queue.release(item);
      expect(ledger.queue.take(Date.now())?.id).toBe(item.id);
    }));

  test('counts the backlog down as messages end, and not for those that are held', () =>
    withLedger(({ ledger, reopen }) => {
      accept(ledger, [message(), message(), message()]);
      const [one, two] = takeAll(ledger);
      if (!one || !two) throw new Error('three were accepted');
      deliver(ledger, one);
      ledger.commit([
        { item: two, progress: withStatus(two, 'in_doubt'), replies: undefined, dot: undefined },
      ]);
      expect(ledger.backlog).toBe(1);
      ledger.queue.saveLowWater();
      expect(reopen().backlog).toBe(1);
    }));

  test('writes at most five rows for a message with an idempotency key, and none to remove it', () =>
    withLedger(({ ledger, db }) => {
      accept(ledger, [message()], Date.now(), 'first of the day');
      for (const item of takeAll(ledger)) deliver(ledger, item);
      const before = db.rowsWritten;
      for (let index = 0; index < 20; index++) {
        accept(ledger, [message()], Date.now(), `key ${index}`);
        for (const item of takeAll(ledger)) deliver(ledger, item);
      }
      ledger.sweep(Date.now() + 40 * DAY_MS, KEPT);
      expect((db.rowsWritten - before) / 20).toBeLessThanOrEqual(5);
      expect(ledger.list({ limit: 10 }, Date.now()).messages).toEqual([]);
    }));
});

describe('a claim', () => {
  test('is known for seven days, and then the key is free again', () =>
    withLedger(({ ledger }) => {
      const nowMs = Date.now();
      const accepted = message();
      accept(ledger, [accepted], nowMs, 'key');
      const at = (ms: number, fingerprint = 'f') =>
        ledger.findClaim({ keyHash: 'key', fingerprint }, { nowMs: ms, keptForDays: 7 });
      expect(at(nowMs)).toEqual({ kind: 'same', ids: [accepted.id] });
      expect(at(nowMs + 7 * DAY_MS - 1)).toEqual({ kind: 'same', ids: [accepted.id] });
      expect(at(nowMs + 7 * DAY_MS - 1, 'other')).toMatchObject({ kind: 'different' });
      expect(at(nowMs + 7 * DAY_MS)).toEqual({ kind: 'new' });
    }));

  test('is rolled back with its messages', () =>
    withLedger(({ ledger }) => {
      const tooOld = message(newMessageId(0, Date.now() - 3 * DAY_MS));
      expect(() => accept(ledger, [message(), tooOld], Date.now(), 'key')).toThrow('far off the clock');
      expect(
        ledger.findClaim({ keyHash: 'key', fingerprint: 'f' }, { nowMs: Date.now(), keptForDays: 7 }),
      ).toEqual({ kind: 'new' });
      expect(ledger.list({ limit: 10 }, Date.now()).messages).toEqual([]);
      accept(ledger, [message()], Date.now(), 'key');
      expect(ledger.list({ limit: 10 }, Date.now()).messages).toHaveLength(1);
    }));
});

describe('retention', () => {
  test('drops bodies after seven days and metadata after thirty', () =>
    withLedger(({ ledger }) => {
      const nowMs = Date.now();
      const accepted = message();
      accept(ledger, [accepted], nowMs);
      for (const item of takeAll(ledger)) deliver(ledger, item);
      expect(ledger.messages.findHead(accepted.id)).toHaveLength(1);
      ledger.sweep(nowMs + 8 * DAY_MS, KEPT);
      expect(ledger.messages.findHead(accepted.id)).toBeUndefined();
      expect(ledger.messages.findPublic(accepted.id)?.id).toBe(accepted.id);
      ledger.sweep(nowMs + 31 * DAY_MS, KEPT);
      expect(ledger.messages.findPublic(accepted.id)).toBeUndefined();
      expect(ledger.hasHistory).toBe(false);
    }));

  test('keeps a day on which anything is still open', () =>
    withLedger(({ ledger }) => {
      const nowMs = Date.now();
      const accepted = message();
      accept(ledger, [accepted], nowMs);
      ledger.sweep(nowMs + 40 * DAY_MS, KEPT);
      expect(ledger.messages.findHead(accepted.id)).toHaveLength(1);
      expect(takeAll(ledger)).toHaveLength(1);
    }));

  test('lists what is overdue, a few at a time', () =>
    withLedger(({ ledger }) => {
      const nowMs = Date.now();
      accept(ledger, [
        message(newMessageId(0, nowMs - 5_000)),
        message(newMessageId(0, nowMs - 4_000)),
        message(),
      ]);
      expect(ledger.findOverdue(nowMs - 1_000, 10)).toHaveLength(2);
      expect(ledger.findOverdue(nowMs - 1_000, 1)).toHaveLength(1);
      expect(ledger.findOverdue(nowMs - 10_000, 10)).toHaveLength(0);
    }));

  test('ends what is overdue, but not what the pump has in hand', () =>
    withLedger(({ ledger }) => {
      const nowMs = Date.now();
      const ids = [5_000, 4_000, 3_000].map((ageMs) => newMessageId(0, nowMs - ageMs));
      accept(
        ledger,
        ids.map((id) => message(id)),
      );
      const inHand = ledger.queue.take(nowMs);
      expect(ledger.expire(nowMs - 3_500, 10, nowMs)).toBe(1);
      expect(ledger.backlog).toBe(2);
      const statuses = ids.map((id) => ledger.messages.find(id)?.progress.deliveries[0]?.status);
      expect([inHand?.id, statuses]).toEqual([ids[0], ['queued', 'expired', 'queued']]);
      expect(ledger.expire(nowMs - 3_500, 10, nowMs)).toBe(0);
    }));
});

describe('a listing', () => {
  test('crosses from one day to the next', () =>
    withLedger(({ ledger }) => {
      const midnight = Math.floor(Date.now() / DAY_MS) * DAY_MS;
      const ids = [-2, -1, 1, 2].map((minutes) => newMessageId(0, midnight + minutes * 60_000));
      for (const id of ids) accept(ledger, [message(id)], midnight);
      const newestFirst = [...ids].reverse();
      const listed = (page: Parameters<Ledger['list']>[0]) => {
        const found = ledger.list(page, Date.now());
        return { ids: found.messages.map((item) => item.id), hasMore: found.hasMore };
      };
      expect(listed({ limit: 3 })).toEqual({ ids: newestFirst.slice(0, 3), hasMore: true });
      expect(listed({ limit: 3, after: newestFirst[0] ?? '' })).toEqual({
        ids: newestFirst.slice(1),
        hasMore: false,
      });
      expect(listed({ limit: 2, before: newestFirst[3] ?? '' })).toEqual({
        ids: newestFirst.slice(1, 3),
        hasMore: true,
      });
      expect(listed({ limit: 2, after: firstMessageIdAt(midnight) })).toEqual({
        ids: newestFirst.slice(2),
        hasMore: false,
      });
    }));
});
