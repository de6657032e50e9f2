import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SealError, type SealingKey } from '../../src/crypto/seal.ts';
import type { Mailbox } from '../../src/mime/types.ts';
import {
  type MessageHead,
  type MessageSummary,
  openAttachment,
  openHead,
  openReplies,
  openSummary,
  PIECE_BYTES,
  recipientsOf,
  sealMessage,
  sealReplies,
} from '../../src/outbox/message-content.ts';

const KEY: SealingKey = { number: 1, bytes: new Uint8Array(32).fill(7) };
const OTHER_KEY: SealingKey = { number: 2, bytes: new Uint8Array(32).fill(8) };
const IDENTITY = { accountId: 'acc_0', id: 'msg_0' };

const mailbox = (address: string, name?: string): Mailbox => {
  const [local = '', domain = ''] = address.split('@');
  return { address, local, domain, smtpUtf8: false, ...(name === undefined ? {} : { name }) };
};

const SUMMARY: MessageSummary = {
  from: mailbox('me@example.com', 'Me'),
  to: [mailbox('a@example.net')],
  cc: [],
  bcc: [],
  replyTo: [],
  subject: 'Hello',
  tags: [{ name: 'kind', value: 'test' }],
  envelopeFrom: 'bounce@example.com',
};
const HEAD: MessageHead = {
  text: 'Hi',
  html: '<p>Hi</p>',
  headers: [{ name: 'X-A', value: '1' }],
  attachments: [],
};
const MESSAGE = { summary: SUMMARY, head: HEAD, attachments: [] as Uint8Array[] };

/** Bytes that differ from place to place, so that a piece in the wrong place shows. */
const bytesOf = (length: number, salt: number) =>
  Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8) + (at >> 16) * 7 + salt) & 0xff);

async function openAll(
  sealed: readonly Uint8Array[],
  range: { offset: number; sizeBytes: number },
  read: number[] = [],
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const opened = openAttachment([OTHER_KEY, KEY], IDENTITY, range, (index) => {
    read.push(index);
    const piece = sealed[index];
    if (!piece) throw new Error('no such piece');
    // Each piece is a new copy from the database, and is given up with the call.
    return piece.slice();
  });
  for await (const part of opened) parts.push(part);
  return Buffer.concat(parts);
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** Any text at all, lone surrogates too. */
const anyText = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 50 })
  .map((units) => String.fromCharCode(...units));

describe('a sealed message', () => {
  test('opens to its summary and head', async () => {
    const sealed = await sealMessage(KEY, IDENTITY, MESSAGE);
    expect(openSummary([OTHER_KEY, KEY], IDENTITY, sealed.summary)).toEqual(SUMMARY);
    expect(openHead([OTHER_KEY, KEY], IDENTITY, sealed.head)).toEqual(HEAD);
    expect(sealed.attachments).toEqual([]);
  });

  test('opens to any text, lone surrogates and all', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, fc.string(), async (text, subject) => {
        const message = {
          ...MESSAGE,
          summary: { ...SUMMARY, subject },
          head: { ...HEAD, text: `${text}\ud800` },
        };
        const sealed = await sealMessage(KEY, IDENTITY, message);
        expect(openSummary([KEY], IDENTITY, sealed.summary)).toEqual(message.summary);
        expect(openHead([KEY], IDENTITY, sealed.head)).toEqual(message.head);
      }),
    );
  });

  test('opens to a head of several pieces, cut inside characters', async () => {
    const head = { ...HEAD, text: '\u20ac'.repeat(PIECE_BYTES) };
    const sealed = await sealMessage(KEY, IDENTITY, { ...MESSAGE, head });
    expect(sealed.head).toHaveLength(4);
    expect(openHead([KEY], IDENTITY, sealed.head).text === head.text).toBe(true);
  });

  test('shows nothing of what is in it', async () => {
    const { summary, head } = await sealMessage(KEY, IDENTITY, MESSAGE);
    const all = Buffer.concat([summary, ...head]);
    for (const text of ['example', 'Hello', 'Hi']) expect(all.includes(text)).toBe(false);
  });

  test.each<[string, { accountId: string; id: string }, SealingKey]>([
    ['another account', { ...IDENTITY, accountId: 'acc_1' }, KEY],
    ['another message', { ...IDENTITY, id: 'msg_1' }, KEY],
    ['another key', IDENTITY, OTHER_KEY],
    ['another key of that number', IDENTITY, { ...OTHER_KEY, number: KEY.number }],
  ])('does not open for %s', async (_, identity, key) => {
    const sealed = await sealMessage(KEY, IDENTITY, MESSAGE);
    expect(() => openSummary([key], identity, sealed.summary)).toThrow(SealError);
    expect(() => openHead([key], identity, sealed.head)).toThrow(SealError);
    const replies = sealReplies(KEY, IDENTITY, new Map([[0, '250 Ok']]));
    expect(() => openReplies([key], identity, replies)).toThrow(SealError);
  });

  test('does not open with its parts in each other\u2019s place', async () => {
    const head = { ...HEAD, text: 'x'.repeat(2 * PIECE_BYTES) };
    const sealed = await sealMessage(KEY, IDENTITY, { ...MESSAGE, head, attachments: [bytesOf(10, 1)] });
    const [first, second, third] = sealed.head;
    const [attachment] = sealed.attachments;
    if (!first || !second || !third || !attachment) throw new Error('three pieces and an attachment');
    for (const pieces of [
      [second, first, third],
      [second, third],
      [first, first, third],
      [attachment],
      [sealed.summary],
    ]) {
      expect(() => openHead([KEY], IDENTITY, pieces)).toThrow(SealError);
    }
    expect(() => openHead([KEY], IDENTITY, [first, second])).toThrow();
    expect(() => openSummary([KEY], IDENTITY, first)).toThrow(SealError);
  });
});

describe('attachments', () => {
  const P = PIECE_BYTES;
  test.each<[string, number[]]>([
    ['one small one', [5]],
    ['an empty one alone', [0]],
    ['empty ones before, between and after', [0, 3, 0, 0, 4, 0]],
    ['one that fills a piece', [P]],
    ['one byte less than a piece', [P - 1, 1]],
    ['one byte more than a piece', [P + 1]],
    ['an empty one at the border of two pieces', [P, 0, P]],
    ['small ones across a border', [P - 2, 4, P - 2]],
    ['a large one between small ones', [10, 2 * P + 17, 10]],
    ['several that fill pieces', [2 * P, P, 0]],
    ['many small ones', Array.from({ length: 100 }, (_, at) => at * 500)],
  ])('come back byte for byte: %s', async (_, sizes) => {
    const attachments = sizes.map((size, salt) => bytesOf(size, salt));
    const sealed = await sealMessage(KEY, IDENTITY, { ...MESSAGE, attachments });
    const total = sizes.reduce((sum, size) => sum + size, 0);
    expect(sealed.attachments).toHaveLength(Math.ceil(total / P));
    for (const piece of sealed.attachments) expect(piece.byteLength).toBeLessThan(P + 100);
    let offset = 0;
    for (const attachment of attachments) {
      const sizeBytes = attachment.byteLength;
      const read: number[] = [];
      const opened = await openAll(sealed.attachments, { offset, sizeBytes }, read);
      expect(same(opened, attachment)).toBe(true);
      const firstPiece = Math.floor(offset / P);
      const pieces = sizeBytes === 0 ? 0 : Math.floor((offset + sizeBytes - 1) / P) - firstPiece + 1;
      expect(read).toEqual(Array.from({ length: pieces }, (_, at) => firstPiece + at));
      offset += sizeBytes;
    }
  });

  test('do not open with their pieces swapped, or with a piece of another message', async () => {
    const attachments = [bytesOf(2 * P, 1)];
    const { attachments: pieces } = await sealMessage(KEY, IDENTITY, { ...MESSAGE, attachments });
    const other = await sealMessage(KEY, { ...IDENTITY, id: 'msg_1' }, { ...MESSAGE, attachments });
    const range = { offset: 0, sizeBytes: 2 * P };
    const [first, second] = pieces;
    const [foreign] = other.attachments;
    if (!first || !second || !foreign) throw new Error('two pieces and a foreign one');
    await expect(openAll([second, first], range)).rejects.toThrow(SealError);
    await expect(openAll([first, first], range)).rejects.toThrow(SealError);
    await expect(openAll([foreign, second], range)).rejects.toThrow(SealError);
  });

  test('that are shorter than recorded are an error, and never an end', async () => {
    const { attachments } = await sealMessage(KEY, IDENTITY, { ...MESSAGE, attachments: [bytesOf(10, 1)] });
    await expect(openAll(attachments, { offset: 0, sizeBytes: 11 })).rejects.toThrow('shorter than recorded');
    await expect(openAll(attachments, { offset: 10, sizeBytes: 1 })).rejects.toThrow('shorter than recorded');
    await expect(openAll(attachments, { offset: P, sizeBytes: 1 })).rejects.toThrow('no such piece');
  });
});

describe('the fingerprint', () => {
  const fingerprint = async (message: Partial<typeof MESSAGE>, key = KEY, identity = IDENTITY) => {
    const sealed = await sealMessage(KEY, identity, { ...MESSAGE, ...message }, key);
    return Buffer.from(sealed.fingerprint ?? []).toString('hex');
  };
  const a = new Uint8Array([1, 2]);
  const b = new Uint8Array([3]);

  test('is the same for the same message, under any id', async () => {
    const same = await fingerprint({});
    expect(await fingerprint({})).toBe(same);
    expect(await fingerprint({}, KEY, { ...IDENTITY, id: 'msg_1' })).toBe(same);
    const copies = [a.slice(), b.slice()];
    expect(await fingerprint({ attachments: [a, b] })).toBe(await fingerprint({ attachments: copies }));
  });

  test('is made only where it is asked for', async () => {
    expect((await sealMessage(KEY, IDENTITY, MESSAGE)).fingerprint).toBeUndefined();
  });

  test('is different for any change', async () => {
    const empty = new Uint8Array();
    const variants = await Promise.all([
      fingerprint({}),
      fingerprint({}, OTHER_KEY),
      ...[
        { from: mailbox('me@example.com') },
        { to: [mailbox('b@example.net')] },
        { to: [mailbox('a@example.net'), mailbox('b@example.net')] },
        { to: [], cc: [mailbox('a@example.net')] },
        { to: [], bcc: [mailbox('a@example.net')] },
        { replyTo: [mailbox('a@example.net')] },
        { subject: 'hello' },
        { tags: [] },
        { envelopeFrom: 'me@example.com' },
      ].map((change) => fingerprint({ summary: { ...SUMMARY, ...change } })),
      ...[
        { text: 'Hi!' },
        { text: '' },
        { html: 'Hi' },
        { headers: [] },
        { attachments: [{ filename: 'a', contentType: 'text/plain', sizeBytes: 0 }] },
      ].map((change) => fingerprint({ head: { ...HEAD, ...change } })),
      ...[
        [a],
        [b],
        [a, b],
        [b, a],
        [new Uint8Array([1, 2, 3])],
        [new Uint8Array([1]), new Uint8Array([2, 3])],
        [empty],
        [empty, empty],
        [a, empty],
        [empty, a],
      ].map((attachments) => fingerprint({ attachments })),
    ]);
    expect(new Set(variants).size).toBe(variants.length);
  });

  test('tells apart any two lists of attachments', async () => {
    const someList = fc.array(fc.uint8Array({ maxLength: 4, max: 0x3a }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(someList, someList, async (one, two) => {
        const equal = JSON.stringify(one.map((x) => [...x])) === JSON.stringify(two.map((x) => [...x]));
        const prints = [await fingerprint({ attachments: one }), await fingerprint({ attachments: two })];
        expect(prints[0] === prints[1]).toBe(equal);
      }),
    );
  });
});

describe('the recipients of a message', () => {
  test('are those of to, cc and bcc in their order, each address once, as first written', () => {
    const to = [mailbox('b@example.net', 'B'), mailbox('a@example.net')];
    const cc = [mailbox('c@example.net'), mailbox('b@example.net', 'Other')];
    const bcc = [mailbox('d@example.net'), mailbox('a@example.net'), mailbox('d@example.net')];
    expect(recipientsOf({ ...SUMMARY, to, cc, bcc })).toEqual([to[0], to[1], cc[0], bcc[0]]);
  });

  test('are told apart by the case of the local part, which is the server\u2019s business', () => {
    const to = [mailbox('A@example.net'), mailbox('a@example.net')];
    expect(recipientsOf({ ...SUMMARY, to })).toEqual(to);
  });

  test('may have names that objects have too', () => {
    const to = [mailbox('__proto__'), mailbox('constructor')];
    expect(recipientsOf({ ...SUMMARY, to })).toEqual(to);
  });

  test('are the same, and in the same order, each time', () => {
    const some = fc.array(fc.constantFrom('a@x', 'b@x', 'c@x', 'd@x').map((address) => mailbox(address)));
    fc.assert(
      fc.property(some, some, some, (to, cc, bcc) => {
        const addresses = recipientsOf({ ...SUMMARY, to, cc, bcc }).map(({ address }) => address);
        expect(addresses).toEqual([...new Set([...to, ...cc, ...bcc].map(({ address }) => address))]);
      }),
    );
  });
});

describe('reply texts', () => {
  test('come back by recipient', () => {
    const replies = new Map([
      [0, '250 Ok'],
      [7, '550 5.1.1 \ufffd <who@example.net>'],
    ]);
    const sealed = sealReplies(KEY, IDENTITY, replies);
    expect(Buffer.from(sealed).includes('who@example.net')).toBe(false);
    expect(openReplies([KEY], IDENTITY, sealed)).toEqual(replies);
  });

  test('are none where none were kept', () => {
    expect(openReplies([KEY], IDENTITY, undefined)).toEqual(new Map());
    expect(openReplies([KEY], IDENTITY, sealReplies(KEY, IDENTITY, new Map()))).toEqual(new Map());
  });
});
