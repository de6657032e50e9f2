/** Scheduled mail against scripted servers, and across the hard end of the process. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type RelayServer, startRelayServer } from '../faults/relay-server.ts';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
const settings = { WATCHDOG_MS: '1000', RETRY_FIRST_MS: '200', SESSION_IDLE_MS: '200' };
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const isDelivered = (found: { last_event: string }) => found.last_event === 'delivered';

const running: RelayServer[] = [];
const servers: ScriptedServer[] = [];

async function startServer(): Promise<ScriptedServer> {
  const server = await startScriptedServer({ pipelining: true });
  servers.push(server);
  return server;
}

async function startKillable(): Promise<RelayServer> {
  const server = await startRelayServer({ settings, env: {} });
  running.push(server);
  return server;
}

/** `kill -9` and a new start on the same state. */
async function killAndStart(server: RelayServer, { token }: ApiClient): Promise<ApiClient> {
  await server.kill();
  await server.start();
  return new ApiClient(server.url, token);
}

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

afterAll(async () => {
  for (const server of servers) await server.close();
});

describe('a scheduled message', () => {
  let relay: RelayUnderTest;

  beforeAll(async () => {
    relay = await startRelay({ quiet: true, settings });
  });

  afterAll(() => relay.stop());

  test('is sent at its time, dated with it, and what was sent meanwhile does not wait for it', async () => {
    const server = await startServer();
    const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
    const at = inMs(2500);
    const later = await client.post('/v1/emails', { ...email, subject: 'Later', scheduled_at: at });
    const atOnce = await client.post('/v1/emails', email);
    await client.until(`/v1/emails/${atOnce.body.id}`, isDelivered);
    const found = await client.until(`/v1/emails/${later.body.id}`, isDelivered);
    expect(server.messages).toHaveLength(2);
    const text = server.messages[1]?.data.toString() ?? '';
    expect(text).toContain('Subject: Later');
    const [, date = ''] = /^Date: (.*)\r$/m.exec(text) ?? [];
    expect(Math.floor(Date.parse(at) / 1000)).toBe(Date.parse(date) / 1000);
    const { timeline, scheduled_at } = found;
    expect(timeline.map(({ type }: { type: string }) => type)).toEqual(['scheduled', 'delivered']);
    expect(scheduled_at).toBe(at);
    expect(Date.parse(timeline[1].created_at)).toBeGreaterThanOrEqual(Date.parse(at));
  });

  test('that came as MIME, in several pieces, arrives at its time as it came', async () => {
    const server = await startServer();
    const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
    const at = inMs(1500);
    const header = 'From: a@example.com\r\nTo: b@example.net\r\nMessage-ID: <1@example.com>\r\n';
    const message = `${header}Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n${'0123456789\r\n'.repeat(200_000)}`;
    const path = `/v1/emails/raw?scheduled_at=${encodeURIComponent(at)}`;
    const accepted = await client.post(path, message, { 'content-type': 'message/rfc822' });
    expect(accepted.body.deliveries[0].status).toBe('scheduled');
    const found = await client.until(`/v1/emails/${accepted.body.id}`, isDelivered);
    expect(Date.parse(found.timeline[1].created_at)).toBeGreaterThanOrEqual(Date.parse(at));
    expect(server.messages.map(({ data }) => data.toString() === message)).toEqual([true]);
  });

  test('is sent at the time it was moved to: earlier, or at once', async () => {
    const server = await startServer();
    const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
    const sent = await client.post('/v1/emails/batch', [
      { ...email, scheduled_at: 'in 1 day' },
      { ...email, scheduled_at: 'in 2 days' },
      { ...email, scheduled_at: 'in 3 days' },
    ]);
    const [soon, now, never] = sent.body.data.map(({ id }: { id: string }) => `/v1/emails/${id}`);
    expect((await client.call('PATCH', soon, { scheduled_at: inMs(1000) })).status).toBe(200);
    expect((await client.call('PATCH', now, { scheduled_at: inMs(-1000) })).status).toBe(200);
    await client.until(now, isDelivered);
    await client.until(soon, isDelivered);
    const late = await client.call('PATCH', soon, { scheduled_at: 'in 1 hour' });
    expect([late.status, late.body.code]).toEqual([409, 'not_scheduled']);
    expect(server.messages).toHaveLength(2);
    expect((await client.get(never)).body.last_event).toBe('scheduled');
  });
});

test('kill -9 loses no scheduled message, sends none before its time, and brings back none that was canceled', async () => {
  const server = await startServer();
  const killable = await startKillable();
  const { client: before } = await openAccount(killable.url, ADMIN_TOKEN, { relay: { port: server.port } });
  const sent = await before.post(
    '/v1/emails/batch',
    ['Kept', 'Canceled', 'Moved'].map((subject) => ({ ...email, subject, scheduled_at: 'in 1 day' })),
  );
  const [kept, canceled, moved] = sent.body.data.map(({ id }: { id: string }) => `/v1/emails/${id}`);
  expect((await before.post(`${canceled}/cancel`)).status).toBe(200);
  expect((await before.call('PATCH', moved, { scheduled_at: 'in 2 days' })).status).toBe(200);

  const client = await killAndStart(killable, before);
  expect((await client.get(kept)).body.last_event).toBe('scheduled');
  const at = inMs(1000);
  expect((await client.call('PATCH', kept, { scheduled_at: at })).status).toBe(200);
  const found = await client.until(kept, isDelivered, 30_000);
  expect(Date.parse(found.timeline.at(-1).created_at)).toBeGreaterThanOrEqual(Date.parse(at));
  expect(server.messages.map(({ data }) => /Subject: (.*)\r/.exec(data.toString())?.[1])).toEqual(['Kept']);
  expect((await client.get(canceled)).body.last_event).toBe('canceled');
  expect((await client.get(moved)).body.last_event).toBe('scheduled');
});

test('a batch whose answer was lost with the process is repeated without a second mail', async () => {
  const server = await startServer();
  const killable = await startKillable();
  const { client: before } = await openAccount(killable.url, ADMIN_TOKEN, { relay: { port: server.port } });
  const batch = Array.from({ length: 20 }, (_, index) => ({ ...email, subject: `Number ${index}` }));
  const key = { 'idempotency-key': 'the batch' };
  const lost = before.post('/v1/emails/batch', batch, key).then(
    () => 'answered',
    () => 'lost',
  );
  await server.waitForMessages(1);
  const client = await killAndStart(killable, before);
  await lost;

  const again = await client.post('/v1/emails/batch', batch, key);
  expect(again.status).toBe(200);
  let doubts = 0;
  for (const { id } of again.body.data) {
    doubts += (await client.until(`/v1/emails/${id}`, isDelivered)).possible_duplicates;
  }
  const { body } = await client.get('/v1/emails?limit=100');
  expect(body.data).toHaveLength(20);
  expect(server.messages.length).toBeLessThanOrEqual(20 + doubts);
  expect(new Set(server.messages.map(({ data }) => /Subject: (.*)\r/.exec(data.toString())?.[1])).size).toBe(
    20,
  );
});
