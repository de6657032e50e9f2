/** What an API is hurt with: texts, ids, numbers and documents. */
import fc from 'fast-check';

/**
 * Marked words. `TEXT_MARK` is in content: it may come back in what was stored, never in an error or the log.
 * `SECRET_MARK` is in passwords and keys: it may come back nowhere. Letters only, so that they fit any field.
 */
export const TEXT_MARK = 'zqtextmarkqz';
export const SECRET_MARK = 'zqsecretmarkqz';

export const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '\0',
  'a\0b',
  'a\r\nBcc: b@example.net',
  '\r\n.\r\nMAIL FROM:<x@example.net>',
  '\n',
  '\u2028\u2029',
  '\ufeff',
  '\ud800',
  'a\udfffb',
  '\u{10ffff}\ufffe\uffff',
  '\u202e\u200f\u2066abc',
  'e\u0301'.repeat(20),
  `a${'\u0300'.repeat(200)}`,
  '👩‍👩‍👧‍👦'.repeat(10),
  'İıſK',
  '＠．example',
  '__proto__',
  'constructor',
  'toString',
  'null',
  'NaN',
  '-1',
  '1e999',
  '0x10',
  "' OR 1=1 --",
  '"; DROP TABLE accounts; --',
  '%',
  '%s%n%x',
  '%00',
  '{{7*7}}<%= 7 %>',
  '$& $1 $$ $`',
  '../../etc/passwd',
  '<script>alert(1)</script>',
  'a@b@c',
  '@',
  'a@',
  '<>',
  '"a b"@example.net',
  'a@[127.0.0.1]',
  'a@xn--a.example',
  'ü@example.net',
  'a@exämple.example',
  'Name <a@example.net',
  'a@example.net, b@example.net',
  '=?utf-8?b?AAAA?=',
  'x'.repeat(255),
  'x'.repeat(1001),
  'a.'.repeat(128),
  `${'a'.repeat(64)}@${'b'.repeat(63)}.example`,
];

/** Free text, mostly marked. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 40 }).map((text) => TEXT_MARK + text) },
  { weight: 2, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  { weight: 1, arbitrary: fc.array(fc.nat(0xffff), { maxLength: 12 }).map((c) => String.fromCharCode(...c)) },
);

export const anyNumber: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, -0, -1, 1.5, 101, 65_536, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, 5e-324),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

export const anyJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, [], {}, [null], [[]], { a: 1 }),
  anyNumber,
  anyText,
  fc.jsonValue({ maxDepth: 3 }),
);

/** In a path, already in the form in which it is sent. */
export const HOSTILE_SEGMENTS: readonly string[] = [
  '%2F',
  '%2e',
  '%2e%2e',
  '..%2f..%2fadmin%2faccounts',
  '%00',
  'a%00b',
  '%0d%0aX-Injected:%20yes',
  '%',
  '%zz',
  '%E0%A4%A',
  '%ff%fe',
  '%ED%A0%80',
  '%25',
  '%2500',
  '%3F',
  '%23',
  '%20',
  '+',
  '*',
  ':id',
  '~',
  ';a=b',
  '__proto__',
  'constructor',
  'undefined',
  'null',
  '0',
  '-1',
  '1e9',
  '99999',
  'batch',
  "'%20OR%201=1--",
  'x'.repeat(64),
  'x'.repeat(65),
  'x'.repeat(3000),
  `msg_${'z'.repeat(26)}`,
  `msg_${'0'.repeat(26)}`,
  `msg_${'0'.repeat(25)}`,
  `msg_${'0'.repeat(25)}I`,
  `MSG_${'0'.repeat(26)}`,
  '%6d%73%67_01jdf3x8a0q4m7wz2e5c9tgkbn',
];

/** Bodies that are no JSON, or JSON that a parser should not be given. */
export const anyRawBody: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  anyText.map((text) => Buffer.from(text)),
  anyJson.map((value) => Buffer.from(JSON.stringify(value) ?? '')),
  fc
    .constantFrom(
      '',
      '{',
      '[]',
      '[',
      '"',
      'nul',
      '{"a":1}{"b":2}',
      '{"a":1,"a":2}',
      '{"a":1,}',
      "{'a':1}",
      '\ufeff{}',
      '{"__proto__":{"x":1}}',
      '{"constructor":{"prototype":{}}}',
      '{"a":"\\ud800"}',
      '{"\\udfff":1}',
      '{"a":1e999}',
      '{"a":-0}',
      `{"a":${'9'.repeat(400)}}`,
      '{"a":\u0000}',
      '[{}]',
      '[[{}]]',
      `${'['.repeat(33)}${']'.repeat(33)}`,
      '['.repeat(100_000),
      '{"a":'.repeat(50_000),
      `[${'0,'.repeat(30_000)}0]`,
      `[${'[],'.repeat(20_001)}[]]`,
      `{${Array.from({ length: 10_001 }, (_, at) => `"k${at}":0`).join()}}`,
      `{"name":"${TEXT_MARK}${'x'.repeat(70_000)}"}`,
      `"${TEXT_MARK}`,
    )
    .map((text) => Buffer.from(text)),
  fc
    .constantFrom('{"name":"\xff"}', '{"a":"\xc0\xaf"}', '\xff\xfe{\0}\0')
    .map((text) => Buffer.from(text, 'latin1')),
);
