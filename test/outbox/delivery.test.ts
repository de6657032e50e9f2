/** The Outbox against scripted servers: what becomes of mail when things go well, and when they do not. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAccount, type TestAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import {
  type ScriptedServer,
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
const servers: ScriptedServer[] = [];

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,

    settings: { RETRY_FIRST_MS: '100', WATCHDOG_MS: '300', SESSION_IDLE_MS: '200', DOT_TIMEOUT_MS: '2000' },
  });
});

afterAll(async () => {
  await relay.stop();
  for (const server of servers) await server.close();
});

async function serverWith(options: ScriptedServerOptions = {}): Promise<ScriptedServer> {
  const server = await startScriptedServer({ pipelining: true, ...options });
  servers.push(server);
  return server;
}

async function accountOn(server: ScriptedServer, limits = {}): Promise<TestAccount> {
  return openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port, limits } });
}

const isSettled = (body: { deliveries?: { status: string }[] }) =>
  body.deliveries?.every((delivery) => !['queued', 'sending', 'deferred'].includes(delivery.status)) ?? false;

describe('a message', () => {
  test('is delivered once, with its reply and its timeline on record', async () => {
    const server = await serverWith();
    const { client } = await accountOn(server);
    const sent = await client.post('/v1/emails', { ...email, to: ['one@example.net', 'two@example.net'] });
    expect(sent.status).toBe(200);
    const found = await client.until(`/v1/emails/${sent.body.id}`, isSettled);
    expect(found.last_event).toBe('delivered');
    expect(found.deliveries).toMatchObject([
      { recipient: 'one@example.net', status: 'delivered', attempts: 1, last_reply: '250 2.0.0 stored' },
      { recipient: 'two@example.net', status: 'delivered', attempts: 1, last_reply: '250 2.0.0 stored' },
    ]);
    expect(found.timeline.map((event: { type: string }) => event.type)).toEqual(['queued', 'delivered']);
    expect(server.messages).toHaveLength(1);
    expect(server.messages[0]?.recipients).toEqual(['one@example.net', 'two@example.net']);
  });

  test('that waits behind others shares their session', async () => {
    const server = await serverWith({ oneWayDelayMs: 5 });
    const { client } = await accountOn(server, { sessions: 1 });
    const batch = Array.from({ length: 50 }, (_, index) => ({ ...email, subject: `Message ${index}` }));
    expect((await client.post('/v1/emails/batch', batch)).status).toBe(200);
    await server.waitForMessages(50);
    expect(server.connections).toHaveLength(1);
    expect(
      new Set(server.messages.map((message) => /Subject: .*/.exec(message.data.toString())?.[0])).size,
    ).toBe(50);
  });

  test('that comes while the session idles uses it again', async () => {
    const server = await serverWith();
    const { client } = await accountOn(server);
    for (let sent = 1; sent <= 3; sent++) {
      await client.post('/v1/emails', email);
      await server.waitForMessages(sent);
    }
    expect(server.connections).toHaveLength(1);
  });

  test('keeps one verdict for each recipient, and only the delayed one is tried again', async () => {
    let refusals = 0;
    const server = await serverWith({
      hooks: {
        RCPT: (_connection, _verb, argument) => {
          if (argument.includes('gone@')) return '550 5.1.1 no such user';
          if (argument.includes('later@') && refusals++ === 0) return '450 4.2.0 greylisted';
          return undefined;
        },
      },
    });
    const { client } = await accountOn(server);
    const to = ['one@example.net', 'gone@example.net', 'later@example.net'];
    const { body } = await client.post('/v1/emails', { ...email, to });
    const found = await client.until(`/v1/emails/${body.id}`, isSettled);
    expect(found.deliveries).toMatchObject([
      { status: 'delivered', attempts: 1 },
      { status: 'failed', attempts: 1, last_reply: '550 5.1.1 no such user', reason: 'no_such_mailbox' },
      { status: 'delivered', attempts: 2 },
    ]);
    expect(server.messages.map((message) => message.recipients)).toEqual([
      ['one@example.net'],
      ['later@example.net'],
    ]);
    expect(server.messages[0]?.data.equals(server.messages[1]?.data ?? Buffer.alloc(0))).toBe(true);
  });

  test.each([
    ['MAIL', '552 5.3.4 too big'],
    ['DATA', '554 5.6.0 no'],
    ['DOT', '550 5.7.1 spam'],
  ] as const)('refused for good at %s fails, and no copy is stored', async (verb, reply) => {
    const server = await serverWith({ hooks: { [verb]: () => reply } });
    const { client } = await accountOn(server);
    const { body } = await client.post('/v1/emails', email);
    const found = await client.until(`/v1/emails/${body.id}`, isSettled);
    expect(found.deliveries).toMatchObject([{ status: 'failed', attempts: 1, last_reply: reply }]);
    expect(server.messages.filter((message) => message.answered?.startsWith('250'))).toHaveLength(0);
  });

  test.each(['MAIL', 'RCPT', 'DATA', 'DOT'] as const)(
    'refused for now at %s is tried again',
    async (verb) => {
      let refusals = 0;
      const server = await serverWith({
        hooks: { [verb]: () => (refusals++ === 0 ? '451 4.3.0 try later' : undefined) },
      });
      const { client } = await accountOn(server);
      const { body } = await client.post('/v1/emails', email);
      const found = await client.until(`/v1/emails/${body.id}`, isSettled);
      expect(found.deliveries).toMatchObject([{ status: 'delivered', attempts: 2 }]);
      expect(found.timeline.map((event: { type: string }) => event.type)).toEqual([
        'queued',
        'delivery_delayed',
        'delivered',
      ]);
      expect(found.possible_duplicates).toBe(0);
    },
  );

  test.each(['BANNER', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'BODY'] as const)(
    'survives a connection that is cut at %s, without a second copy',
    async (verb) => {
      let cuts = 0;
      const server = await serverWith({
        bodyHookAfter: 10,
        hooks: { [verb]: () => (cuts++ === 0 ? { reset: true } : undefined) },
      });
      const { client } = await accountOn(server);
      // Large enough that the cut is noticed before the end of the body is sent.
      const attachment = { filename: 'a.bin', content: Buffer.alloc(2_000_000).toString('base64') };
      const { body } = await client.post('/v1/emails', { ...email, attachments: [attachment] });
      const found = await client.until(`/v1/emails/${body.id}`, isSettled);
      expect(found.deliveries).toMatchObject([{ status: 'delivered' }]);
      expect(found.possible_duplicates).toBe(0);
      expect(server.messages).toHaveLength(1);
    },
  );

  test('whose verdict is lost is in doubt, and its copy is the same to the byte', async () => {
    let cuts = 0;
    const server = await serverWith({
      hooks: { DOT: () => (cuts++ === 0 ? { close: true, store: true } : undefined) },
    });
    const { client } = await accountOn(server);
    const { body } = await client.post('/v1/emails', { ...email, html: '<p>Hello</p>' });
    const found = await client.until(`/v1/emails/${body.id}`, (answer) => answer.last_event === 'delivered');
    expect(found.possible_duplicates).toBe(1);
    expect(found.timeline.map((event: { type: string }) => event.type)).toEqual([
      'queued',
      'in_doubt',
      'delivered',
    ]);
    expect(server.messages).toHaveLength(2);
    expect(server.messages[0]?.data.equals(server.messages[1]?.data ?? Buffer.alloc(0))).toBe(true);
  });

  test('that the server answers with silence is in doubt once the wait is over', async () => {
    let silences = 0;
    const server = await serverWith({
      hooks: { DOT: () => (silences++ === 0 ? { silent: true } : undefined) },
    });
    const { client } = await accountOn(server);
    const { body } = await client.post('/v1/emails', email);
    const found = await client.until(`/v1/emails/${body.id}`, (answer) => answer.last_event === 'delivered');
    expect(found.possible_duplicates).toBe(1);
  });
});

describe('a relay that is at fault', () => {
  test('with a wrong password fails nothing, and delivers once it is put right', async () => {
    const server = await serverWith({ auth: { methods: ['PLAIN'], username: 'user', secret: 'right' } });
    const { client } = await openAccount(relay.url, ADMIN_TOKEN, {
      relay: { port: server.port, username: 'user', password: 'wrong' },
    });
    const batch = Array.from({ length: 20 }, () => email);
    const { body } = await client.post('/v1/emails/batch', batch);
    const waiting = await client.until(
      `/v1/emails/${body.data[0].id}`,
      (answer) => answer.deliveries[0].reason !== null,
    );
    expect(waiting.deliveries).toMatchObject([{ status: 'deferred', attempts: 0, reason: 'auth_reply' }]);
    const { body: relays } = await client.get('/v1/relays');
    await client.call('PATCH', `/v1/relays/${relays.data[0].id}`, { password: 'right' });
    await server.waitForMessages(20);
    expect(server.messages).toHaveLength(20);
  });

  test('because it refuses connections is waited for', async () => {
    const server = await startScriptedServer({ pipelining: true });
    const { port } = server;
    await server.close();
    const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port } });
    const { body } = await client.post('/v1/emails', email);
    const waiting = await client.until(
      `/v1/emails/${body.id}`,
      (answer) => answer.last_event === 'delivery_delayed',
    );
    expect(waiting.deliveries).toMatchObject([{ status: 'deferred', attempts: 0, reason: 'connect_broken' }]);
  });
});

describe('an account', () => {
  test('that is suspended sends nothing, also not what is queued, until it is resumed', async () => {
    const server = await serverWith({ hooks: { DOT: () => undefined } });
    const { id, client } = await accountOn(server);
    const operator = new (await import('../support/api-client.ts')).ApiClient(relay.url, ADMIN_TOKEN);
    await client.post('/v1/emails', email);
    await server.waitForMessages(1);
    await operator.post(`/v1/admin/accounts/${id}/suspend`);
    const refused = await client.post('/v1/emails', email);
    expect(refused.status).toBe(403);
    await operator.post(`/v1/admin/accounts/${id}/resume`);
    expect((await client.post('/v1/emails', email)).status).toBe(200);
    await server.waitForMessages(2);
  });
});
