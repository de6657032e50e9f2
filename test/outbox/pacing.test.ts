/** A relay that rests makes nobody else wait, and what it asks for is known to everybody who uses it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
/** More than are held in memory for a relay that is busy. */
const PAUSED = 250;

let relay: RelayUnderTest;
let shared: ScriptedServer;
let mails = 0;
const { promise: secondIsOver, resolve: endSecond } = Promise.withResolvers<void>();

beforeAll(async () => {
  shared = await startScriptedServer({
    pipelining: true,
    hooks: {
      MAIL: () => (mails++ === 0 ? '421 4.7.0 Too much mail, try again in 600 seconds' : undefined),
      QUIT: () => {
        endSecond();
        return undefined;
      },
    },
  });
  relay = await startRelay({
    quiet: true,
    settings: {
      WATCHDOG_MS: '300',
      SESSION_IDLE_MS: '300',
      RELAY_URL: `smtp://127.0.0.1:${shared.port}?tls=none`,
    },
  });
});

afterAll(async () => {
  await relay.stop();
  await shared.close();
});

test('mail that waits for a paused relay does not hold up mail for another one', async () => {
  const paused = await startScriptedServer({ pipelining: true });
  const free = await startScriptedServer({ pipelining: true });
  const { client } = await openAccount(relay.url, ADMIN_TOKEN);
  const relayOn = async (port: number, limits: Record<string, number>) =>
    (await client.post('/v1/relays', { host: '127.0.0.1', port, tls: 'none', limits })).body.id as string;
  const slow = await relayOn(paused.port, { per_minute: 1 });
  const fast = await relayOn(free.port, {});
  for (let sent = 0; sent < PAUSED; sent += 50) {
    const batch = Array.from({ length: 50 }, () => ({ ...email, relay: slow }));
    expect((await client.post('/v1/emails/batch', batch)).status).toBe(200);
  }
  await paused.waitForMessages(1);
  await client.post(
    '/v1/emails/batch',
    Array.from({ length: 5 }, () => ({ ...email, relay: fast })),
  );
  await free.waitForMessages(5);
  await client.until('/v1/account', (body) => body.statistics.backlog === PAUSED - 1);
  expect(paused.messages).toHaveLength(1);
  // Given all the room it wants, it takes the rest, each message once.
  await client.call('PATCH', `/v1/relays/${slow}`, { limits: { per_minute: null } });
  await client.until('/v1/account', (body) => body.statistics.backlog === 0, 60_000);
  const ids = paused.messages.map(({ data }) => /^Message-ID: (\S+)/im.exec(data.toString())?.[1]);
  expect(new Set(ids).size).toBe(PAUSED);
  expect(ids).toHaveLength(PAUSED);
  await paused.close();
  await free.close();
});

test('"try again in N" from a shared relay is heeded by the next account too', async () => {
  const [one, other] = await Promise.all([
    openAccount(relay.url, ADMIN_TOKEN),
    openAccount(relay.url, ADMIN_TOKEN),
  ]);
  const { body: first } = await one.client.post('/v1/emails', email);
  await one.client.until(`/v1/emails/${first.id}`, (body) => body.last_event === 'delivery_delayed');
  const { body: second } = await other.client.post('/v1/emails', email);
  await secondIsOver;
  const { body: waiting } = await other.client.get(`/v1/emails/${second.id}`);
  expect(waiting.deliveries).toMatchObject([{ status: 'queued', attempts: 0 }]);
  expect(mails).toBe(1);
  expect(shared.messages).toHaveLength(0);
});
