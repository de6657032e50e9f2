/** Whatever is composed, two independent parsers read back what went in, and nothing else. */
import fc from 'fast-check';
import { type AddressObject, simpleParser } from 'mailparser';
import PostalMime, { decodeWords } from 'postal-mime';
import { describe, expect, it } from 'vitest';
import { checkFilename } from '../../src/mime/attachment.ts';
import { checkHeaderText } from '../../src/mime/characters.ts';
import { checkHeaders } from '../../src/mime/header.ts';
import { messageTree } from '../../src/mime/message-tree.ts';
import { plainMessage } from '../../src/mime/plain-message.ts';
import type { Mailbox, MessageSource } from '../../src/mime/types.ts';
import { composeBytes, type File, headerNames, mailbox, sourceWith } from './sources.ts';

const anyText = fc.string({ unit: 'grapheme', maxLength: 120 });
const headerText = anyText
  .map((text) => text.replace(/\s+/g, ' ').trim())
  .filter((text) => text !== '' && checkHeaderText('subject', text) === undefined);
const asciiLocal = fc
  .stringMatching(/^[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}$/)
  .filter((local) => !local.includes('=?'));
const mailboxes: fc.Arbitrary<Mailbox> = fc
  .tuple(asciiLocal, fc.option(headerText.filter((text) => text.length <= 200)))
  .map(([local, name]) => mailbox(`${local}@example.com`, name ?? undefined));
const headers = fc
  .uniqueArray(fc.tuple(fc.stringMatching(/^X-[A-Za-z][A-Za-z0-9-]{0,20}$/), headerText), {
    maxLength: 4,
    selector: ([name]) => name.toLowerCase(),
  })
  .map((list) => list.map(([name, value]) => ({ name, value })))
  .filter((list) => checkHeaders(list) === undefined);
const body = fc.oneof(
  anyText,
  fc
    .array(fc.constantFrom('.', '\r', '\n', '\r\n', 'a', ' ', '\t', 'ü', '漢', '=', 'From ', '--'), {
      maxLength: 60,
    })
    .map((parts) => parts.join('')),
);
const files: fc.Arbitrary<File[]> = fc.array(
  fc.record({
    filename: headerText
      .map((text) => `${text.replace(/[/\\]/g, '')}.bin`)
      .filter((name) => checkFilename(name) === undefined),
    contentType: fc.constantFrom('application/pdf', 'text/plain', 'text/csv; charset=utf-8', 'image/png'),
    content: fc.uint8Array({ maxLength: 200 }),
  }),
  { maxLength: 3 },
);
const sources: fc.Arbitrary<MessageSource> = fc
  .record(
    {
      from: mailboxes,
      to: fc.array(mailboxes, { minLength: 1, maxLength: 4 }),
      cc: fc.array(mailboxes, { maxLength: 3 }),
      replyTo: fc.array(mailboxes, { maxLength: 2 }),
      subject: headerText,
      headers,
      text: body,
      html: body,
    },
    { requiredKeys: ['from', 'to', 'cc', 'replyTo', 'subject', 'headers'] },
  )
  .map((changes) => sourceWith(changes));

function expectedNames(source: MessageSource): string[] {
  return [
    ...['From', 'To', 'Subject', 'Message-ID', 'Date', 'MIME-Version', 'Content-Type'],
    ...(source.cc.length > 0 ? ['Cc'] : []),
    ...(source.replyTo.length > 0 ? ['Reply-To'] : []),
    ...source.headers.map((header) => header.name),
  ].sort();
}

/** Line ends as LF, and none at the end: what every parser may change about a text. */
function loose(text: string | undefined): string {
  return (text ?? '').replace(/\r\n?/g, '\n').replace(/\n+$/, '');
}

function plain(boxes: readonly Mailbox[]): { name: string; address: string }[] {
  return boxes.map(({ name = '', address }) => ({ name, address }));
}

describe('a composed message', () => {
  it('has the header fields of its source and no others', async () => {
    await fc.assert(
      fc.asyncProperty(sources, files, async (source, attachments) => {
        const message = await composeBytes(source, attachments);
        const names = headerNames(message).filter(
          (name) => !/^content-(transfer-encoding|disposition)$/i.test(name),
        );
        expect(names.sort()).toEqual(expectedNames(source));
        expect(message.toString('latin1').replace(/\r\n/g, '')).not.toMatch(/[\r\n\0]/);
      }),
      { numRuns: 200 },
    );
  });

  it('is read back by postal-mime', async () => {
    await fc.assert(
      fc.asyncProperty(sources, files, async (source, attachments) => {
        const parsed = await PostalMime.parse(await composeBytes(source, attachments));
        expect(parsed.subject).toBe(source.subject);
        expect(parsed.from).toMatchObject(plain([source.from])[0] ?? {});
        expect(parsed.to).toMatchObject(plain(source.to));
        expect(parsed.cc ?? []).toMatchObject(plain(source.cc));
        expect(parsed.replyTo ?? []).toMatchObject(plain(source.replyTo));
        expect(parsed.bcc ?? []).toEqual([]);
        if (source.text) expect(loose(parsed.text)).toBe(loose(source.text));
        if (source.html) expect(loose(parsed.html)).toBe(loose(source.html));
        expect(parsed.attachments.map((file) => file.filename)).toEqual(
          attachments.map((file) => file.filename),
        );
        for (const [index, file] of parsed.attachments.entries()) {
          expect(Buffer.from(file.content as ArrayBuffer)).toEqual(
            Buffer.from(attachments[index]?.content ?? []),
          );
        }
      }),
      { numRuns: 200 },
    );
  });

  it('is read back by mailparser', async () => {
    await fc.assert(
      fc.asyncProperty(sources, files, async (source, attachments) => {
        const options = {
          skipHtmlToText: true,
          skipTextToHtml: true,
          skipImageLinks: true,
          skipTextLinks: true,
        };
        const parsed = await simpleParser(await composeBytes(source, attachments), options);
        expect(parsed.subject).toBe(source.subject);
        expect(parsed.from?.value).toEqual(plain([source.from]));
        expect((parsed.to as AddressObject).value).toEqual(plain(source.to));
        expect(parsed.bcc).toBeUndefined();
        expect(parsed.messageId).toBe(`<${source.messageId}>`);
        expect(parsed.date).toEqual(new Date(source.dateMs));
        for (const { name, value } of source.headers) {
          expect(decodeWords(String(parsed.headers.get(name.toLowerCase())))).toBe(value);
        }
        if (source.text) expect(loose(parsed.text)).toBe(loose(source.text));
        if (source.html) expect(loose(parsed.html || '')).toBe(loose(source.html));
        expect(parsed.attachments.map((file) => file.content)).toEqual(
          attachments.map((file) => Buffer.from(file.content)),
        );
      }),
      { numRuns: 200 },
    );
  });

  const noAttachments = (): never => {
    throw new Error('there are none');
  };
  /** Words and separators around every length at which a line is broken, and octets that must stay together. */
  const words = fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom(
          'word',
          'ünï',
          ' ',
          '  ',
          '\n',
          '\r\n',
          '\r',
          '=',
          '漢字',
          '.',
          '\t',
          ',',
          '!',
          '?',
        ),
      },
      { weight: 2, arbitrary: fc.integer({ min: 1, max: 90 }).map((length) => 'x'.repeat(length)) },
      { weight: 1, arbitrary: fc.integer({ min: 20, max: 80 }).map((length) => '='.repeat(length)) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '=3D',
          '=F0',
          '\x7f',
          '\f',
          '\u2028',
          '😀😀😀',
          'é'.repeat(40),
          '\0',
          '\ud800',
        ),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
    ),
    { maxLength: 120 },
  );
  const longText = fc
    .tuple(words, fc.constantFrom('', ' ', '\n'))
    .map(([parts, separator]) => parts.join(separator));
  const ids = fc.integer({ min: 1, max: 120 }).map((length) => `msg_1@${'d'.repeat(length)}.example`);

  it('is written without nodemailer to the bytes that nodemailer gives', async () => {
    let written = 0;
    await fc.assert(
      fc.asyncProperty(
        sources,
        fc.option(longText),
        fc.option(longText),
        ids,
        async (source, text, html, messageId) => {
          const longer = {
            ...source,
            messageId,
            ...(text === null ? {} : { text }),
            ...(html === null ? {} : { html }),
          };
          const expected = await messageTree(longer, noAttachments).build();
          const plain = plainMessage(longer);
          if (plain) written++;
          if (plain) expect(plain.toString('latin1')).toBe(expected.toString('latin1'));
          expect((await composeBytes(longer)).equals(expected)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
    expect(written).toBeGreaterThan(300);
  });

  it('has its text broken into the lines that nodemailer makes, at every length', async () => {
    const tails = ['', ' ', '.', '=', 'é', '漢', '\t', ' \t ', '\n', '\n\n', 'word. word'];
    const lengths = Array.from({ length: 18 }, (_, index) => 62 + index);
    for (const start of ['', 'a b ', 'é', '='.repeat(10), 'x\n']) {
      for (const filler of ['x', '=', 'é', 'x ']) {
        for (const [number, tail] of tails.entries()) {
          const lines = lengths.map((length) => `${start}${filler.repeat(length)}${tail}`);
          // The end of the text is an end of another kind: each length gets its turn there.
          const last = lines.splice(number, 1);
          const source = sourceWith({ text: [...lines, 'text', ...last].join('\n') });
          const expected = await messageTree(source, noAttachments).build();
          expect(plainMessage(source)?.toString()).toBe(expected.toString());
        }
      }
    }
  });

  it('is written by nodemailer where it is not plain and short', () => {
    const file = { filename: 'a.txt', contentType: 'text/plain', sizeBytes: 1 };
    expect(plainMessage(sourceWith({ text: 'text', attachments: [file] }))).toBeUndefined();
    expect(plainMessage(sourceWith({ text: 'x'.repeat(48 * 1024 + 1) }))).toBeUndefined();
    expect(
      plainMessage(sourceWith({ text: 'x'.repeat(40 * 1024), html: 'é'.repeat(5 * 1024) })),
    ).toBeUndefined();
    expect(plainMessage(sourceWith({ text: '', html: '' }))).toBeUndefined();
    expect(plainMessage(sourceWith({}))).toBeUndefined();
    expect(plainMessage(sourceWith({ text: 'x'.repeat(48 * 1024) }))).toBeDefined();
  });
});
