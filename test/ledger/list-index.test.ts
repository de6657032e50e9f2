/** The index of lists on a real Durable Object's SQLite: rows it costs, upgrade, retention. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import type { SealingKey } from '../../src/crypto/seal.ts';
import { newMessageId } from '../../src/ids.ts';
import type { MessageFilter } from '../../src/outbox/client.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import { dayOf } from '../../src/outbox/ledger/partitions.ts';
import { fixedTermsOf, keyedTerm } from '../../src/outbox/terms.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const KEY: SealingKey = { number: 1, bytes: new Uint8Array(32).fill(5) };
const SEGMENT_PAIRS = 600;

function withStorage(work: (storage: DurableObjectStorage) => void): Promise<void> {
  const stub = env.OUTBOX.get(env.OUTBOX.newUniqueId());
  return runInDurableObject(stub, (_instance, state) => work(state.storage));
}

function accept(ledger: Ledger, id: string, recipient: string, nowMs: number): void {
  const terms = fixedTermsOf(KEY, [recipient], [{ name: 'kind', value: 'x' }]);
  const message = { id, recipientCount: 1, terms, summary: new Uint8Array(50), head: [], attachments: [] };
  ledger.accept({ accountId: 'acc_x', keyId: 'key_x', messages: [message] }, nowMs);
}

function deliverAll(ledger: Ledger, nowMs: number): void {
  for (let item = ledger.queue.take(nowMs); item; item = ledger.queue.take(nowMs)) {
    const deliveries = [{ status: 'delivered' as const, attempts: 1, relayId: 'rly_x', updatedAtMs: nowMs }];
    ledger.commit([{ item, progress: { ...item.progress, deliveries }, replies: undefined, dot: undefined }]);
  }
  ledger.queue.saveLowWater();
}

/** Noon, so that no message is on another day. */
const NOW_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2;

function fill(ledger: Ledger, count: number, nowMs = NOW_MS): string[] {
  return Array.from({ length: count }, (_, index) => {
    const atMs = nowMs - (count - index) * 1000;
    const id = newMessageId(0, atMs);
    accept(ledger, id, `user${index}@example.com`, atMs);
    if (index % 50 === 49) deliverAll(ledger, atMs);
    return id;
  });
}

const to = (recipient: string): MessageFilter => ({ recipient: keyedTerm(KEY, 'recipient', recipient) });

function found(ledger: Ledger, filter: MessageFilter): string[] {
  return ledger.list({ limit: 100, filter }, NOW_MS).messages.map(({ id }) => id);
}

describe('the index of lists', () => {
  test('writes a few rows for a segment, and none for a message', { timeout: 60_000 }, () =>
    withStorage((storage) => {
      const db = new LedgerDatabase(storage);
      const ledger = new Ledger(db, SEGMENT_PAIRS);
      const count = 2000;
      const ids = fill(ledger, count);
      const rowsOf = (table: 'terms' | 'late_terms') => {
        const name = db.partitions.find(table, dayOf(NOW_MS));
        return name ? Number(db.first<{ n: number }>(`SELECT count(*) AS n FROM ${name}`)?.n) : 0;
      };
      // Three pairs each when accepted, and two more when delivered: ten and six segments.
      expect(rowsOf('terms')).toBeGreaterThan(64 * 8);
      expect(rowsOf('terms')).toBeLessThan(64 * 11 + 2 * 7);
      expect(rowsOf('late_terms')).toBe(0);
      for (const index of [0, 700, 1999]) {
        expect(found(ledger, to(`user${index}@example.com`))).toEqual([ids[index]]);
        expect(found(new Ledger(db, SEGMENT_PAIRS), to(`user${index}@example.com`))).toEqual([ids[index]]);
      }
      expect(found(ledger, { status: 'delivered' })).toEqual(ids.slice(-100).reverse());
    }),
  );

  test('is not written for an account with little mail', () =>
    withStorage((storage) => {
      const db = new LedgerDatabase(storage);
      fill(new Ledger(db), 100);
      expect(db.partitions.daysOf('terms')).toEqual([]);
      expect(db.partitions.daysOf('late_terms')).toEqual([]);
    }));

  test('goes with its day', () =>
    withStorage((storage) => {
      const db = new LedgerDatabase(storage);
      const ledger = new Ledger(db, SEGMENT_PAIRS);
      fill(ledger, 500);
      deliverAll(ledger, NOW_MS);
      expect(db.partitions.daysOf('terms')).toHaveLength(1);
      expect(found(ledger, to('user3@example.com'))).toHaveLength(1);
      const before = db.rowsWritten;
      ledger.sweep(NOW_MS + 31 * DAY_MS, { bodies: 7, metadata: 30, claims: 7 });
      expect(db.rowsWritten).toBe(before);
      expect(db.partitions.daysOf('terms')).toEqual([]);
      expect(found(ledger, to('user3@example.com'))).toEqual([]);
      expect(found(ledger, { status: 'delivered' })).toEqual([]);
    }));

  test('finds mail of a former version by status, relay and time; by recipient only what came later', () =>
    withStorage((storage) => {
      const db = new LedgerDatabase(storage);
      const ids = fill(new Ledger(db, SEGMENT_PAIRS), 3);
      deliverAll(new Ledger(db), NOW_MS);
      // As that version left it: no column, no marks.
      storage.sql.exec(`ALTER TABLE messages_${dayOf(NOW_MS)} DROP COLUMN terms`);
      storage.sql.exec("DELETE FROM meta WHERE name LIKE '%_terms_mark'");
      const upgraded = new Ledger(new LedgerDatabase(storage), SEGMENT_PAIRS);
      expect(found(upgraded, { status: 'delivered' })).toEqual([...ids].reverse());
      expect(found(upgraded, { relayId: 'rly_x' })).toEqual([...ids].reverse());
      expect(found(upgraded, to('user1@example.com'))).toEqual([]);
      const later = newMessageId(0, NOW_MS);
      accept(upgraded, later, 'user1@example.com', NOW_MS);
      expect(found(upgraded, to('user1@example.com'))).toEqual([later]);
      // And that version again, over the newer schema: it names its columns.
      storage.sql.exec(
        `INSERT INTO messages_${dayOf(NOW_MS)}
         (id, accepted_at, phase, key_id, first_piece, head_pieces, attachment_pieces, summary, progress)
         SELECT ?, accepted_at, phase, key_id, first_piece, head_pieces, attachment_pieces, summary, progress
         FROM messages_${dayOf(NOW_MS)} WHERE id = ?`,
        newMessageId(0, NOW_MS + 1),
        later,
      );
      expect(found(new Ledger(new LedgerDatabase(storage)), {})).toHaveLength(5);
    }));
});
