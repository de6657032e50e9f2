import { describe, expect, it } from 'vitest';
import { checkHeaderText } from '../../src/mime/characters.ts';
import { checkHeader, checkHeaders } from '../../src/mime/header.ts';

const CONTROLS = ['\r', '\n', '\r\n', '\0', '\t', '\v', '\f', '\x1b', '\x7f', '\u0085', '\u2028', '\u2029'];

describe('header names', () => {
  it.each([
    'X-Entity-Ref-ID',
    'List-ID',
    'List-Help',
    'Auto-Submitted',
    'Importance',
    'x_y.z',
    'X-To',
    'Tos',
  ])('allows %s', (name) => {
    expect(checkHeader({ name, value: 'v' })).toBeUndefined();
  });

  it.each([
    ...[
      'From',
      'To',
      'cc',
      'BCC',
      'Subject',
      'Date',
      'Message-ID',
      'Reply-To',
      'Sender',
      'Return-Path',
      'Received',
    ],
    ...[
      'DKIM-Signature',
      'ARC-Seal',
      'ARC-Anything',
      'Authentication-Results',
      'MIME-Version',
      'Content-Type',
    ],
    ...['content-transfer-encoding', 'Resent-To', 'Resent-Bcc', 'Delivered-To', 'Received-SPF'],
  ])('refuses %s by its name', (name) => {
    expect(checkHeader({ name, value: 'v' })).toBe(`the header \`${name}\` cannot be set`);
  });

  it.each([
    '',
    ' ',
    'From ',
    ' From',
    'X:Y',
    'X Y',
    'From: a@b (',
    'X\r\nBcc',
    'X\n',
    'Ü',
    '-X',
    'X\0',
    'x'.repeat(77),
  ])('refuses %j without repeating it', (name) => {
    const reason = checkHeader({ name, value: 'v' });
    expect(reason).toMatch(/^a header name /);
    expect(reason).not.toMatch(/[\r\n\0]/);
  });

  it('refuses __proto__ like any other strange name', () => {
    expect(checkHeader({ name: '__proto__', value: 'v' })).toMatch(/^a header name /);
  });

  it('refuses the same header twice, whatever its spelling', () => {
    const headers = [
      { name: 'X-A', value: '1' },
      { name: 'x-a', value: '2' },
    ];
    expect(checkHeaders(headers)).toBe('the header `x-a` is given twice');
    expect(checkHeaders(headers.slice(0, 1))).toBeUndefined();
  });
});

describe('header values', () => {
  it('may be any text', () => {
    for (const value of [
      'a "b"; c=d',
      'Grüße',
      '\u010A\u560D',
      '=?utf-8?q?=0d=0a?=',
      '%0d%0aBcc: x',
      '\\r\\n',
    ]) {
      expect(checkHeader({ name: 'X-A', value })).toBeUndefined();
    }
  });

  it.each(CONTROLS)('refuses the control character %j at start, middle and end', (control) => {
    for (const value of [`${control}a`, `a${control}b`, `a${control}`]) {
      expect(checkHeader({ name: 'X-A', value })).toMatch(/^the value of the header `X-A` /);
    }
  });

  it.each(['', ' ', ' a', 'a ', 'a\uD800', 'a'.repeat(4001)])('refuses %j', (value) => {
    expect(checkHeader({ name: 'X-A', value })).toMatch(/^the value of the header `X-A` /);
  });

  it.each([
    ['List-Unsubscribe', '<https://example.com/u?t=1>', true],
    ['List-Unsubscribe', '<mailto:u@example.com>, <https://example.com/u>', true],
    ['List-Unsubscribe', 'https://example.com/u', false],
    ['List-Unsubscribe', '<javascript:alert(1)>', false],
    ['List-Unsubscribe', '<https://example.com/u> (comment)', false],
    ['List-Unsubscribe', '<https://exämple.com/u>', false],
    ['List-Unsubscribe', `<https://example.com/${'a'.repeat(900)}>`, false],
    ['List-Unsubscribe-Post', 'List-Unsubscribe=One-Click', true],
    ['List-Unsubscribe-Post', 'List-Unsubscribe=Two', false],
    ['In-Reply-To', '<a@b>', true],
    ['References', '<a@b> <c@d>', true],
    ['References', 'a@b', false],
    ['References', '<a@b> <c d>', false],
  ])('holds %s: %s to its grammar', (name, value, valid) => {
    expect(checkHeader({ name, value }) === undefined).toBe(valid);
  });
});

describe('checkHeaderText', () => {
  it.each(CONTROLS)('refuses %j and names the field', (control) => {
    expect(checkHeaderText('subject', `a${control}b`)).toBe(
      '`subject` must not contain control characters or line breaks',
    );
  });

  it('takes letters whose low byte is CR or LF', () => {
    expect(checkHeaderText('subject', '\u010A\u010D\u560A\u560D\u760A\u760D')).toBeUndefined();
  });

  it('refuses lone surrogates and overlong text', () => {
    expect(checkHeaderText('subject', '\uDC00')).toBe('`subject` must be well-formed Unicode');
    expect(checkHeaderText('subject', 'a'.repeat(2 ** 20))).toMatch(/longer than/);
  });
});
