import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { ADDRESS_REASONS, formatMailbox, parseMailbox } from '../../src/mime/address.ts';
import { DOMAIN_REASONS } from '../../src/mime/domain.ts';

describe('accepted mailboxes', () => {
  it.each([
    ['a@example.com', undefined, 'a@example.com'],
    ['<a@example.com>', undefined, 'a@example.com'],
    ['Name <a@example.com>', 'Name', 'a@example.com'],
    ['Name<a@example.com>', 'Name', 'a@example.com'],
    ['"Quoted, Name" <a@example.com>', 'Quoted, Name', 'a@example.com'],
    ['"say \\"hi\\" \\\\ <b@evil.com>" <a@example.com>', 'say "hi" \\ <b@evil.com>', 'a@example.com'],
    ['"" <a@example.com>', undefined, 'a@example.com'],
    ['Acme Inc. <a@example.com>', 'Acme Inc.', 'a@example.com'],
    ['A   b <a@example.com>', 'A b', 'a@example.com'],
    ['Zoë Ćirić 山田 <a@example.com>', 'Zoë Ćirić 山田', 'a@example.com'],
    ['\u010A\u010D\u560A\u560D <a@example.com>', '\u010A\u010D\u560A\u560D', 'a@example.com'],
    ['=?utf-8?q?=0d=0a?= <a@example.com>', '=?utf-8?q?=0d=0a?=', 'a@example.com'],
    ['%0d%0a <a@example.com>', '%0d%0a', 'a@example.com'],
    ['Mixed.Case+tag@EXAMPLE.Com', undefined, 'Mixed.Case+tag@example.com'],
    ['user%host!path@example.com', undefined, 'user%host!path@example.com'],
    ["!#$%&`*+/=?^`{|}~'@example.com", undefined, "!#$%&`*+/=?^`{|}~'@example.com"],
    ['a@localhost', undefined, 'a@localhost'],
    ['a@straße.example', undefined, 'a@xn--strae-oqa.example'],
    ['a@BÜCHER.example', undefined, 'a@xn--bcher-kva.example'],
    ['a@bu\u0308cher.example', undefined, 'a@xn--bcher-kva.example'],
    ['a@XN--BCHER-KVA.example', undefined, 'a@xn--bcher-kva.example'],
    ['a@παράδειγμα.δοκιμή', undefined, 'a@xn--hxajbheg2az3al.xn--jxalpdlp'],
    ['a@例え.テスト', undefined, 'a@xn--r8jz45g.xn--zckzah'],
    ['a@c--n.com', undefined, 'a@c--n.com'],
  ])('reads %j', (input, name, address) => {
    const parsed = parseMailbox(input);
    expect(parsed).toMatchObject({ ok: true, mailbox: { address, smtpUtf8: false } });
    expect(parsed.ok && parsed.mailbox.name).toBe(name);
  });

  it.each([
    ['用户@example.com', '用户@example.com'],
    ['jose\u0301@example.com', 'jos\u00e9@example.com'],
    ['\u010A\u560D@example.com', '\u010A\u560D@example.com'],
    ['ผู้ใช้คำ@example.com', 'ผู้ใช้คำ@example.com'],
    ['дима@бюро.example', 'дима@xn--90a0af9c.example'],
  ])('marks %j as SMTPUTF8 and composes it', (input, address) => {
    expect(parseMailbox(input)).toMatchObject({ ok: true, mailbox: { address, smtpUtf8: true } });
  });

  it('takes local parts of 64 octets and no more', () => {
    expect(parseMailbox(`${'a'.repeat(64)}@example.com`).ok).toBe(true);
    expect(parseMailbox(`${'a'.repeat(65)}@example.com`)).toMatchObject({
      reason: ADDRESS_REASONS.localTooLong,
    });
    expect(parseMailbox(`${'é'.repeat(32)}@example.com`).ok).toBe(true);
    expect(parseMailbox(`${'é'.repeat(33)}@example.com`)).toMatchObject({
      reason: ADDRESS_REASONS.localTooLong,
    });
  });

  it('takes labels of 63 octets, and addresses of 254 in all', () => {
    const label = 'b'.repeat(63);
    expect(parseMailbox(`a@${label}.com`).ok).toBe(true);
    expect(parseMailbox(`a@${label}b.com`)).toMatchObject({ reason: DOMAIN_REASONS.label });
    expect(parseMailbox(`a@${label}.${label}.${label}.${'c'.repeat(60)}`).ok).toBe(true);
    expect(parseMailbox(`a@${label}.${label}.${label}.${'c'.repeat(61)}`)).toMatchObject({
      reason: ADDRESS_REASONS.tooLong,
    });
    expect(parseMailbox(`a@${label}.${label}.${label}.${label}.c`)).toMatchObject({
      reason: DOMAIN_REASONS.tooLong,
    });
  });
});

describe('refused mailboxes', () => {
  it.each([
    ['', ADDRESS_REASONS.empty],
    ['<>', ADDRESS_REASONS.empty],
    ['Name <>', ADDRESS_REASONS.empty],
    ['a', ADDRESS_REASONS.at],
    ['@example.com', ADDRESS_REASONS.localEmpty],
    ['a@', DOMAIN_REASONS.empty],
    ['a@b@c.example', ADDRESS_REASONS.at],
    ['"a@evil.com x"@good.com', ADDRESS_REASONS.quotedLocal],
    ['"a<b"@example.com', ADDRESS_REASONS.quotedLocal],
    ['"a<b>"@example.com', ADDRESS_REASONS.quotedLocal],
    ['x <"a b"@example.com>', ADDRESS_REASONS.quotedLocal],
    ['a@good.com<b@evil.com>', ADDRESS_REASONS.nameSpecial],
    ['a@good.com <b@evil.com>', ADDRESS_REASONS.nameSpecial],
    ['<a@good.com> <b@evil.com>', ADDRESS_REASONS.brackets],
    ['<a@good.com>b@evil.com', ADDRESS_REASONS.brackets],
    ['x <<a@good.com>>', ADDRESS_REASONS.brackets],
    ['a@good.com>', ADDRESS_REASONS.brackets],
    ['"x" y <a@good.com>', ADDRESS_REASONS.nameQuotes],
    ['"x <a@good.com>', ADDRESS_REASONS.nameQuotes],
    ['a(b@c)@d.example', ADDRESS_REASONS.comment],
    ['a@d.example(comment)', ADDRESS_REASONS.comment],
    ['John (work) <a@d.example>', ADDRESS_REASONS.nameSpecial],
    ['group: a@b.example;', ADDRESS_REASONS.group],
    ['Group:;', ADDRESS_REASONS.group],
    ['@x:y@z.example', ADDRESS_REASONS.group],
    ['<@x,@y:a@z.example>', ADDRESS_REASONS.group],
    ['a@x.example, b@y.example', ADDRESS_REASONS.group],
    ['a@x.example b', ADDRESS_REASONS.space],
    [' a@x.example', ADDRESS_REASONS.outerSpace],
    ['a@x.example ', ADDRESS_REASONS.outerSpace],
    ['a@[127.0.0.1]', DOMAIN_REASONS.literal],
    ['a@[IPv6:::1]', DOMAIN_REASONS.literal],
    ['a@127.0.0.1', DOMAIN_REASONS.numeric],
    ['a@127.1', DOMAIN_REASONS.numeric],
    ['a@2130706433', DOMAIN_REASONS.numeric],
    ['a@0x7f.0x1', DOMAIN_REASONS.numeric],
    ['a@x.example.', DOMAIN_REASONS.trailingDot],
    ['a@.x.example', DOMAIN_REASONS.label],
    ['a@x..example', DOMAIN_REASONS.label],
    ['a@-x.example', DOMAIN_REASONS.hyphen],
    ['a@x_y.example', DOMAIN_REASONS.character],
    ['a@x%2ey.example', DOMAIN_REASONS.character],
    ['a@x/y.example', DOMAIN_REASONS.character],
    ['a@x?y.example', DOMAIN_REASONS.character],
    ['a@x#y.example', DOMAIN_REASONS.character],
    ['a@x\\y.example', DOMAIN_REASONS.character],
    ['a@xn--0049.example', DOMAIN_REASONS.idn],
    ['a@xn--x-0049.example', DOMAIN_REASONS.idn],
    ['a@xn--.example', DOMAIN_REASONS.hyphen],
    ['a@xn--a.example', DOMAIN_REASONS.idn],
    ['a@xn--abc-.example', DOMAIN_REASONS.hyphen],
    ['a@xn--x-0049.ü.example', DOMAIN_REASONS.idn],
    ['a@x\uFF0Eexample', DOMAIN_REASONS.character],
    ['a@x\u3002example', DOMAIN_REASONS.character],
    ['a@x\uFF61example', DOMAIN_REASONS.character],
    ['a@e\uFF58ample.com', DOMAIN_REASONS.character],
    ['a@\u212Aelvin.example', DOMAIN_REASONS.character],
    ['a@x\u200By.example', DOMAIN_REASONS.character],
    ['a@x\u200Dy.example', DOMAIN_REASONS.character],
    ['a@x\u00ADy.example', DOMAIN_REASONS.character],
    ['a@x\u202Ey.example', DOMAIN_REASONS.character],
    ['a@☃.example', DOMAIN_REASONS.character],
    ['=?utf-8?q?a?=@x.example', ADDRESS_REASONS.encodedWord],
    ['a.=?utf-8?q?=40?=b@x.example', ADDRESS_REASONS.encodedWord],
    ['.a@x.example', ADDRESS_REASONS.localDot],
    ['a.@x.example', ADDRESS_REASONS.localDot],
    ['a..b@x.example', ADDRESS_REASONS.localDot],
    ['a\uFF0Eb@x.example', ADDRESS_REASONS.localCharacter],
    ['a\uFF20b@x.example', ADDRESS_REASONS.localCharacter],
    ['\uFF41@x.example', ADDRESS_REASONS.localCharacter],
    ['a\u200Bb@x.example', ADDRESS_REASONS.localCharacter],
    ['a\u202Eb@x.example', ADDRESS_REASONS.localCharacter],
    ['a\uFEFFb@x.example', ADDRESS_REASONS.localCharacter],
    ['a\uE000b@x.example', ADDRESS_REASONS.localCharacter],
    ['a\u0378b@x.example', ADDRESS_REASONS.localCharacter],
    ['a=\u0338b@x.example', ADDRESS_REASONS.localCharacter],
    ['\u0301a@x.example', ADDRESS_REASONS.localCharacter],
    ['a\\b@x.example', ADDRESS_REASONS.localCharacter],
    ['a\uD800b@x.example', ADDRESS_REASONS.notUnicode],
    ['a\u202Eb <a@x.example>', ADDRESS_REASONS.nameBidi],
    [`${'n'.repeat(201)} <a@x.example>`, ADDRESS_REASONS.nameTooLong],
  ])('refuses %j', (input, reason) => {
    expect(parseMailbox(input)).toEqual({ ok: false, reason });
  });

  const controls = ['\r', '\n', '\r\n', '\0', '\t', '\v', '\f', '\x7f', '\u0085', '\u2028', '\u2029'];
  const places = [
    'X@x.example',
    'aX@x.example',
    'a@Xx.example',
    'a@x.exampleX',
    'nX <a@x.example>',
    '"X" <a@x.example>',
  ];
  test.each(places)('refuses control characters in the place of X in %j', (place) => {
    for (const control of controls) {
      expect(parseMailbox(place.replace('X', control))).toEqual({
        ok: false,
        reason: ADDRESS_REASONS.control,
      });
    }
  });

  it('answers a megabyte of hostile input', () => {
    for (const unit of [
      '(',
      '"',
      '\\',
      '<',
      '>',
      '@',
      '.',
      'a.',
      ' ',
      'a:',
      ';',
      '=?',
      'xn--',
      '\u0301',
      '((a@b)',
      '[',
    ]) {
      const flood = unit.repeat(Math.ceil(2 ** 20 / unit.length));
      for (const input of [
        flood,
        `a@${flood}`,
        `${flood}@a.example`,
        `${flood} <a@b.example>`,
        `"${flood}`,
      ]) {
        expect(parseMailbox(input).ok).toBe(false);
      }
    }
  });
});

describe('whatever is accepted', () => {
  const pieces = fc.constantFrom(
    ...[
      'a',
      'B',
      '.',
      '@',
      '<',
      '>',
      '"',
      '\\',
      ' ',
      ',',
      ':',
      ';',
      '(',
      ')',
      '[',
      ']',
      'xn--',
      '-',
      'é',
      '用',
      '\u0301',
    ],
    ...[
      '=?',
      '?=',
      'ß',
      '\u200d',
      '\u3002',
      '\uFF0E',
      '\r\n',
      '\u010A',
      '💌',
      '.com',
      'example',
      '0x7f',
      '1',
      '\u0338',
    ],
  );

  it('is read back to the same mailbox from its own serialisation', () => {
    const inputs = fc.oneof(
      fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
      fc
        .tuple(fc.array(pieces, { maxLength: 8 }), fc.array(pieces, { maxLength: 4 }))
        .map(
          ([name, local]) => `"${name.join('').replace(/["\\]/g, '\\$&')}" <${local.join('')}a@example.com>`,
        ),
    );
    let accepted = 0;
    fc.assert(
      fc.property(inputs, (input) => {
        const parsed = parseMailbox(input);
        if (!parsed.ok) return;
        accepted++;
        const { mailbox } = parsed;
        expect(parseMailbox(formatMailbox(mailbox))).toEqual(parsed);
        expect(parseMailbox(mailbox.address)).toMatchObject({
          ok: true,
          mailbox: { address: mailbox.address },
        });
        expect(mailbox.address).toBe(`${mailbox.local}@${mailbox.domain}`);
        expect(mailbox.domain).toMatch(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/);
        expect(mailbox.local).toMatch(/^[^\p{C}\p{Z}()<>[\]:;@\\,"]+$/u);
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });
});
