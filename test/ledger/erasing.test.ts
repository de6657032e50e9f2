/** Erasing a person from one ledger: mail that has ended, that waits, and that is in somebody's hand; and the log. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import { advance, type DeliveryStatus, newProgress } from '../../src/delivery/progress.ts';
import { newMessageId } from '../../src/ids.ts';
import { parseMailbox } from '../../src/mime/address.ts';
import {
  fixedTermsOf,
  keyedTerm,
  type MessageSummary,
  openReplies,
  openSummary,
  recipientKey,
  recipientNamesOf,
  recipientsOf,
  sealEventData,
  sealMessage,
  sealReplies,
} from '../../src/outbox/client.ts';
import { Eraser } from '../../src/outbox/erasures/eraser.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';
import { prepareMessage } from '../../src/outbox/prepare.ts';
import { OLDEST } from '../../src/outbox/webhooks/event-id.ts';
import { openEventData } from '../../src/outbox/webhooks/event-payload.ts';

const ACCOUNT = 'acc_x';
const ANN = 'Ann.Example@person.example';
const BOB = 'bob@person.example';
const OTHER_HOUR_MS = 60 * 60 * 1000;
/** Mail is found by the oldest key and sealed by the newest. */
const KEYS = [
  { number: 1, bytes: new Uint8Array(32).fill(1) },
  { number: 2, bytes: new Uint8Array(32).fill(2) },
] as const;
const ERASURE = {
  contactId: 'con_ann',
  recipient: keyedTerm(KEYS[0], 'recipient', recipientKey(ANN)),
  untilMs: Number.MAX_SAFE_INTEGER / 1000,
  isCertain: true,
  logSeq: 0,
};

interface Books {
  readonly db: LedgerDatabase;
  readonly ledger: Ledger;
  reopen(): Ledger;
}

function withBooks(work: (books: Books) => Promise<void>): Promise<void> {
  const stub = env.OUTBOX.get(env.OUTBOX.newUniqueId());
  return runInDurableObject(stub, (_instance, state) => {
    const db = new LedgerDatabase(state.storage);
    return work({
      db,
      ledger: new Ledger(db, 8),
      reopen: () => new Ledger(new LedgerDatabase(state.storage)),
    });
  });
}

function mailboxOf(text: string) {
  const parsed = parseMailbox(text);
  if (!parsed.ok) throw new Error('no mailbox');
  return parsed.mailbox;
}

const mailboxes = (...texts: string[]) => texts.map(mailboxOf);

async function accept(
  ledger: Ledger,
  given: Partial<MessageSummary>,
  more: { readonly scheduledAtMs?: number } = {},
): Promise<string> {
  const summary: MessageSummary = {
    from: mailboxOf('shop@sender.example'),
    to: [],
    cc: [],
    bcc: [],
    replyTo: [],
    subject: 'For Ann',
    tags: [{ name: 'customer', value: 'ann' }],
    envelopeFrom: 'shop@sender.example',
    ...given,
  };
  const id = newMessageId(0);
  const head = { text: 'Dear Ann', headers: [], attachments: [] };
  const sealed = await sealMessage(KEYS[1], { accountId: ACCOUNT, id }, { summary, head, attachments: [] });
  const rejections = summary.rejected?.map(({ reason }) => reason);
  const message = {
    id,
    recipientCount: recipientsOf(summary).length,
    ...(rejections && { rejections }),
    terms: fixedTermsOf(KEYS[0], recipientNamesOf(summary), summary.tags, summary.broadcastId),
    summary: sealed.summary,
    head: sealed.head,
    attachments: [],
    ...more,
  };
  ledger.accept({ accountId: ACCOUNT, keyId: 'key_x', messages: [message] }, Date.now());
  return id;
}

function take(ledger: Ledger): LedgerItem {
  const item = ledger.queue.take(Date.now());
  if (!item) throw new Error('nothing waits');
  return item;
}

function settle(
  ledger: Ledger,
  item: LedgerItem,
  status: DeliveryStatus,
  replies?: Map<number, string>,
): void {
  const changes = new Map(
    item.progress.deliveries.map((delivery, index) => [index, { ...delivery, status, updatedAtMs: 1 }]),
  );
  const progress = advance(item.progress, changes, [{ type: 'delivered', atMs: Date.now() }]);
  const sealed = replies && sealReplies(KEYS[1], { accountId: ACCOUNT, id: item.id }, replies);
  ledger.commit([{ item, progress, replies: sealed, dot: undefined }]);
}

function eraseMail(ledger: Ledger): Eraser {
  const eraser = new Eraser(ledger, { accountId: ACCOUNT, keys: KEYS }, ERASURE);
  while (eraser.eraseMail(Date.now()));
  return eraser;
}

function summaryOf(ledger: Ledger, id: string): MessageSummary {
  const found = ledger.messages.findPublic(id);
  if (!found) throw new Error('a message is missing');
  return openSummary(KEYS, { accountId: ACCOUNT, id }, found.summary);
}

function pieces(db: LedgerDatabase): number {
  const days = db.partitions.daysOf('contents');
  return days.reduce(
    (sum, day) => sum + (db.first<{ n: number }>(`SELECT count(*) AS n FROM contents_${day}`)?.n ?? 0),
    0,
  );
}

const statusesOf = (ledger: Ledger, id: string) =>
  ledger.messages.findPublic(id)?.deliveries.map(({ status }) => status);
const foundBy = (ledger: Ledger, address: string) =>
  ledger
    .list(
      { limit: 100, filter: { recipient: keyedTerm(KEYS[0], 'recipient', recipientKey(address)) } },
      Date.now(),
    )
    .messages.map(({ id }) => id);

describe('mail that has ended', () => {
  test('to nobody else keeps no word that could name him, whatever the letters of his address', () =>
    withBooks(async ({ ledger, db, reopen }) => {
      const id = await accept(ledger, {
        to: mailboxes(`Ann <${ANN.toLowerCase()}>`),
        replyTo: mailboxes('reply-ann@sender.example'),
        contactId: 'con_ann',
      });
      settle(ledger, take(ledger), 'delivered', new Map([[0, `250 queued for ${ANN}`]]));
      expect(foundBy(ledger, ANN)).toEqual([id]);
      eraseMail(ledger);
      for (const books of [ledger, reopen()]) {
        const left = summaryOf(books, id);
        expect(JSON.stringify(left).toLowerCase()).not.toContain('ann');
        expect(left).toMatchObject({ subject: '', tags: [], replyTo: [] });
        expect(left.to.map(({ address }) => address)).toEqual(['erased-0@erased.invalid']);
        expect(books.messages.findPublic(id)?.replies).toBeUndefined();
        expect(books.messages.findHead(id)).toBeUndefined();
        expect(foundBy(books, ANN)).toEqual([]);
        expect(statusesOf(books, id)).toEqual(['delivered']);
        const tag = keyedTerm(KEYS[0], 'tag', 'customer=ann');
        expect(books.list({ limit: 9, filter: { fixed: [tag] } }, Date.now()).messages).toEqual([]);
      }
      expect(pieces(db)).toBe(0);
    }));

  test('to somebody else who was only reported says as little, and he is still found', () =>
    withBooks(async ({ ledger }) => {
      const id = await accept(ledger, {
        to: mailboxes(ANN),
        rejected: [{ address: BOB, reason: 'suppressed' }],
        broadcastId: 'bct_x',
      });
      settle(ledger, take(ledger), 'delivered');
      eraseMail(ledger);
      expect(summaryOf(ledger, id)).toMatchObject({ subject: '', tags: [], rejected: [{ address: BOB }] });
      expect([foundBy(ledger, ANN), foundBy(ledger, BOB)]).toEqual([[], [id]]);
      const found = (kind: 'tag' | 'broadcast', value: string) =>
        ledger.list({ limit: 9, filter: { fixed: [keyedTerm(KEYS[0], kind, value)] } }, Date.now()).messages;
      expect([found('tag', 'customer').length, found('broadcast', 'bct_x').length]).toEqual([0, 1]);
    }));

  test('that was only reported to him is erased as well', () =>
    withBooks(async ({ ledger }) => {
      const id = await accept(ledger, {
        to: mailboxes(BOB),
        rejected: [{ address: ANN, reason: 'suppressed' }],
      });
      settle(ledger, take(ledger), 'delivered');
      eraseMail(ledger);
      expect(summaryOf(ledger, id).rejected).toEqual([
        { address: 'erased-1@erased.invalid', reason: 'suppressed' },
      ]);
      expect([foundBy(ledger, ANN), foundBy(ledger, BOB)]).toEqual([[], [id]]);
    }));

  test('to others too keeps what is theirs, and nothing else is touched', () =>
    withBooks(async ({ ledger, db }) => {
      const shared = await accept(ledger, { to: mailboxes(BOB, ANN), subject: 'Your order' });
      const item = take(ledger);
      settle(
        ledger,
        item,
        'delivered',
        new Map([
          [0, 'for bob'],
          [1, 'for the other'],
        ]),
      );
      const bobs = await accept(ledger, { to: mailboxes(BOB), subject: 'For Bob' });
      settle(ledger, take(ledger), 'delivered');
      eraseMail(ledger);
      const left = summaryOf(ledger, shared);
      expect(left).toMatchObject({ subject: 'Your order', tags: [{ name: 'customer', value: 'ann' }] });
      expect(left.to.map(({ address }) => address)).toEqual([BOB, 'erased-1@erased.invalid']);
      const { replies } = ledger.messages.findPublic(shared) ?? {};
      expect([...openReplies(KEYS, { accountId: ACCOUNT, id: shared }, replies)]).toEqual([[0, 'for bob']]);
      expect(ledger.messages.findHead(shared)).toBeUndefined();
      expect(foundBy(ledger, BOB)).toEqual([bobs, shared]);
      expect(foundBy(ledger, ANN)).toEqual([]);
      expect(summaryOf(ledger, bobs).subject).toBe('For Bob');
      expect(ledger.messages.findHead(bobs)).toHaveLength(1);
      expect(pieces(db)).toBe(1);
    }));

  test('is worked through in slices, also from the segments of the index, and once', () =>
    withBooks(async ({ ledger, db }) => {
      for (let i = 0; i < 230; i++) {
        await accept(ledger, { to: mailboxes(i % 2 === 0 ? ANN : BOB) });
        settle(ledger, take(ledger), 'delivered');
      }
      expect(foundBy(ledger, BOB)).toHaveLength(100);
      const eraser = new Eraser(ledger, { accountId: ACCOUNT, keys: KEYS }, ERASURE);
      expect(eraser.eraseMail(Date.now())).toBe(true);
      expect(pieces(db)).toBe(130);
      // A restart begins again, and finds only what is left.
      eraseMail(ledger);
      expect(pieces(db)).toBe(115);
      const before = db.rowsWritten;
      eraseMail(ledger);
      expect(db.rowsWritten).toBe(before);
    }));
});

describe('mail that waits', () => {
  test('is taken back, whether for later or in hand, and nothing of it is sent', () =>
    withBooks(async ({ ledger, db }) => {
      const later = await accept(
        ledger,
        { to: mailboxes(ANN) },
        { scheduledAtMs: Date.now() + OTHER_HOUR_MS },
      );
      const inHand = await accept(ledger, { to: mailboxes(ANN) });
      const item = take(ledger);
      expect(item.id).toBe(inHand);
      eraseMail(ledger);
      expect(statusesOf(ledger, later)).toEqual(['canceled']);
      expect(statusesOf(ledger, inHand)).toEqual(['canceled']);
      // Whoever has it in hand gets no dot for it.
      const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
      const [written] = ledger.commit([{ item, progress: item.progress, replies: undefined, dot }]);
      expect(written?.dot).toBeUndefined();
      expect([ledger.backlog, pieces(db), ledger.queue.hasWork(Date.now())]).toEqual([0, 0, false]);
    }));

  test.each(['released', 'committed'] as const)(
    'for somebody else too is sent to him alone: what was in hand, and is %s, comes again without her',
    (how) =>
      withBooks(async ({ ledger, db, reopen }) => {
        const id = await accept(ledger, { to: mailboxes(ANN, BOB) });
        const item = take(ledger);
        eraseMail(ledger);
        if (how === 'released') ledger.queue.release(item);
        else {
          const dot = { relayId: 'rly_x', recipients: [0, 1], sha256: 'h', pending: true };
          ledger.commit([{ item, progress: item.progress, replies: undefined, dot }]);
        }
        expect(reopen().backlog).toBe(1);
        const again = take(ledger);
        expect(again.progress.deliveries.map(({ status }) => status)).toEqual(['canceled', 'queued']);
        expect(summaryOf(ledger, id).to[0]?.address).toBe('erased-0@erased.invalid');
        // It is still needed, and shown to nobody.
        expect(ledger.messages.findHead(id)).toBeUndefined();
        expect(ledger.messages.takeHead(again)).toHaveLength(1);
        const summary = openSummary(KEYS, { accountId: ACCOUNT, id }, again.summary);
        const prepared = await prepareMessage(ledger.messages, again, summary, {
          accountId: ACCOUNT,
          keys: KEYS,
        });
        expect(prepared.envelope.recipients).toEqual([BOB]);
        let copy = '';
        for await (const piece of prepared.body) copy += new TextDecoder().decode(piece);
        expect(copy).toContain(`To: ${BOB}`);
        expect(copy.toLowerCase()).not.toMatch(/person\.example>?, |erased|ann\.example/);
        settle(ledger, again, 'delivered');
        expect(pieces(db)).toBe(0);
      }),
  );

  test('at its dot is left until the verdict, and a doubt that is held gets no further copy', () =>
    withBooks(async ({ ledger }) => {
      const id = await accept(ledger, { to: mailboxes(ANN) });
      const item = take(ledger);
      const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
      const [atDot] = ledger.commit([{ item, progress: item.progress, replies: undefined, dot }]);
      if (!atDot) throw new Error('nothing was written');
      expect(eraseMail(ledger).atDot).toBe(1);
      expect(summaryOf(ledger, id).subject).toBe('For Ann');
      settle(ledger, atDot, 'in_doubt');
      expect(eraseMail(ledger).atDot).toBe(0);
      expect(ledger.messages.findPublic(id)?.deliveries).toMatchObject([
        { status: 'canceled', reason: 'may_have_arrived' },
      ]);
      expect(summaryOf(ledger, id).subject).toBe('');
    }));

  test('that was made after the erasure is not its concern', () =>
    withBooks(async ({ ledger }) => {
      const id = await accept(ledger, { to: mailboxes(ANN) });
      const early = { ...ERASURE, untilMs: Date.now() - OTHER_HOUR_MS };
      new Eraser(ledger, { accountId: ACCOUNT, keys: KEYS }, early).eraseMail(Date.now());
      expect(summaryOf(ledger, id).subject).toBe('For Ann');
      expect(newProgress(1, 0).isErased).toBeUndefined();
    }));
});

describe('the log', () => {
  const told = (t: string, about: string, data: Record<string, unknown>) => {
    const k = `${about}/evt_${Math.random()}`;
    return { t, a: 1, k, d: sealEventData(KEYS, { accountId: ACCOUNT, nonce: k }, data) };
  };

  test('tells of her without saying who it was, in its old places, and of others as before', () =>
    withBooks(async ({ ledger, db, reopen }) => {
      const entries = [
        told('contact.created', 'con_ann', { id: 'con_ann', email: ANN, first_name: 'Ann' }),
        told('contact.created', 'con_ann2', { id: 'con_ann2', email: BOB, first_name: 'Bob' }),
        told('suppression.added', 'sup_1', { id: 'sup_1', email: ANN.toUpperCase() }),
        told('suppression.added', 'sup_2', { id: 'sup_2', email: BOB }),
        told('suppression.added', 'sup_3', { id: 'sup_3', email: null }),
        told('contact.deleted', 'con_ann', { id: 'con_ann', email: 'erased@erased.invalid' }),
      ];
      for (const entry of entries) {
        ledger.events.append([entry]);
        ledger.events.flush(Date.now());
      }
      const eraser = new Eraser(ledger, { accountId: ACCOUNT, keys: KEYS }, ERASURE);
      const { seq, isEnd } = eraser.eraseEvents(0, Date.now());
      expect(isEnd).toBe(true);
      const data = reopen()
        .events.read(OLDEST, 100)
        .entries.map(({ entry }) => ('m' in entry ? {} : openEventData(KEYS, ACCOUNT, entry)));
      expect(data).toEqual([
        { id: 'con_ann', email: 'erased@erased.invalid', erased: true },
        { id: 'con_ann2', email: BOB, first_name: 'Bob' },
        { id: 'sup_1', email: 'erased@erased.invalid', erased: true },
        { id: 'sup_2', email: BOB },
        { id: 'sup_3', email: null },
        { id: 'con_ann', email: 'erased@erased.invalid' },
      ]);
      const before = db.rowsWritten;
      expect(eraser.eraseEvents(0, Date.now())).toEqual({ seq, isEnd: true });
      expect(db.rowsWritten).toBe(before);
    }));
});
