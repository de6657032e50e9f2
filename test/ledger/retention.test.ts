/** What an account keeps: content that goes with the end of its message, and days that are shorter than others'. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import { advance, type DeliveryState, type Progress } from '../../src/delivery/progress.ts';
import { newMessageId } from '../../src/ids.ts';
import type { MessageToAccept } from '../../src/outbox/client.ts';
import { fenceIds, findClaimedIds } from '../../src/outbox/ledger/claims.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';
import { RetentionKeeper } from '../../src/outbox/retention-keeper.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const SETTINGS = { BODY_RETENTION_DAYS: 7, METADATA_RETENTION_DAYS: 30, IDEMPOTENCY_DAYS: 7 };
const AT_ONCE = { bodyDays: 0, metadataDays: 30 };

interface Books {
  readonly ledger: Ledger;
  readonly db: LedgerDatabase;
  readonly keeper: RetentionKeeper;
  /** As a restarted object would find it. */
  reopen(): Omit<Books, 'reopen'>;
}

function withBooks(work: (books: Books) => void): Promise<void> {
  const stub = env.OUTBOX.get(env.OUTBOX.newUniqueId());
  return runInDurableObject(stub, (_instance, state) => {
    const open = () => {
      const db = new LedgerDatabase(state.storage);
      const ledger = new Ledger(db);
      return { db, ledger, keeper: new RetentionKeeper(db, ledger, SETTINGS) };
    };
    work({ ...open(), reopen: open });
  });
}

let lastMs = 0;

/** In the order in which they are taken. */
function nextId(): string {
  lastMs = Math.max(lastMs + 1, Date.now());
  return newMessageId(0, lastMs);
}

function message(given: Partial<MessageToAccept> = {}): MessageToAccept {
  return {
    id: nextId(),
    recipientCount: 1,
    summary: new Uint8Array(50),
    head: [new Uint8Array(100)],
    attachments: [],
    ...given,
  };
}

function accept(ledger: Ledger, messages: MessageToAccept[], nowMs = Date.now()): void {
  ledger.accept({ accountId: 'acc_x', keyId: 'key_x', messages }, nowMs);
}

function take(ledger: Ledger): LedgerItem {
  const item = ledger.queue.take(Date.now());
  if (!item) throw new Error('nothing waits');
  return item;
}

function withStatus(
  item: LedgerItem,
  statuses: readonly DeliveryState['status'][],
  nextAttemptAtMs?: number,
): Progress {
  const deliveries = statuses.map((status, index): [number, DeliveryState] => [
    index,
    {
      status,
      attempts: 1,
      updatedAtMs: 1,
      ...(status === 'deferred' && nextAttemptAtMs !== undefined && { nextAttemptAtMs }),
    },
  ]);
  return advance(item.progress, new Map(deliveries), []);
}

function settle(ledger: Ledger, item: LedgerItem, ...statuses: DeliveryState['status'][]): LedgerItem {
  const progress = withStatus(item, statuses, Date.now() + DAY_MS);
  const [written] = ledger.commit([{ item, progress, replies: undefined, dot: undefined }]);
  if (!written) throw new Error('a change was not written');
  return written;
}

function rowsIn(db: LedgerDatabase, table: 'contents' | 'events' | 'deliveries' | 'messages'): number {
  return db.partitions
    .daysOf(table)
    .map((day) => db.first<{ n: number }>(`SELECT count(*) AS n FROM ${table}_${day}`)?.n ?? 0)
    .reduce((sum, n) => sum + n, 0);
}

describe('where content goes with the end of its message', () => {
  test('it is there until the last recipient is final, and not after that, for a row written more', () =>
    withBooks(({ ledger, db, keeper, reopen }) => {
      keeper.learn(AT_ONCE);
      const both = message({ recipientCount: 2 });
      accept(ledger, [both]);
      const waits = settle(ledger, take(ledger), 'delivered', 'deferred');
      expect(ledger.messages.findHead(both.id)).toHaveLength(1);
      expect(reopen().ledger.messages.findHead(both.id)).toHaveLength(1);
      const before = db.rowsWritten;
      settle(ledger, waits, 'delivered', 'failed');
      expect(rowsIn(db, 'contents')).toBe(0);
      // The verdict, its row in `due`, and the content.
      expect(db.rowsWritten - before).toBe(3);
      for (const books of [ledger, reopen().ledger]) {
        expect(books.messages.findHead(both.id)).toBeUndefined();
        expect(books.messages.findAttachmentPiece(both.id, 0)).toBeUndefined();
        expect(books.messages.findPublic(both.id)?.deliveries.map(({ status }) => status)).toEqual([
          'delivered',
          'failed',
        ]);
      }
    }));

  test('of many pieces all go, also those that were staged, and never those of another message', () =>
    withBooks(({ ledger, db, keeper }) => {
      keeper.learn(AT_ONCE);
      const piece = new Uint8Array(9);
      const staged = message({ stagedPieces: 2 });
      for (const index of [0, 1]) ledger.messages.staging.put({ id: staged.id, index, piece }, Date.now());
      const upload = newMessageId(0);
      ledger.messages.staging.put({ id: upload, index: 0, piece }, Date.now());
      const large = message({ attachments: [piece, piece, piece] });
      const other = message();
      accept(ledger, [staged, large, other]);
      for (const gone of [staged, large]) {
        const item = take(ledger);
        expect(item.id).toBe(gone.id);
        settle(ledger, item, 'delivered');
      }
      expect(ledger.messages.findHead(staged.id)).toBeUndefined();
      expect(ledger.messages.findAttachmentPiece(large.id, 0)).toBeUndefined();
      expect(ledger.messages.findHead(other.id)).toHaveLength(1);
      expect(ledger.messages.staging.read(upload, 0)).toHaveLength(9);
      // One of the other message, one that is uploaded, and the one that staging keeps for its numbers.
      expect(rowsIn(db, 'contents')).toBe(3);
      settle(ledger, take(ledger), 'failed');
      // The numbers begin anew: who is gone must not be given what came after.
      const next = message();
      accept(ledger, [next]);
      expect(ledger.messages.findHead(other.id)).toBeUndefined();
      expect(ledger.messages.findHead(next.id)).toHaveLength(1);
    }));

  test.each([
    [AT_ONCE, 5],
    [{ bodyDays: 7, metadataDays: 30 }, 4],
  ])('with %j a message of one piece costs %i rows', (kept, rows) =>
    withBooks(({ ledger, db, keeper }) => {
      keeper.learn(kept);
      // Tables and the log of events cost rows of their own.
      accept(ledger, [message()]);
      settle(ledger, take(ledger), 'delivered');
      const before = db.rowsWritten;
      accept(ledger, [message()]);
      const item = take(ledger);
      const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
      const progress = withStatus(item, ['sending']);
      const [atDot = item] = ledger.commit([{ item, progress, replies: undefined, dot }]);
      settle(ledger, atDot, 'delivered');
      expect(db.rowsWritten - before).toBe(rows);
    }),
  );

  test('a doubt that is held keeps it, and its end does not', () =>
    withBooks(({ ledger, keeper }) => {
      keeper.learn(AT_ONCE);
      const { id } = message();
      accept(ledger, [message({ id })]);
      const held = settle(ledger, take(ledger), 'in_doubt');
      expect(ledger.messages.findHead(id)).toHaveLength(1);
      settle(ledger, held, 'delivered');
      expect(ledger.messages.findHead(id)).toBeUndefined();
    }));

  test('scheduled mail keeps it, and canceled mail does not, whether or not the pump has it in hand', () =>
    withBooks(({ ledger, db, keeper }) => {
      keeper.learn(AT_ONCE);
      const later = message({ scheduledAtMs: Date.now() + 3 * DAY_MS });
      const inHand = message();
      accept(ledger, [later, inHand]);
      const item = take(ledger);
      keeper.sweep(Date.now() + 2 * DAY_MS);
      expect(ledger.messages.findHead(later.id)).toHaveLength(1);
      for (const { id } of [later, inHand]) {
        expect(ledger.cancel(id, Date.now())).toBe('canceled');
        expect(ledger.messages.findHead(id)).toBeUndefined();
      }
      // What the pump made of it meanwhile changes nothing any more.
      settle(ledger, item, 'delivered');
      expect(ledger.messages.findPublic(inHand.id)?.deliveries[0]?.status).toBe('canceled');
      expect(rowsIn(db, 'contents')).toBe(0);
    }));

  test('a crash in the commit leaves message and content as they were', () =>
    withBooks(({ ledger, keeper, reopen }) => {
      keeper.learn(AT_ONCE);
      const messages = [message(), message()];
      accept(ledger, messages);
      const items = [take(ledger), take(ledger)];
      const [done, broken] = items.map((item) => withStatus(item, ['delivered']));
      const commit = () =>
        ledger.commit(
          [done, { ...broken, timeline: [1n] } as unknown as Progress].flatMap((progress, index) => {
            const item = items[index];
            return item && progress ? [{ item, progress, replies: undefined, dot: undefined }] : [];
          }),
        );
      expect(commit).toThrow('BigInt');
      const { ledger: restarted } = reopen();
      expect(messages.map(({ id }) => restarted.messages.findHead(id)?.length)).toEqual([1, 1]);
      for (const _ of messages) settle(restarted, take(restarted), 'delivered');
      expect(messages.map(({ id }) => restarted.messages.findHead(id))).toEqual([undefined, undefined]);
    }));

  test('that is remembered by an object that cannot ask', () =>
    withBooks(({ keeper, reopen }) => {
      keeper.learn(AT_ONCE);
      const { ledger } = reopen();
      const { id } = message();
      accept(ledger, [message({ id })]);
      settle(ledger, take(ledger), 'delivered');
      expect(ledger.messages.findHead(id)).toBeUndefined();
    }));
});

describe('a change', () => {
  test('to none takes the content of what has ended at once, and of nothing else, and is written once', () =>
    withBooks(({ ledger, db, keeper, reopen }) => {
      const piece = new Uint8Array(9);
      const ended = [message(), message({ attachments: [piece] })];
      const open = message();
      const upload = newMessageId(0);
      accept(ledger, [...ended, open]);
      ledger.messages.staging.put({ id: upload, index: 0, piece }, Date.now());
      for (const _ of ended) settle(ledger, take(ledger), 'delivered');
      keeper.learn({ bodyDays: 7, metadataDays: 30 });
      expect(ended.map(({ id }) => ledger.messages.findHead(id)?.length)).toEqual([1, 1]);
      keeper.learn(AT_ONCE);
      for (const { messages } of [ledger, reopen().ledger]) {
        expect(ended.map(({ id }) => messages.findHead(id))).toEqual([undefined, undefined]);
        expect(messages.findHead(open.id)).toHaveLength(1);
        expect(messages.staging.read(upload, 0)).toHaveLength(9);
      }
      const before = db.rowsWritten;
      keeper.learn(AT_ONCE);
      reopen().keeper.learn(AT_ONCE);
      expect(db.rowsWritten).toBe(before);
    }));

  test('to fewer days is swept by at once', () =>
    withBooks(({ ledger, db, keeper }) => {
      const longAgo = Date.now() - 4 * DAY_MS;
      const old = message({ id: newMessageId(0, longAgo) });
      accept(ledger, [old], longAgo);
      settle(ledger, take(ledger), 'delivered');
      keeper.learn({ bodyDays: 3, metadataDays: 30 });
      expect(ledger.messages.findHead(old.id)).toBeUndefined();
      expect(ledger.messages.findPublic(old.id)?.id).toBe(old.id);
      ledger.events.append([{ m: old.id, t: 'sent', a: longAgo }]);
      ledger.events.flush(longAgo);
      const events = rowsIn(db, 'events');
      keeper.learn({ bodyDays: 1, metadataDays: 3 });
      expect(ledger.messages.findPublic(old.id)).toBeUndefined();
      expect(rowsIn(db, 'messages')).toBe(0);
      expect(rowsIn(db, 'events')).toBe(events - 1);
    }));
});

test('ids that were claimed for messages which are past their retention are never taken for new ones', () =>
  withBooks(({ ledger, db, keeper, reopen }) => {
    const longAgo = Date.now() - 4 * DAY_MS;
    const old = message({ id: newMessageId(0, longAgo) });
    accept(ledger, [old], longAgo);
    settle(ledger, take(ledger), 'delivered');
    const never = newMessageId(0, Date.now() - 2 * DAY_MS);
    keeper.learn({ bodyDays: 1, metadataDays: 3 });
    // Longer again: what is gone stays gone.
    keeper.learn({ bodyDays: 7, metadataDays: 30 });
    for (const books of [{ ledger, db }, reopen()]) {
      const claimed = (id: string) =>
        findClaimedIds(books.db, books.ledger.messages, { ids: [id], nowMs: Date.now() });
      expect(claimed(old.id)).toEqual({ kind: 'same', ids: [old.id] });
      expect(claimed(never)).toEqual({ kind: 'fenced' });
      const fenced = fenceIds(books.db, books.ledger.messages, { ids: [old.id], nowMs: Date.now() });
      expect(fenced).toBe('accepted');
    }
  }));
