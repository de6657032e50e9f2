/** What the account does not mail is not mailed, up to the moment of the dot. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', subject: 'A subject', text: 'A text' };

let relay: RelayUnderTest;
const servers: ScriptedServer[] = [];

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,
    // What was read from D1 is good for no time at all: every check sees what is there now.
    settings: { RETRY_FIRST_MS: '100', WATCHDOG_MS: '300', SENDING_STATE_TTL_MS: '1' },
  });
});

afterAll(async () => {
  await relay.stop();
  for (const server of servers) await server.close();
});

async function accountOn(options: ScriptedServerOptions = {}) {
  const server = await startScriptedServer({ pipelining: true, ...options });
  servers.push(server);
  const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
  return { server, client };
}

const statusesOf = (body: { deliveries: { status: string }[] }) =>
  body.deliveries.map((delivery) => delivery.status);
const isOver = (body: { deliveries: { status: string }[] }) =>
  statusesOf(body).every((status) => ['delivered', 'suppressed'].includes(status));

describe('a suppressed address', () => {
  test('gets no mail, and the other recipients do', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'Gone@example.net' });
    const to = ['one@example.net', 'gone@example.net', 'two@example.net'];
    const sent = await client.post('/v1/emails', { ...email, to });
    const found = await client.until(`/v1/emails/${sent.body.id}`, isOver);
    expect(statusesOf(found)).toEqual(['delivered', 'suppressed', 'delivered']);
    expect(found.timeline).toContainEqual(
      expect.objectContaining({ type: 'suppressed', recipients: ['gone@example.net'] }),
    );
    expect(server.messages.map((message) => message.recipients)).toEqual([
      ['one@example.net', 'two@example.net'],
    ]);
  });

  test('alone in a message leaves nothing to send', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'gone@example.net' });
    const sent = await client.post('/v1/emails', { ...email, to: 'gone@example.net' });
    const found = await client.until(`/v1/emails/${sent.body.id}`, isOver);
    expect([found.last_event, statusesOf(found)]).toEqual(['suppressed', ['suppressed']]);
    expect(server.messages).toEqual([]);
  });

  test('among many messages stops only its own', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'user-7@example.net' });
    const batch = Array.from({ length: 100 }, (_, index) => ({ ...email, to: `user-${index}@example.net` }));
    await client.post('/v1/emails/batch', batch);
    await server.waitForMessages(99);
    const { body } = await client.get('/v1/emails?limit=100');
    expect(body.data).toHaveLength(100);
    const got = server.messages.flatMap((message) => message.recipients);
    expect(got).not.toContain('user-7@example.net');
    expect(new Set(got).size).toBe(99);
  });

  test('that is suppressed between MAIL and the dot is not mailed', async () => {
    const stopped = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    let isStopped = false;
    const { server, client } = await accountOn({
      // Its answer to DATA comes to an end only when the test says so.
      hooks: {
        DATA: (connection) => {
          if (isStopped) return undefined;
          isStopped = true;
          asked.resolve();
          void stopped.promise.then(() => connection.say(' ahead\r\n'));
          return { raw: '354 go' };
        },
      },
    });
    const to = ['late@example.net', 'other@example.net'];
    // Another one, so that suppressions are looked up at all.
    await client.post('/v1/suppressions', { email: 'nobody@example.net' });
    const sent = await client.post('/v1/emails', { ...email, to });
    await asked.promise;
    await client.post('/v1/suppressions', { email: 'late@example.net' });
    stopped.resolve();
    const found = await client.until(`/v1/emails/${sent.body.id}`, isOver);
    expect(statusesOf(found)).toEqual(['suppressed', 'delivered']);
    expect(server.messages.map((message) => message.recipients)).toEqual([['other@example.net']]);
  });

  test('is mailed again once it was taken off the list', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'back@example.net' });
    await client.call('DELETE', '/v1/suppressions/back@example.net');
    await client.post('/v1/emails', { ...email, to: 'back@example.net' });
    await server.waitForMessages(1);
  });
});
