/** A fault of the relay is not a fault of the mail. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const COUNT = 10_000;
const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };

let relay: RelayUnderTest;
let server: ScriptedServer;

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,
    settings: { KEY_MESSAGES_PER_SECOND: '1000000', RETRY_FIRST_MS: '500', WATCHDOG_MS: '1000' },
  });
  server = await startScriptedServer({
    pipelining: true,
    auth: { methods: ['PLAIN'], username: 'user', secret: 'right' },
  });
});

afterAll(async () => {
  await relay.stop();
  await server.close();
});

test('a wrong relay password with 10,000 queued fails nothing, tells the account, and all are delivered after the fix', async () => {
  const { id, client } = await openAccount(relay.url, ADMIN_TOKEN, {
    relay: { port: server.port, username: 'user', password: 'wrong' },
  });
  const batch = Array.from({ length: 100 }, () => email);
  const ids: string[] = [];
  for (let sent = 0; sent < COUNT; sent += batch.length) {
    const { status, body } = await client.post('/v1/emails/batch', batch);
    expect(status).toBe(200);
    ids.push(...body.data.map((item: { id: string }) => item.id));
  }
  const { body: relays } = await client.get('/v1/relays');
  const path = `/v1/relays/${relays.data[0].id}`;
  const health = await client.until(`${path}/health`, (body) => body.last_error !== null);
  expect(health.last_error).toMatchObject({ reason: 'auth_reply', code: 535 });
  expect(['open', 'half_open']).toContain(health.breaker);
  expect(server.messages).toHaveLength(0);
  const { body: account } = await client.get('/v1/account');
  expect(account.statistics.backlog).toBe(COUNT);
  const database = await relay.miniflare.getD1Database('DB');
  const audit = database.prepare(
    "SELECT target FROM audit_log WHERE account_id = ? AND action = 'relay.paused'",
  );
  expect((await audit.bind(id).all()).results).toEqual([{ target: relays.data[0].id }]);

  await client.call('PATCH', path, { password: 'right' });
  await client.until('/v1/account', (body) => body.statistics.backlog === 0, 120_000);
  expect(server.messages).toHaveLength(COUNT);
  expect(
    new Set(server.messages.map((message) => /Message-ID: (\S+)/i.exec(message.data.toString())?.[1])).size,
  ).toBe(COUNT);
  const { body: last } = await new ApiClient(relay.url, client.token).get(`/v1/emails/${ids.at(-1)}`);
  expect(last.deliveries).toMatchObject([{ status: 'delivered', attempts: 1 }]);
}, 300_000);
