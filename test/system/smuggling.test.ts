/**
 * Text that tries to be more than text: ends of data, line breaks and what resembles them, in every field. It is
 * refused with the field's name, or it arrives as what it is; never as a second message or another header.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAccount, type TestAccount } from '../support/api-client.ts';
import { type MailCatcher, startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const CORPUS = join(import.meta.dirname, '../../../shared/corpora/smtp-smuggling/eod-sequences.json');
const SECOND_MESSAGE =
  'MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n';
const BARE_LINE_END = /\r(?!\n)|(?<!\r)\n/;

type Email = Record<string, unknown>;

const email = {
  from: 'Sender <sender@example.com>',
  to: 'one@example.net',
  subject: 'A subject',
  text: 'A text',
};
const base64 = (text: string) => Buffer.from(text).toString('base64');

let relay: RelayUnderTest;
let scripted: ScriptedServer;
let catcher: MailCatcher;
let onScripted: TestAccount;
let onCatcher: TestAccount;

beforeAll(async () => {
  scripted = await startScriptedServer();
  catcher = await startMailCatcher();
  relay = await startRelay({ quiet: true, settings: { SESSION_IDLE_MS: '300' } });
  onScripted = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: scripted.port } });
  onCatcher = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: catcher.port } });
});

afterAll(async () => {
  await relay.stop();
  await scripted.close();
  await catcher.close();
});

/** The id of an email that was accepted; undefined where it was refused, which must name the field. */
async function send(account: TestAccount, change: Email, field: string): Promise<string | undefined> {
  const { status, body } = await account.client.post('/v1/emails', { ...email, ...change });
  if (status === 200) return body.id;
  expect(status, JSON.stringify(body)).toBe(422);
  expect(body.message).toContain(`\`${field}\``);
  return undefined;
}

async function delivered(account: TestAccount, id: string): Promise<void> {
  const { last_event } = await account.client.until(
    `/v1/emails/${id}`,
    (body) => body.last_event !== 'queued',
  );
  expect(last_event).toBe('delivered');
}

/** The names of the top header fields, in order, as three readers see them. */
async function headerNames(data: Buffer): Promise<string[]> {
  const head = data.toString('latin1').split('\r\n\r\n', 1)[0] ?? '';
  const raw = head
    .replace(/\r\n[ \t]/g, ' ')
    .split('\r\n')
    .map((line) => line.slice(0, line.indexOf(':')).toLowerCase());
  const mailparser = (await simpleParser(data)).headerLines.map(({ key }) => key);
  const postalMime = (await PostalMime.parse(data)).headers.map(({ key }) => key);
  expect([...mailparser].sort()).toEqual([...raw].sort());
  expect([...postalMime].sort()).toEqual([...raw].sort());
  return raw;
}

describe.skipIf(!existsSync(CORPUS))('an end-of-data sequence', () => {
  const sequences: string[] = existsSync(CORPUS) ? JSON.parse(readFileSync(CORPUS, 'utf8')).union : [];
  const places: [field: string, change: (text: string) => Email][] = [
    ['subject', (text) => ({ subject: `Hello ${text}` })],
    ['from', (text) => ({ from: `"Sender ${text}" <sender@example.com>` })],
    ['to', (text) => ({ to: `"One ${text}" <one@example.net>` })],
    ['headers', (text) => ({ headers: { 'X-Note': `Note ${text}` } })],
    ['text', (text) => ({ text: `Hello${text}` })],
    ['html', (text) => ({ html: `<p>Hello</p>${text}` })],
    ['attachments[0].filename', (text) => ({ attachments: [{ filename: `file${text}`, content: '' }] })],
    [
      'attachments[0].content',
      (text) => ({ attachments: [{ filename: 'file.bin', content: base64(text) }] }),
    ],
    [
      'attachments[0].content',
      (text) => ({
        attachments: [{ filename: 'file.txt', content: base64(text), content_type: 'text/plain' }],
      }),
    ],
  ];

  test('is in the corpus twelve times', () => {
    expect(sequences).toHaveLength(12);
  });

  test.each([
    ['the scripted server', () => onScripted, () => scripted],
    ['npm smtp-server', () => onCatcher, () => catcher],
  ])('in any field is refused or makes exactly one message at %s', async (_name, accountOf, serverOf) => {
    const account = accountOf();
    const before = serverOf().messages.length;
    const accepted: string[] = [];
    const acceptedIn = new Map<string, number>();
    for (const sequence of sequences) {
      for (const [field, change] of places) {
        const id = await send(account, change(`${sequence}${SECOND_MESSAGE}`), field);
        if (id === undefined) continue;
        accepted.push(id);
        acceptedIn.set(field, (acceptedIn.get(field) ?? 0) + 1);
      }
    }
    for (const id of accepted) await delivered(account, id);
    const stored = serverOf().messages.slice(before);
    expect(stored).toHaveLength(accepted.length);
    for (const { recipients, from } of stored) {
      expect([from, ...recipients]).toEqual(['sender@example.com', 'one@example.net']);
    }
    // Bytes of an attachment are encoded and always welcome; in a body only those with NUL are refused.
    expect(Object.fromEntries(acceptedIn)).toEqual({ text: 10, html: 10, 'attachments[0].content': 24 });
  });

  test('never leaves as bytes: every line ends in CRLF, and every lone dot ends a message', () => {
    const wire = scripted.connections.map((connection) => connection.wire).join('');
    expect(wire).not.toMatch(BARE_LINE_END);
    expect(wire).not.toContain('\0');
    expect(wire.split('\r\n.\r\n').length - 1).toBe(scripted.messages.length);
  });
});

const CHARACTERS = {
  CR: '\r',
  LF: '\n',
  NUL: '\0',
  NEL: '\u0085',
  'LINE SEPARATOR': '\u2028',
  'U+010A': '\u010a',
  'U+560D': '\u560d',
};

const FULL = {
  from: '"Se nder" <sender@example.com>',
  to: 'One <one@example.net>',
  cc: 'Two <two@example.net>',
  bcc: 'Three <three@example.net>',
  reply_to: 'Four <four@example.net>',
  subject: 'A subject',
  text: 'A text',
  html: '<p>A text</p>',
  headers: { 'X-Note': 'A note' },
  // Every recipient must be right.
  strict: true,
};
const file = {
  filename: 'file.bin',
  content: 'AAEC',
  content_type: 'application/octet-stream',
  content_id: 'one',
};

/** Every string that a request has, with a place for a character in it. */
const PLACES: [name: string, field: string, change: (c: string) => Email][] = [
  ['the name in from', 'from', (c) => ({ from: `"Se${c}nder" <sender@example.com>` })],
  ['the bare name in from', 'from', (c) => ({ from: `Se${c}nder <sender@example.com>` })],
  ['the local part of from', 'from', (c) => ({ from: `se${c}nder@example.com` })],
  ['the name in to', 'to', (c) => ({ to: `"O${c}ne" <one@example.net>` })],
  ['the local part of to', 'to[0]', (c) => ({ to: [`o${c}ne@example.net`] })],
  ['the domain of to', 'to', (c) => ({ to: `one@exa${c}mple.net` })],
  ['cc', 'cc', (c) => ({ cc: `"T${c}wo" <two@example.net>` })],
  ['bcc', 'bcc', (c) => ({ bcc: `"Th${c}ree" <three@example.net>` })],
  ['reply_to', 'reply_to', (c) => ({ reply_to: `"Fo${c}ur" <four@example.net>` })],
  ['subject', 'subject', (c) => ({ subject: `A${c}Bcc: evil@example.org` })],
  ['text', 'text', (c) => ({ text: `A${c}Bcc: evil@example.org` })],
  ['html', 'html', (c) => ({ html: `<p>A</p>${c}Bcc: evil@example.org` })],
  ['a header name', 'headers', (c) => ({ headers: { [`X-No${c}te`]: 'A note' } })],
  ['a header value', 'headers', (c) => ({ headers: { 'X-Note': `A${c}Bcc: evil@example.org` } })],
  ['a tag name', 'tags[0].name', (c) => ({ tags: [{ name: `a${c}b`, value: 'c' }] })],
  ['a tag value', 'tags[0].value', (c) => ({ tags: [{ name: 'a', value: `b${c}c` }] })],
  [
    'a filename',
    'attachments[0].filename',
    (c) => ({ attachments: [{ ...file, filename: `fi${c}le.bin` }] }),
  ],
  [
    'a content type',
    'attachments[0].content_type',
    (c) => ({ attachments: [{ ...file, content_type: `a/b${c}` }] }),
  ],
  [
    'a content id',
    'attachments[0].content_id',
    (c) => ({ attachments: [{ ...file, content_id: `o${c}ne` }] }),
  ],
  ['content', 'attachments[0].content', (c) => ({ attachments: [{ ...file, content: `AA${c}EC` }] })],
];
const ENCODED =
  /^(?:the (?:bare )?name|the (?:local|domain)|cc|bcc|reply_to|subject|text|html|a header value|a filename)/;

describe('a line break, or a letter whose low byte is one', () => {
  let plain: string[];
  let plainWithFile: string[];

  beforeAll(async () => {
    plain = await headerNames(await messageOf(FULL));
    plainWithFile = await headerNames(await messageOf({ ...FULL, attachments: [file] }));
    expect(plain).toEqual(
      expect.arrayContaining(['from', 'to', 'cc', 'reply-to', 'subject', 'x-note', 'date']),
    );
    expect(plain).not.toContain('bcc');
  });

  async function messageOf(change: Email): Promise<Buffer> {
    const before = scripted.messages.length;
    await delivered(onScripted, (await send(onScripted, change, '')) ?? '');
    expect(scripted.messages).toHaveLength(before + 1);
    return scripted.messages[before]?.data ?? Buffer.alloc(0);
  }

  test.each(PLACES)('in %s is refused by name, or arrives encoded', async (name, field, change) => {
    const accepted: string[] = [];
    for (const [label, character] of Object.entries(CHARACTERS)) {
      const before = scripted.messages.length;
      const changed = { ...FULL, ...change(character) };
      const id = await send(onScripted, changed, field);
      if (id === undefined) continue;
      accepted.push(label);
      await delivered(onScripted, id);
      expect(scripted.messages).toHaveLength(before + 1);
      const { data } = scripted.messages[before] ?? { data: Buffer.alloc(0) };
      expect(await headerNames(data)).toEqual('attachments' in changed ? plainWithFile : plain);
      expect(data.toString('latin1')).not.toMatch(BARE_LINE_END);
      await expectSameText(data, changed);
    }
    const letters = ['U+010A', 'U+560D'];
    const isBody = name === 'text' || name === 'html';
    const welcome = isBody ? ['CR', 'LF', 'NEL', 'LINE SEPARATOR', ...letters] : letters;
    expect(accepted).toEqual(ENCODED.test(name) ? welcome : []);
  });

  test.each([
    ['cc', 'the name', (c: string) => ({ cc: `"T${c}wo" <two@example.net>` })],
    ['cc', 'the address', (c: string) => ({ cc: [`t${c}wo@example.net`] })],
    ['bcc', 'the name', (c: string) => ({ bcc: `"Th${c}ree" <three@example.net>` })],
    ['bcc', 'the address', (c: string) => ({ bcc: [`three@exam${c}ple.net`] })],
  ])('in %s, in %s, leaves no trace where the wrong one is left out', async (field, _part, change) => {
    const kept = field === 'cc' ? 'three@example.net' : 'two@example.net';
    for (const character of [CHARACTERS.CR, CHARACTERS.LF, CHARACTERS.NUL, CHARACTERS.NEL]) {
      const before = scripted.messages.length;
      const changed = { ...FULL, ...change(character), strict: false };
      const id = (await send(onScripted, changed, field)) ?? '';
      await delivered(onScripted, id);
      expect(scripted.messages).toHaveLength(before + 1);
      const { data, recipients } = scripted.messages[before] ?? { data: Buffer.alloc(0), recipients: [] };
      expect(recipients).toEqual(['one@example.net', kept]);
      expect(await headerNames(data)).toEqual(plain.filter((name) => name !== field));
      expect(data.toString('latin1')).not.toMatch(BARE_LINE_END);
      const { deliveries } = (await onScripted.client.get(`/v1/emails/${id}`)).body;
      expect(deliveries.at(-1)).toMatchObject({ status: 'failed', reason: 'invalid_address' });
    }
  });

  /** What a person reads is what was sent. */
  async function expectSameText(data: Buffer, sent: Email): Promise<void> {
    const mail = await PostalMime.parse(data);
    const lines = (text: unknown) => String(text).replace(/\r\n?/g, '\n').trimEnd();
    expect(mail.subject).toBe(sent.subject);
    expect(lines(mail.text)).toBe(lines(sent.text));
    expect(lines(mail.html)).toBe(lines(sent.html));
    // Neither reader decodes headers that it does not know: so it is read as a subject.
    const note = mail.headers.find(({ key }) => key === 'x-note')?.value;
    const { subject } = await PostalMime.parse(`Subject: ${note}\r\n\r\n`);
    expect(subject).toBe((sent.headers as Email)['X-Note']);
    const [attachment] = (sent.attachments ?? []) as (typeof file)[];
    if (attachment) expect(mail.attachments[0]?.filename).toBe(attachment.filename);
    const name = /^"?(.*?)"? ?<(.*)>$/.exec(String(sent.from));
    expect(mail.from).toMatchObject({ name: name?.[1] ?? '', address: name?.[2] ?? sent.from });
  }
});
