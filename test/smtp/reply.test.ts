import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplyParser } from '../../src/smtp/reply.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

function parse(...pieces: Uint8Array[]) {
  const parser = new ReplyParser();
  const replies = [];
  let fault: string | undefined;
  for (const piece of pieces) {
    const parsed = parser.push(piece);
    replies.push(...parsed.replies);
    fault = parsed.fault;
  }
  return { replies, fault, midReply: parser.midReply };
}

const REPLIES: [title: string, input: string, expected: unknown[]][] = [
  ['one line', '250 ok\r\n', [{ code: 250, lines: ['ok'] }]],
  ['a code alone', '250\r\n', [{ code: 250, lines: [''] }]],
  ['a code and a space', '250 \r\n', [{ code: 250, lines: [''] }]],
  ['a line ended by LF alone', '250 ok\n', [{ code: 250, lines: ['ok'] }]],
  ['several lines', '250-a\r\n250-b\r\n250 c\r\n', [{ code: 250, lines: ['a', 'b', 'c'] }]],
  ['several lines, the last a code alone', '250-a\r\n250\r\n', [{ code: 250, lines: ['a', ''] }]],
  [
    'several replies at once',
    '250 a\r\n354 b\r\n',
    [
      { code: 250, lines: ['a'] },
      { code: 354, lines: ['b'] },
    ],
  ],
  ['an enhanced code', '550 5.1.1 who?\r\n', [{ code: 550, enhanced: '5.1.1', lines: ['5.1.1 who?'] }]],
  ['an enhanced code alone', '250 2.0.0\r\n', [{ code: 250, enhanced: '2.0.0', lines: ['2.0.0'] }]],
  ['an enhanced code of another class', '250 5.1.1 x\r\n', [{ code: 250, lines: ['5.1.1 x'] }]],
  [
    'an enhanced code in a later line',
    '450-x\r\n450 4.2.1 y\r\n',
    [{ code: 450, enhanced: '4.2.1', lines: ['x', '4.2.1 y'] }],
  ],
  ['a number that is no enhanced code', '550 5.1.1.1 x\r\n', [{ code: 550, lines: ['5.1.1.1 x'] }]],
  ['an IP address', '421 4.3.2.1 x\r\n', [{ code: 421, lines: ['4.3.2.1 x'] }]],
  ['UTF-8', '250 grüße 🐦\r\n', [{ code: 250, lines: ['grüße 🐦'] }]],
  [
    'control characters',
    '250 a\x1b[1mb\rc\u0085d\u2028e\tf\r\n',
    [{ code: 250, lines: ['a\ufffd[1mb\ufffdc\ufffdd\ufffde\tf'] }],
  ],
  ['an unfinished line', '250 o', []],
  ['an unfinished reply', '250-o\r\n', []],
];

const FAULTS: [title: string, input: string][] = [
  ['text without a code', 'hello\r\n'],
  ['an empty line', '\r\n'],
  ['an HTTP answer', 'HTTP/1.1 400 Bad Request\r\n'],
  ['a code below 200', '199 x\r\n'],
  ['a code above 599', '600 x\r\n'],
  ['four digits', '2500 x\r\n'],
  ['an unknown separator', '250_x\r\n'],
  ['a code that changes', '250-a\r\n251 b\r\n'],
  ['a NUL', '250 a\0b\r\n'],
  ['a line that is too long', `250 ${'x'.repeat(2_000)}\r\n`],
  ['a line without an end', `250 ${'x'.repeat(2_000)}`],
  ['too many lines', '250-x\r\n'.repeat(201)],
  ['too many octets', `250-${'x'.repeat(1_900)}\r\n`.repeat(40)],
];

describe('the reply parser', () => {
  test.each(REPLIES)('reads %s, however the bytes are cut', (_title, input, expected) => {
    const bytes = bytesOf(input);
    expect(parse(bytes)).toMatchObject({ replies: expected, fault: undefined });
    expect(parse(...Array.from(bytes, (byte) => Uint8Array.of(byte))).replies).toEqual(expected);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(parse(bytes.subarray(0, cut), bytes.subarray(cut)).replies).toEqual(expected);
    }
  });

  test.each(FAULTS)('refuses %s, however the bytes are cut', (_title, input) => {
    const bytes = bytesOf(input);
    const { fault } = parse(bytes);
    expect(fault).toBeTypeOf('string');
    expect(parse(...Array.from(bytes, (byte) => Uint8Array.of(byte))).fault).toBe(fault);
  });

  test('gives the replies before a fault, and nothing after it', () => {
    const parser = new ReplyParser();
    expect(parser.push(bytesOf('250 a\r\nboom\r\n250 b\r\n')).replies).toHaveLength(1);
    expect(parser.push(bytesOf('250 c\r\n'))).toMatchObject({ replies: [], fault: expect.any(String) });
  });

  test('accepts the longest line and the most lines', () => {
    const { replies, fault } = parse(bytesOf(`${'250-x\r\n'.repeat(199)}250 ${'y'.repeat(1_995)}\r\n`));
    expect(fault).toBeUndefined();
    expect(replies[0]?.lines).toHaveLength(200);
  });

  test('knows whether it stands inside a reply', () => {
    expect(parse(bytesOf('250 a\r\n')).midReply).toBe(false);
    expect(parse(bytesOf('2')).midReply).toBe(true);
    expect(parse(bytesOf('250-a\r\n')).midReply).toBe(true);
  });

  test('gives the same for any bytes, however they are cut', () => {
    const line = fc.oneof(
      fc.constantFrom('250 ok\r\n', '250-a\r\n', '550 5.1.1 ü\r\n', '250-a\r\n250 b\n', '\r', '\n', 'x'),
      fc.string({ unit: 'binary', maxLength: 8 }),
    );
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(400)), (lines, cuts) => {
        const bytes = bytesOf(lines.join(''));
        const places = cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b);
        const pieces = [0, ...places].map((start, index) =>
          bytes.subarray(start, places[index] ?? bytes.length),
        );
        expect(parse(...pieces)).toEqual(parse(bytes));
      }),
    );
  });
});
