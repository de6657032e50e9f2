/** End-of-data sequences and nasty characters, in every place where a customer's text goes. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import { describe, expect, it } from 'vitest';
import { parseMailbox } from '../../src/mime/address.ts';
import { checkContentId, checkContentType, checkFilename } from '../../src/mime/attachment.ts';
import { checkHeaderText } from '../../src/mime/characters.ts';
import { checkHeader } from '../../src/mime/header.ts';
import type { MessageSource } from '../../src/mime/types.ts';
import { composeBytes, type File, headerFields, headerNames, mailbox, sourceWith } from './sources.ts';

const CORPUS = join(import.meta.dirname, '../../../shared/corpora/smtp-smuggling/eod-sequences.json');
const SEQUENCES: string[] = existsSync(CORPUS) ? JSON.parse(readFileSync(CORPUS, 'utf8')).union : [];

/** What the transport does (RFC 5321 section 4.5.2); repeated here so that this test stands alone. */
function stuffed(message: Buffer): string {
  return message.toString('latin1').replace(/(^|\r\n)\./g, '$1..');
}

function expectCleanBytes(message: Buffer): void {
  const wire = stuffed(message);
  expect(wire.replace(/\r\n/g, '')).not.toMatch(/[\r\n\0]/);
  expect(wire).not.toContain('\r\n.\r\n');
  expect(wire.endsWith('\r\n')).toBe(true);
  expect(Math.max(...wire.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
}

function placed(sequence: string): string[] {
  return [
    `${sequence}after`,
    `before${sequence}after`,
    `before${sequence}`,
    `${sequence}MAIL FROM:<x@y.example>\r\n`,
  ];
}

describe.skipIf(SEQUENCES.length === 0)('end-of-data sequences', () => {
  it('are the twelve known ones', () => {
    expect(SEQUENCES).toHaveLength(12);
  });

  it.each(SEQUENCES)('%j cannot end a message from its text, html or attachment', async (sequence) => {
    for (const value of placed(sequence)) {
      const file: File = { filename: 'a.txt', contentType: 'text/plain', content: Buffer.from(value) };
      expectCleanBytes(await composeBytes(sourceWith({ text: value })));
      expectCleanBytes(await composeBytes(sourceWith({ html: value })));
      expectCleanBytes(await composeBytes(sourceWith({ text: value, html: value }), [file]));
      expectCleanBytes(await composeBytes(sourceWith({ text: `ü${value}`, html: `漢字${value}` }), [file]));
      expectCleanBytes(await composeBytes(sourceWith(), [file]));
    }
  });

  it.each(SEQUENCES)('%j is refused in every header field', (sequence) => {
    for (const value of placed(sequence)) expectRefusedEverywhere(value);
  });

  it.each(SEQUENCES)('%j cannot end a streamed message at the edge of a chunk', async (sequence) => {
    const content = Buffer.concat([
      Buffer.alloc(48 * 1024 - 2, 'a'),
      Buffer.from(sequence),
      Buffer.alloc(300_000, 'b'),
    ]);
    const file: File = { filename: 'a.bin', contentType: 'application/octet-stream', content };
    expectCleanBytes(await composeBytes(sourceWith({ text: sequence }), [file]));
  });
});

/** Text that must be refused wherever it would come out in a header. */
function expectRefusedEverywhere(value: string): void {
  expect(checkHeaderText('subject', value)).toBeDefined();
  expect(checkHeader({ name: 'X-A', value })).toBeDefined();
  expect(checkHeader({ name: `X-${value}`, value: 'v' })).toBeDefined();
  expect(checkFilename(value)).toBeDefined();
  expect(checkContentType(`text/plain; a="${value}"`)).toBeDefined();
  expect(checkContentId(value)).toBeDefined();
  expect(parseMailbox(`"${value}" <a@x.example>`).ok).toBe(false);
  expect(parseMailbox(`${value}@x.example`).ok).toBe(false);
  expect(parseMailbox(`a@${value}`).ok).toBe(false);
}

const REFUSED = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  '\v',
  '\f',
  '\u0085',
  '\u2028',
  '\u2029',
  '\uD800',
  '\uDC00',
  '\x7f',
  '\x1b',
];
const ENCODED = [
  ...[
    '\u010A',
    '\u010D',
    '\u560A',
    '\u560D',
    '\u760A',
    '\u760D',
    '%0d%0a',
    '\\r\\n',
    '=?utf-8?q?=0d=0a?=',
    '\uFFFD',
  ],
  ...[
    '=?utf-8?b?DQpCY2M6IHhAeQ==?=',
    '"',
    '\\',
    '(',
    '<x@y.example>',
    'a  b',
    '=?utf-8?q?a',
    '💌',
    'é\u0301',
  ],
  ...[
    '__proto__',
    'a\u00A0b',
    'w'.repeat(1500),
    `${'ü'.repeat(500)} x`,
    '--=_er-0123456789abcdef0123456789abcdef01234567-Part_1',
  ],
];

describe('nasty characters', () => {
  it.each(REFUSED)('%j is refused in every header field', (character) => {
    expectRefusedEverywhere(`a${character}Bcc: x@y.example`);
  });

  it.each(REFUSED)('%j in a body stays in the body', async (character) => {
    const value = `a${character}Bcc: x@y.example${character}${character}.${character}`;
    const plain = await composeBytes(sourceWith({ text: 'a', html: 'b' }));
    const message = await composeBytes(sourceWith({ text: value, html: value }));
    expectCleanBytes(message);
    expect(headerFields(message)).toEqual(headerFields(plain));
  });

  it.each(ENCODED)('%j arrives as it was in subject, names and headers', async (value) => {
    expect(checkHeaderText('subject', value)).toBeUndefined();
    expect(checkHeader({ name: 'X-Value', value })).toBeUndefined();
    const source = sourceWith({
      subject: `${value} end`,
      from: mailbox('sender@example.com', `${value} end`),
      cc: [mailbox('cc@example.com', value)],
      headers: [{ name: 'X-Value', value }],
      text: 'x',
    });
    const message = await composeBytes(source);
    expectCleanBytes(message);
    expect(headerNames(message)).toEqual(headerNames(await composeBytes({ ...source, subject: 'x' })));
    const parsed = await PostalMime.parse(message);
    expect(parsed.subject).toBe(`${value} end`);
    expect(parsed.from).toMatchObject({ name: `${value} end`, address: 'sender@example.com' });
    expect(parsed.cc).toMatchObject([{ name: value, address: 'cc@example.com' }]);
  });

  it.each(ENCODED)('%j in a file name is refused or arrives as it was', async (value) => {
    const filename = `${value}.bin`;
    if (checkFilename(filename) !== undefined) return;
    const file: File = { filename, contentType: 'application/octet-stream', content: Buffer.from('x') };
    const message = await composeBytes(sourceWith({ text: 'x' }), [file]);
    expectCleanBytes(message);
    const parsed = await PostalMime.parse(message);
    expect(parsed.attachments.map((attachment) => attachment.filename)).toEqual([filename]);
  });

  it('keeps a prototype key harmless', async () => {
    const source: MessageSource = JSON.parse(
      JSON.stringify(sourceWith({ text: 'x' })).replace(
        '"cc":[]',
        '"cc":[],"__proto__":{"bcc":[{"address":"x@y"}]}',
      ),
    );
    expect(await composeBytes(source)).toEqual(await composeBytes(sourceWith({ text: 'x' })));
  });

  it('composes a megabyte of hostile text', async () => {
    for (const unit of [
      '\r',
      '\n',
      '.',
      ' ',
      '\n.\n',
      '=',
      '\t',
      '=?',
      '<',
      '\u0301',
      '\u2028',
      'a ',
      '-\n',
    ]) {
      const flood = unit.repeat(Math.ceil(2 ** 20 / unit.length));
      expectCleanBytes(await composeBytes(sourceWith({ text: flood })));
    }
  }, 60_000);
});
