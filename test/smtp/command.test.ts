import { describe, expect, test } from 'vitest';
import { NO_CAPABILITIES, readCapabilities } from '../../src/smtp/capabilities.ts';
import * as command from '../../src/smtp/command.ts';
import type { Envelope } from '../../src/smtp/types.ts';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const everything = readCapabilities({
  code: 250,
  lines: ['x', 'SIZE 1000', '8BITMIME', 'SMTPUTF8', 'PIPELINING'],
});
const envelope: Envelope = {
  from: 'a@x.example',
  recipients: ['b@y.example'],
  sizeBytes: 12,
  eightBit: false,
  smtpUtf8: false,
};

const ENDS_A_LINE_OR_PATH = {
  CR: '\r',
  LF: '\n',
  CRLF: '\r\n',
  NUL: '\0',
  VT: '\v',
  FF: '\f',
  ESC: '\x1b',
  DEL: '\x7f',
  NEL: '\u0085',
  LS: '\u2028',
  PS: '\u2029',
  'a space': ' ',
  'a no-break space': '\u00a0',
  'an ideographic space': '\u3000',
  'a tab': '\t',
  'an opening bracket': '<',
  'a closing bracket': '>',
  'a lone surrogate': '\ud800',
  'a whole injected command': '>\r\nRCPT TO:<evil@x.example',
};

/** Characters whose low byte, or whose encoded form, is CR or LF: harmless as UTF-8, refused as ASCII. */
const LOOKS_LIKE_A_LINE_END = {
  'U+010A': '\u010a',
  'U+010D': '\u010d',
  'U+560A': '\u560a',
  'U+560D': '\u560d',
  'U+760A': '\u760a',
  'U+760D': '\u760d',
};

/** Plain ASCII that only a decoder would turn into a line end. Nothing here decodes. */
const HARMLESS = ['%0d%0a', '\\r\\n', '=?utf-8?q?=0d=0a?='];

describe('command lines', () => {
  test('are built to the letter', () => {
    expect(text(command.ehlo('relay.example'))).toBe('EHLO relay.example\r\n');
    expect(text(command.ehlo('[192.0.2.1]'))).toBe('EHLO [192.0.2.1]\r\n');
    expect(text(command.helo('[IPv6:2001:db8::1]'))).toBe('HELO [IPv6:2001:db8::1]\r\n');
    expect(text(command.rcpt('b@y.example', false))).toBe('RCPT TO:<b@y.example>\r\n');
    expect([command.STARTTLS, command.DATA, command.RSET, command.NOOP, command.QUIT].map(text)).toEqual([
      'STARTTLS\r\n',
      'DATA\r\n',
      'RSET\r\n',
      'NOOP\r\n',
      'QUIT\r\n',
    ]);
  });

  test('MAIL has the parameters that are needed and offered, and no others', () => {
    expect(text(command.mail(envelope, NO_CAPABILITIES))).toBe('MAIL FROM:<a@x.example>\r\n');
    expect(text(command.mail({ ...envelope, eightBit: true }, NO_CAPABILITIES))).toBe(
      'MAIL FROM:<a@x.example>\r\n',
    );
    expect(text(command.mail({ ...envelope, from: '' }, everything))).toBe('MAIL FROM:<> SIZE=12\r\n');
    expect(
      text(command.mail({ ...envelope, from: 'ä@x.example', eightBit: true, smtpUtf8: true }, everything)),
    ).toBe('MAIL FROM:<ä@x.example> SIZE=12 BODY=8BITMIME SMTPUTF8\r\n');
  });

  test('SMTPUTF8 is refused where it is not offered', () => {
    expect(() => command.mail({ ...envelope, smtpUtf8: true }, NO_CAPABILITIES)).toThrow(
      command.CommandError,
    );
  });

  test.each([Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY])('a size of %s is refused', (sizeBytes) => {
    expect(() => command.mail({ ...envelope, sizeBytes }, everything)).toThrow(command.CommandError);
  });

  describe.each(Object.entries(ENDS_A_LINE_OR_PATH))('%s', (_name, nasty) => {
    test.each(['start', 'middle', 'end'])('is refused at the %s of every argument', (place) => {
      const value =
        { start: `${nasty}a@x.example`, middle: `a${nasty}@x.example`, end: `a@x.example${nasty}` }[place] ??
        '';
      for (const smtpUtf8 of [false, true]) {
        expect(() => command.mail({ ...envelope, from: value, smtpUtf8 }, everything)).toThrow(
          command.CommandError,
        );
        expect(() => command.rcpt(value, smtpUtf8)).toThrow(command.CommandError);
      }
      expect(() => command.ehlo(value)).toThrow(command.CommandError);
      expect(() => command.helo(value)).toThrow(command.CommandError);
    });
  });

  test.each(Object.entries(LOOKS_LIKE_A_LINE_END))(
    '%s is one character of UTF-8, or refused',
    (_name, character) => {
      const address = `a${character}@x.example`;
      expect(() => command.rcpt(address, false)).toThrow(command.CommandError);
      expect(text(command.rcpt(address, true))).toBe(`RCPT TO:<${address}>\r\n`);
      expect(() => command.ehlo(`a${character}.example`)).toThrow(command.CommandError);
    },
  );

  test.each(HARMLESS)('%s stays what it is', (value) => {
    expect(text(command.rcpt(`${value}@x.example`, false))).toBe(`RCPT TO:<${value}@x.example>\r\n`);
  });

  test('an empty recipient and an empty name are refused', () => {
    expect(() => command.rcpt('', false)).toThrow(command.CommandError);
    expect(() => command.ehlo('')).toThrow(command.CommandError);
  });

  test('a line has at most 512 octets, counted after encoding', () => {
    const longest = 'x'.repeat(512 - 'RCPT TO:<>\r\n'.length);
    expect(command.rcpt(longest, false)).toHaveLength(512);
    expect(() => command.rcpt(`${longest}x`, false)).toThrow('too long');
    expect(() => command.rcpt(`ü${longest.slice(1)}`, true)).toThrow('too long');
  });

  test('an AUTH line has at most 12288 octets', () => {
    expect(command.authLine('x'.repeat(12_286))).toHaveLength(12_288);
    expect(() => command.authLine('x'.repeat(12_287))).toThrow('too long');
  });

  test('an error names the field and not the value', () => {
    expect(() => command.rcpt('s3cret\r\n@x.example', false)).toThrow(
      'Invalid `recipient`: it contains an angle bracket, a space or a control character.',
    );
  });
});

describe('capabilities', () => {
  test('are read from the reply to EHLO', () => {
    const lines = [
      'mx.example',
      'SIZE 35882577',
      '8bitmime',
      'AUTH PLAIN LOGIN',
      'AUTH=PLAIN',
      'STARTTLS',
      'X-OTHER a b',
    ];
    expect(readCapabilities({ code: 250, lines })).toEqual({
      pipelining: false,
      eightBitMime: true,
      smtpUtf8: false,
      enhancedStatusCodes: false,
      size: 35882577,
      authMethods: ['PLAIN', 'LOGIN', 'PLAIN'],
      startTls: true,
      keywords: ['SIZE', '8BITMIME', 'AUTH', 'STARTTLS', 'X-OTHER'],
    });
  });

  test('SIZE without a limit, or with nonsense, is no limit', () => {
    for (const line of ['SIZE', 'SIZE 0', 'SIZE -5', 'SIZE 1e9', 'SIZE 99999999999999999999']) {
      expect(readCapabilities({ code: 250, lines: ['x', line] }).size).toBe(0);
    }
    expect(readCapabilities({ code: 250, lines: ['SIZE 10'] }).size).toBeUndefined();
  });
});
