import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkContentId,
  checkContentType,
  checkFilename,
  contentTypeOf,
  parseBase64Strict,
} from '../../src/mime/attachment.ts';

describe('file names', () => {
  it.each([
    'a.pdf',
    'Bericht "x" ü.pdf',
    '山田.txt',
    "it's; a=b, (c).txt",
    '\u010A\u560D.txt',
    '💌.png',
    '%0d%0a',
    '...a',
  ])('may be %j', (filename) => {
    expect(checkFilename(filename)).toBeUndefined();
  });

  it.each([
    ...[
      '',
      '.',
      '..',
      '../a',
      'a/b',
      'a\\b',
      '/etc/passwd',
      'a\r\nb',
      'a\nb',
      'a\0b',
      'a\tb',
      'a\u0085',
      '\u2028a',
    ],
    ...[
      'gpj\u202Eexe',
      '=?utf-8?q?=0d=0a?=.bin',
      'a\u2066b',
      ' a',
      'a ',
      `a${' '.repeat(100)}b`,
      'é'.repeat(128),
      'a\uD800',
    ],
  ])('must not be %j', (filename) => {
    expect(checkFilename(filename)).toMatch(/^`filename` /);
  });
});

describe('content types', () => {
  it.each(['text/plain', 'text/csv; charset=utf-8', 'application/vnd.a+json;v="1 2"', 'image/svg+xml'])(
    'may be %j',
    (contentType) => {
      expect(checkContentType(contentType)).toBeUndefined();
    },
  );

  it.each([
    ...[
      '',
      'text',
      'text/',
      '/plain',
      'text/plain;',
      'text/plain; a',
      'text/plain; a="b',
      'text/pl ain',
      'tëxt/plain',
    ],
    ...[
      'text/plain\r\nX: y',
      'text/plain; a="\r\n"',
      'text/plain; a=b\n',
      'multipart/mixed; boundary=x',
      'Message/rfc822',
    ],
    ...['text/plain; a="\\""', 'text/plain (comment)', ';'.repeat(100)],
  ])('must not be %j', (contentType) => {
    expect(checkContentType(contentType)).toMatch(/^`content_type` /);
  });

  it('comes from the extension where it is not given', () => {
    expect(contentTypeOf('a.PDF')).toBe('application/pdf');
    expect(contentTypeOf('a.b.png')).toBe('image/png');
    expect(contentTypeOf('mail.eml')).toBe('application/octet-stream');
    for (const filename of ['a', 'a.', 'a.nothing-known', 'a.__proto__', 'a.constructor']) {
      expect(contentTypeOf(filename)).toBe('application/octet-stream');
    }
  });
});

describe('content ids', () => {
  it.each(['logo', 'logo.1@example.com', 'a-b_c'])('may be %j', (contentId) => {
    expect(checkContentId(contentId)).toBeUndefined();
  });

  it.each(['', '<a>', 'a b', 'a\r\nb', 'a@b@c', 'ü', 'a>', '"a"', 'a'.repeat(129)])(
    'must not be %j',
    (contentId) => {
      expect(checkContentId(contentId)).toMatch(/^`content_id` /);
    },
  );
});

describe('parseBase64Strict', () => {
  it('decodes whatever was encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(parseBase64Strict(Buffer.from(bytes).toString('base64'))).toEqual(new Uint8Array(bytes));
      }),
    );
  });

  it.each([
    ...[
      'A',
      'AA',
      'AAA',
      'AAAAA',
      '=',
      '====',
      'A===',
      'AA=A',
      'AA==AAAA',
      'AAAA====',
      'AA=='.repeat(2),
      'AAA=AAAA',
    ],
    ...[
      'AA-_',
      'AA A',
      ' AAA',
      'AAA\n',
      'AAAA\r\n\r\n',
      'AB==',
      'AAB=',
      'AAA*',
      'AAA\u0141',
      'AAA\u2141',
      'A\u0000AA',
      'AAAé',
    ],
    'data:;base64,AAAA',
  ])('refuses %j', (text) => {
    expect(parseBase64Strict(text)).toBeUndefined();
  });

  it('refuses one wrong character anywhere in a long text', () => {
    const good = 'QUJD'.repeat(2 ** 18);
    for (const wrong of ['-', '_', '=', ' ', '\n', '*', '\u0141', '\uFF21']) {
      for (const at of [0, good.length / 2, good.length - 3]) {
        expect(parseBase64Strict(good.slice(0, at) + wrong + good.slice(at + 1))).toBeUndefined();
      }
    }
  });

  it('decodes 13 MB', () => {
    expect(parseBase64Strict('QUJD'.repeat(3.25 * 2 ** 20))).toHaveLength(3 * 3.25 * 2 ** 20);
  });
});

describe('a megabyte of hostile input', () => {
  it('is refused everywhere', () => {
    for (const unit of ['a', '/', ';', '"', '=', ' ', 'a/b;', '; a=', '\\', '.', '<', '@']) {
      const flood = unit.repeat(Math.ceil(2 ** 20 / unit.length));
      expect(checkFilename(flood)).toBeDefined();
      expect(checkContentType(`text/plain${flood}`)).toBeDefined();
      expect(checkContentId(flood)).toBeDefined();
      expect(contentTypeOf(flood)).toBe('application/octet-stream');
    }
  });
});
