import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { parseMailboxList } from '../../src/mime/mailbox-list.ts';
import { RawMessageError, RawMessageReader } from '../../src/mime/raw-message.ts';

const ADDITIONS = { id: 'msg_1', dateMs: Date.UTC(2026, 10, 24, 12, 34, 56) };
const COMPLETE = [
  'From: Ann <ann@example.com>',
  'To: bob@example.net',
  'Subject: Hello',
  'Date: Tue, 24 Nov 2026 10:00:00 +0100',
  'Message-ID: <1@example.com>',
];

function read(message: string | Uint8Array, cuts: readonly number[] = []) {
  const bytes = typeof message === 'string' ? Buffer.from(message, 'latin1') : message;
  const out: Uint8Array[] = [];
  const reader = new RawMessageReader(ADDITIONS, (part) => void out.push(part.slice()));
  const edges = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const edge of [...edges, bytes.length]) {
    reader.push(bytes.slice(from, edge));
    from = edge;
  }
  const header = reader.end();
  const sent = Buffer.concat(out);
  expect(reader.sizeBytes).toBe(sent.length);
  return { header, sent, text: sent.toString('latin1'), eightBit: reader.eightBit };
}

function reasonOf(message: string | Uint8Array, cuts: readonly number[] = []): string {
  try {
    read(message, cuts);
  } catch (error) {
    if (error instanceof RawMessageError) return `${error.about}: ${error.reason}`;
    throw error;
  }
  return 'accepted';
}

const message = (header: readonly string[], body: string, lineEnd = '\r\n') =>
  [...header, '', body].join(lineEnd);
const everywhere = (text: string) => Array.from({ length: text.length }, (_, index) => index);

describe('what is sent', () => {
  test('is what came, octet by octet', () => {
    const raw = message(
      [...COMPLETE, 'X-Odd:\tfolded\r\n   more\t ', 'X-Same: 1', 'x-same: 2'],
      '.\r\n..\r\n\r\n\xe9\xff\r\n',
    );
    expect(read(raw).text).toBe(raw);
    expect(read(raw, everywhere(raw)).text).toBe(raw);
    expect(read(raw).eightBit).toBe(true);
  });

  test('has CRLF where all line ends were LF', () => {
    const raw = message(COMPLETE, 'a\n\n\nb\n', '\n');
    expect(read(raw).text).toBe(raw.replaceAll('\n', '\r\n'));
    expect(read(raw, everywhere(raw)).text).toBe(raw.replaceAll('\n', '\r\n'));
  });

  test('ends with a line end', () => {
    expect(read(message(COMPLETE, 'no end')).text).toBe(message(COMPLETE, 'no end\r\n'));
    expect(read(COMPLETE.join('\r\n')).text).toBe(message(COMPLETE, ''));
    expect(read(`${COMPLETE.join('\n')}\n`).text).toBe(message(COMPLETE, ''));
  });

  test.each([
    ['Bcc', ['Bcc: secret@example.net,', '\tother@example.net', ' , third@example.net']],
    ['bcc in small letters', ['bcc: secret@example.net']],
    ['an empty Bcc', ['Bcc:']],
    ['Return-Path', ['Return-Path: <ann@example.com>']],
  ])('has no %s', (_name, lines) => {
    const raw = message([...COMPLETE.slice(0, 2), ...lines, ...COMPLETE.slice(2)], 'Bcc: this is text\r\n');
    const expected = message(COMPLETE, 'Bcc: this is text\r\n');
    expect(read(raw).text).toBe(expected);
    expect(read(raw, everywhere(raw)).text).toBe(expected);
  });

  test('gets the Message-ID and the Date that it lacks, in front', () => {
    const raw = message(COMPLETE.slice(0, 3), 'x\r\n');
    expect(read(raw).text).toBe(
      `Message-ID: <msg_1@example.com>\r\nDate: Tue, 24 Nov 2026 12:34:56 +0000\r\n${raw}`,
    );
    expect(read(raw).header.messageId).toBe('<msg_1@example.com>');
    expect(read(message(COMPLETE, 'x\r\n')).header.messageId).toBe('<1@example.com>');
  });
});

describe('the header is read', () => {
  test('for addresses, names and the subject', async () => {
    const raw = message(
      [
        'From: =?utf-8?q?Ann_=C3=84?= <ann@EXAMPLE.com>',
        'To: "B, Bob" <bob@example.net>,\r\n (a comment, with a comma) carl@example.net',
        'Cc: Friends: dora@example.net, Emil <emil@example.net>; , undisclosed-recipients:;',
        'Bcc: f@example.net',
        'Reply-To: g@example.net',
        'Subject: =?iso-8859-1?Q?caf=E9?= =?utf-8?B?IGNyw6htZQ==?=\r\n and more',
      ],
      'x',
    );
    const { header } = read(raw);
    const addresses = (list: typeof header.to) => list.ok && list.mailboxes.map(({ address }) => address);
    expect(header.from).toMatchObject({ name: 'Ann Ä', address: 'ann@example.com' });
    expect(header.to.ok && header.to.mailboxes[0]?.name).toBe('B, Bob');
    expect([header.to, header.cc, header.bcc, header.replyTo].map(addresses)).toEqual([
      ['bob@example.net', 'carl@example.net'],
      ['dora@example.net', 'emil@example.net'],
      ['f@example.net'],
      ['g@example.net'],
    ]);
    expect(header.subject).toBe('café crème and more');
    expect((await simpleParser(Buffer.from(raw))).subject).toBe(header.subject);
  });

  test('as UTF-8, which needs SMTPUTF8', () => {
    const raw = Buffer.from(message([...COMPLETE.slice(0, 2), 'Subject: Grüße', ...COMPLETE.slice(3)], 'x'));
    const { header, eightBit } = read(raw);
    expect([header.subject, header.smtpUtf8, eightBit]).toEqual(['Grüße', true, true]);
    expect(read(message(COMPLETE, 'x')).header.smtpUtf8).toBe(false);
    const hidden = Buffer.from(message([...COMPLETE, 'Bcc: Jürgen <j@example.net>'], 'x'));
    expect(read(hidden).header.smtpUtf8).toBe(false);
  });
});

const without = (name: string) => COMPLETE.filter((line) => !line.startsWith(name));
const LONG = 'x'.repeat(998);

describe('refused is', () => {
  test.each([
    [
      'mixed line ends',
      `${message(COMPLETE, 'a')}\r\nb\n`,
      'message: its line ends are partly CRLF and partly LF',
    ],
    [
      'mixed the other way',
      `${message(COMPLETE, 'a', '\n')}\nb\r\n`,
      'message: its line ends are partly CRLF and partly LF',
    ],
    ['a bare CR', message(COMPLETE, 'a\rb'), 'message: it has a CR without LF'],
    ['a bare CR among LF', message(COMPLETE, 'a\rb', '\n'), 'message: it has a CR without LF'],
    ['a CR at the end', message(COMPLETE, 'a\r'), 'message: it has a CR without LF'],
    ['two CR', message(COMPLETE, 'a\r\r\nb'), 'message: it has a CR without LF'],
    ['NUL', message(COMPLETE, 'a\0b'), 'message: it has a NUL octet'],
    [
      'a line of 999 octets',
      message(COMPLETE, `${LONG}x\r\n`),
      'message: it has a line of more than 998 octets',
    ],
    [
      'smuggling',
      message(COMPLETE, 'a\n.\r\nMAIL FROM:<>\r\n'),
      'message: its line ends are partly CRLF and partly LF',
    ],
    ['no From', message(without('From'), 'x'), 'from: the From field is missing'],
    ['an empty message', '', 'from: the From field is missing'],
    ['an empty header', '\r\nbody', 'from: the From field is missing'],
    [
      'two From',
      message([...COMPLETE, 'from: eve@example.org'], 'x'),
      'from: its header has the field `from` twice',
    ],
    [
      'two in From',
      message(['From: a@example.com, b@example.com', ...without('From')], 'x'),
      'from: there must be one address only',
    ],
    [
      'nobody in From',
      message(['From: nobody:;', ...without('From')], 'x'),
      'from: the From field is missing',
    ],
    [
      'two To',
      message([...COMPLETE, 'To: eve@example.org'], 'x'),
      'message: its header has the field `to` twice',
    ],
    [
      'two Bcc',
      message([...COMPLETE, 'Bcc: a@b.example', 'BCC: c@b.example'], 'x'),
      'message: its header has the field `bcc` twice',
    ],
    [
      'two Content-Type',
      message([...COMPLETE, 'Content-Type: text/plain', 'Content-Type: text/html'], 'x'),
      'message: its header has the field `content-type` twice',
    ],
    [
      'Resent fields',
      message([...COMPLETE, 'Resent-To: eve@example.org'], 'x'),
      'message: its header has Resent fields',
    ],
    [
      'a space before the colon',
      message([...COMPLETE, 'Bcc : a@b.example'], 'x'),
      'message: its header has a line that is not `Name: value`',
    ],
    [
      'an mbox line',
      message(['From ann@example.com Tue', ...COMPLETE], 'x'),
      'message: its header has a line that is not `Name: value`',
    ],
    [
      'a line of white space',
      message([...COMPLETE, ' ', 'X: y'], 'x'),
      'message: its header has a line of white space only',
    ],
    [
      'a folded first line',
      message([' X: y', ...COMPLETE], 'x'),
      'message: its header starts with a folded line',
    ],
    [
      'a header in Latin-1',
      message([...COMPLETE, 'X-Name: J\xfcrgen'], 'x'),
      'message: its header is neither ASCII nor UTF-8',
    ],
    [
      'a byte order mark',
      Buffer.from(`\ufeff${message(COMPLETE, 'x')}`),
      'message: its header has a line that is not `Name: value`',
    ],
    [
      'too many fields',
      message([...COMPLETE, ...Array(1000).fill('X: y')], 'x'),
      'message: its header has more than 1000 fields',
    ],
    [
      'a large header',
      message([...COMPLETE, ...Array(300).fill(`X: ${'y'.repeat(990)}`)], 'x'),
      'message: its header is larger than 256 KiB',
    ],
    [
      'a header without end',
      Array(300)
        .fill(`X: ${'y'.repeat(990)}`)
        .join('\r\n'),
      'message: its header is larger than 256 KiB',
    ],
  ])('%s', (_name, raw, reason) => {
    expect(reasonOf(raw)).toBe(reason);
    if (raw.length < 10_000) expect(reasonOf(raw, everywhere(raw.toString()))).toBe(reason);
  });

  test('but not a line of 998 octets', () => {
    const raw = message(COMPLETE, `${LONG}\r\n${LONG}`);
    expect(read(raw).text).toBe(`${raw}\r\n`);
  });
});

describe('an address list', () => {
  test.each([
    ['a@b.example,c@d.example', ['a@b.example', 'c@d.example']],
    [' , a@b.example ,, ', ['a@b.example']],
    ['"a, b" <c@d.example>', ['c@d.example']],
    ['"quote \\" and, comma" <c@d.example>', ['c@d.example']],
    ['a@b.example (comment (nested, one) \\) still)', ['a@b.example']],
    ['Team: a@b.example, "x; y" <c@d.example>;', ['a@b.example', 'c@d.example']],
    ['Empty:;', []],
    ['', []],
    ['< a@b.example >', ['a@b.example']],
  ])('%s', (value, addresses) => {
    const list = parseMailboxList(value);
    expect(list.ok && list.mailboxes.map(({ address }) => address)).toEqual(addresses);
  });

  test.each([
    'a@b.example c@d.example',
    'a@b.example; c@d.example',
    '<a@b.example> c@d.example',
    '<a@b.example><c@d.example>',
    '<@relay.example:a@b.example>',
    '"a b"@c.example',
    '"a@b.example" @c.example',
    '<"a@b.example, x"@c.example>',
    'a@b.example (open',
    '"open <a@b.example>',
    'Name <a@b.example',
    'Team: a@b.example',
    'a(x)@b.example@c.example',
    'nobody',
  ])('%s is refused', (value) => {
    expect(parseMailboxList(value)).toMatchObject({ ok: false });
  });
});

const line = fc
  .uint8Array({ maxLength: 120 })
  .map((octets) => Buffer.from(octets.filter((octet) => ![0, 10, 13].includes(octet))).toString('latin1'));
const cuts = fc.array(fc.nat(), { maxLength: 20 });

describe('for any message', () => {
  test('the octets arrive, wherever the pieces are cut', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.boolean(), cuts, (lines, isLf, at) => {
        const raw = message(COMPLETE, [...lines, ''].join('\r\n'));
        const given = isLf ? raw.replaceAll('\r\n', '\n') : raw;
        expect(read(given, at).text).toBe(raw);
      }),
    );
  });

  test('the verdict is the same wherever the pieces are cut, and what is accepted has CRLF only', () => {
    const part = fc.constantFrom(
      '\r',
      '\n',
      '\r\n',
      '\0',
      'a',
      '.',
      ' ',
      ':',
      'Bcc: x@y.example',
      'From: e@f.example',
      '\xff',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.nat(), cuts, (parts, place, at) => {
        const raw = message(COMPLETE, 'text\r\n');
        const start = place % (raw.length + 1);
        const changed = raw.slice(0, start) + parts.join('') + raw.slice(start);
        // Which of several faults is named depends on the pieces.
        const isAccepted = reasonOf(changed) === 'accepted';
        expect(reasonOf(changed, at) === 'accepted').toBe(isAccepted);
        if (!isAccepted) return;
        const { text } = read(changed, at);
        expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/);
        expect(text.slice(0, text.indexOf('\r\n\r\n'))).not.toMatch(/^(?:bcc|return-path):/im);
        expect(text.match(/^from:/gim)?.length).toBeGreaterThan(0);
      }),
      { numRuns: 1000 },
    );
  });
});
