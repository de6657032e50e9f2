/** What leaves on the wire for an ordinary message, against servers that offer more, less, or refuse. */
import { randomBytes } from 'node:crypto';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openAccount } from '../support/api-client.ts';
import { startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import {
  type Hook,
  type ScriptedServerOptions,
  startScriptedServer,
} from '../support/scripted-smtp-server.ts';

const email = {
  from: 'Sender <sender@example.com>',
  to: 'one@example.net',
  subject: 'A subject',
  text: 'A text',
};

let relay: RelayUnderTest;

beforeAll(async () => {
  const settings = { SESSION_IDLE_MS: '200', RETRY_FIRST_MS: '100', WATCHDOG_MS: '300' };
  relay = await startRelay({ quiet: true, settings });
});

afterAll(() => relay.stop());

type Body = { deliveries: { status: string }[] };
const isSettled = ({ deliveries }: Body) =>
  deliveries.every(({ status }) => ['delivered', 'failed', 'expired'].includes(status));

async function start(
  options: ScriptedServerOptions = {},
  accountOptions: { domain?: string; returnPath?: string } = {},
) {
  const smtp = await startScriptedServer(options);
  onTestFinished(() => smtp.close());
  const { client } = await openAccount(relay.url, ADMIN_TOKEN, {
    ...accountOptions,
    relay: { port: smtp.port },
  });
  const deliver = async (change: Record<string, unknown> = {}) => {
    const sent = await client.post('/v1/emails', { ...email, ...change });
    expect(sent.status, JSON.stringify(sent.body)).toBe(200);
    return client.until(`/v1/emails/${sent.body.id}`, isSettled);
  };
  const commands = () => smtp.connections.flatMap((connection) => connection.commands);
  return { smtp, client, deliver, commands };
}

describe('a blind copy', () => {
  test('is in the envelope, and nowhere in the message', async () => {
    const { smtp, deliver } = await start();
    await deliver({
      cc: 'two@example.net',
      bcc: ['Hidden Person <hidden@example.org>', 'secret@example.org'],
    });
    expect(smtp.messages).toHaveLength(1);
    expect(smtp.messages[0]?.recipients).toEqual([
      'one@example.net',
      'two@example.net',
      'hidden@example.org',
      'secret@example.org',
    ]);
    const data = smtp.messages[0]?.data.toString() ?? '';
    expect(data).toContain('Cc: two@example.net');
    expect(data).not.toMatch(/bcc|hidden|secret/i);
  });

  test('without anyone else in the open is sent all the same', async () => {
    const { smtp, deliver } = await start();
    await deliver({ to: 'sender@example.com', bcc: 'hidden@example.org' });
    expect(smtp.messages[0]?.recipients).toEqual(['sender@example.com', 'hidden@example.org']);
    expect(smtp.messages[0]?.data.toString()).not.toMatch(/bcc|hidden/i);
  });
});

describe('the return path', () => {
  test('is that of the domain, where it has one', async () => {
    const { smtp, deliver } = await start({}, { returnPath: 'bounces@mail.example.org' });
    await deliver();
    expect(smtp.messages[0]?.from).toBe('bounces@mail.example.org');
    expect(smtp.messages[0]?.data.toString()).toMatch(/^From: Sender <sender@example\.com>\r$/m);
  });

  test('is otherwise the bare From', async () => {
    const { commands, deliver } = await start();
    await deliver();
    expect(commands().find((line) => line.startsWith('MAIL'))).toMatch(
      /^MAIL FROM:<sender@example\.com>(?: |$)/,
    );
  });
});

describe('an international address', () => {
  test('has its domain written as A-labels, in the envelope and in the headers', async () => {
    const { smtp, deliver, commands } = await start(
      { extensions: ['8BITMIME'] },
      { domain: 'bücher.example' },
    );
    const found = await deliver({ from: 'Bücher <sender@BÜCHER.example>', to: 'one@münchen.example' });
    expect(found.deliveries).toMatchObject([
      { status: 'delivered', recipient: 'one@xn--mnchen-3ya.example' },
    ]);
    expect(smtp.messages[0]).toMatchObject({
      from: 'sender@xn--bcher-kva.example',
      recipients: ['one@xn--mnchen-3ya.example'],
    });
    expect(commands().join()).not.toContain('SMTPUTF8');
    const mail = await simpleParser(smtp.messages[0]?.data ?? '');
    // The parser decodes A-labels, so the lines themselves are looked at too.
    expect(mail.headerLines.find(({ key }) => key === 'to')?.line).toBe('To: one@xn--mnchen-3ya.example');
    expect(mail.headerLines.find(({ key }) => key === 'from')?.line).toContain(
      '<sender@xn--bcher-kva.example>',
    );
  });

  test('with a local part beyond ASCII goes out under SMTPUTF8', async () => {
    const { smtp, deliver, commands } = await start();
    const found = await deliver({ to: 'jürgen@example.net' });
    expect(found.deliveries).toMatchObject([{ status: 'delivered', recipient: 'jürgen@example.net' }]);
    expect(smtp.messages[0]?.recipients).toEqual(['jürgen@example.net']);
    expect(commands().find((line) => line.startsWith('MAIL'))).toMatch(/ SMTPUTF8(?: |$)/);
  });

  test('fails where the server does not offer SMTPUTF8, and says why', async () => {
    const { smtp, deliver, commands } = await start({ extensions: ['8BITMIME'] });
    const found = await deliver({ to: 'jürgen@example.net' });
    expect(found.deliveries).toMatchObject([{ status: 'failed', reason: 'smtputf8_not_supported' }]);
    expect(found.last_event).toBe('failed');
    expect(smtp.messages).toHaveLength(0);
    expect(commands().filter((line) => /^(?:MAIL|RCPT)/.test(line))).toEqual([]);
    expect((await deliver()).last_event).toBe('delivered');
  });
});

test('an attachment of 1 MiB arrives byte for byte, at both servers', async () => {
  const content = randomBytes(1024 * 1024);
  const attachments = [{ filename: 'random.bin', content: content.toString('base64') }];
  const { smtp, deliver } = await start();
  await deliver({ attachments });
  const catcher = await startMailCatcher();
  onTestFinished(() => catcher.close());
  const other = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: catcher.port } });
  await other.client.post('/v1/emails', { ...email, attachments });
  const [caught] = await catcher.waitForMessages(1);
  for (const data of [smtp.messages[0]?.data, caught?.data]) {
    const mail = await simpleParser(data ?? '');
    expect(mail.attachments[0]?.content.equals(content)).toBe(true);
  }
});

test('a server without PIPELINING hears one command at a time, and nothing before its answer is whole', async () => {
  const early: number[] = [];
  /** Leaves the last two bytes of a reply open for a while, and counts what came in meanwhile. */
  const slowly =
    (reply: string): Hook =>
    (connection) => {
      const seen = connection.received.length;
      setTimeout(() => {
        early.push(connection.received.length - seen);
        connection.say('\r\n');
      }, 15);
      return { raw: reply };
    };
  const { smtp, client, commands } = await start({
    pipelining: false,
    hooks: {
      MAIL: slowly('250 2.1.0 ok'),
      RCPT: slowly('250 2.1.5 ok'),
      DATA: slowly('354 go ahead'),
      DOT: slowly('250 2.0.0 stored'),
    },
  });
  const batch = ['first', 'second', 'third'].map((subject) => ({
    ...email,
    subject,
    to: ['one@example.net', 'two@example.net'],
  }));
  const { body } = await client.post('/v1/emails/batch', batch);
  for (const { id } of body.data) {
    expect((await client.until(`/v1/emails/${id}`, isSettled)).last_event).toBe('delivered');
  }
  expect(smtp.messages.map(({ recipients }) => recipients.length)).toEqual([2, 2, 2]);
  expect(early).toHaveLength(3 * 5);
  expect(early.every((count) => count === 0)).toBe(true);
  expect(
    commands()
      .slice(0, 5)
      .map((line) => line.slice(0, 4)),
  ).toEqual(['EHLO', 'MAIL', 'RCPT', 'RCPT', 'DATA']);
});

test('a message larger than SIZE allows fails before MAIL, with its reason', async () => {
  const { smtp, deliver, commands } = await start({ extensions: ['8BITMIME', 'SIZE 2000'] });
  const found = await deliver({ text: 'a line of text\n'.repeat(300) });
  expect(found.deliveries).toMatchObject([{ status: 'failed', reason: 'too_large_for_relay' }]);
  expect(commands().filter((line) => line.startsWith('MAIL'))).toEqual([]);
  expect((await deliver()).last_event).toBe('delivered');
  expect(smtp.messages).toHaveLength(1);
});

test('recipients of one message have outcomes of their own, and only the deferred one is tried again', async () => {
  let attempts = 0;
  const { smtp, deliver, commands } = await start({
    hooks: {
      RCPT: (_connection, _verb, argument) => {
        if (argument.includes('gone@')) return '550 5.1.1 no such user';
        return argument.includes('later@') && attempts++ === 0 ? '450 4.2.1 mailbox busy' : undefined;
      },
    },
  });
  const found = await deliver({ to: ['one@example.net', 'gone@example.net', 'later@example.net'] });
  expect(found.deliveries).toMatchObject([
    { recipient: 'one@example.net', status: 'delivered', attempts: 1, last_reply: '250 2.0.0 stored' },
    { recipient: 'gone@example.net', status: 'failed', attempts: 1, last_reply: '550 5.1.1 no such user' },
    { recipient: 'later@example.net', status: 'delivered', attempts: 2 },
  ]);
  expect(smtp.messages.map(({ recipients }) => recipients)).toEqual([
    ['one@example.net'],
    ['later@example.net'],
  ]);
  const asked = commands().filter((line) => line.startsWith('RCPT'));
  expect(asked.filter((line) => line.includes('<one@'))).toHaveLength(1);
  expect(asked.filter((line) => line.includes('<gone@'))).toHaveLength(1);
  expect(asked.filter((line) => line.includes('<later@'))).toHaveLength(2);
  expect(smtp.messages[1]?.data.equals(smtp.messages[0]?.data ?? Buffer.alloc(0))).toBe(true);
});
