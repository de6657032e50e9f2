/** Several sessions to a relay, and several relays for an account. A relay that dies has `large/relay-dies.test.ts`. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };

let relay: RelayUnderTest;
const servers: ScriptedServer[] = [];

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,
    settings: { RETRY_FIRST_MS: '300', WATCHDOG_MS: '300', SESSION_IDLE_MS: '300', DOT_TIMEOUT_MS: '5000' },
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

async function clientWith(
  ...relays: Record<string, unknown>[]
): Promise<{ client: ApiClient; relayIds: string[] }> {
  const { client } = await openAccount(relay.url, ADMIN_TOKEN, {});
  const relayIds: string[] = [];
  for (const fields of relays) {
    const { body } = await client.post('/v1/relays', { host: '127.0.0.1', tls: 'none', ...fields });
    relayIds.push(body.id);
  }
  return { client, relayIds };
}

function numbered(count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, index) => ({ ...email, subject: `Number ${index}` }));
}

function subjectsOf(server: ScriptedServer): string[] {
  return server.messages.map((message) => /^Subject: (.*)$/m.exec(message.data.toString())?.[1] ?? '');
}

const isSettled = (body: { deliveries?: { status: string }[] }) =>
  body.deliveries?.every((delivery) => !['queued', 'sending', 'deferred'].includes(delivery.status)) ?? false;

describe('a relay', () => {
  test('gets more sessions as the backlog grows, and no message twice', async () => {
    const server = await serverWith({ oneWayDelayMs: 10 });
    const { client } = await clientWith({ port: server.port });
    await client.post('/v1/emails/batch', numbered(100));
    await client.post('/v1/emails/batch', numbered(100));
    await server.waitForMessages(200);
    expect(server.connections.length).toBeGreaterThan(1);
    expect(server.connections.length).toBeLessThanOrEqual(6);
    expect(new Set(subjectsOf(server)).size).toBe(100);
    expect(server.messages).toHaveLength(200);
  });

  test('gets no more sessions than it allows', async () => {
    const server = await serverWith({ oneWayDelayMs: 5 });
    const { client } = await clientWith({ port: server.port, limits: { sessions: 2 } });
    await client.post('/v1/emails/batch', numbered(100));
    await server.waitForMessages(100);
    expect(server.connections).toHaveLength(2);
  });

  test('is paced to what it takes in a minute: more is accepted, waits, and is not failed', async () => {
    const server = await serverWith();
    const { client, relayIds } = await clientWith({ port: server.port, limits: { per_minute: 5 } });
    expect((await client.post('/v1/emails/batch', numbered(8))).status).toBe(200);
    await server.waitForMessages(5);
    await client.until('/v1/account', (body) => body.statistics.backlog === 3);
    const { body: list } = await client.get('/v1/emails');
    const events = list.data.map((item: { last_event: string }) => item.last_event).sort();
    expect(events).toEqual([...Array(5).fill('delivered'), ...Array(3).fill('queued')]);
    const { body: health } = await client.get(`/v1/relays/${relayIds[0]}/health`);
    expect(health).toMatchObject({ breaker: 'closed', last_error: null });
    expect(server.messages).toHaveLength(5);
  });

  test('gets a new session after as many messages as it allows in one', async () => {
    const server = await serverWith();
    const { client } = await clientWith({ port: server.port, limits: { sessions: 1, per_session: 10 } });
    await client.post('/v1/emails/batch', numbered(30));
    await server.waitForMessages(30);
    expect(server.connections).toHaveLength(3);
  });

  test('that is slow with one message goes on with the others', async () => {
    let isFirst = true;
    const server = await serverWith({
      hooks: {
        DOT: () => {
          if (!isFirst) return undefined;
          isFirst = false;
          return { silent: true };
        },
      },
    });
    const { client } = await clientWith({ port: server.port });
    await client.post('/v1/emails/batch', numbered(60));
    await server.waitForMessages(59);
    expect(server.connections.length).toBeGreaterThan(1);
  });

  test('that takes only so many recipients gets the rest in a transaction of their own, nobody twice', async () => {
    const perTransaction = new Map<unknown, number>();
    const server = await serverWith({
      hooks: {
        MAIL: (connection) => {
          perTransaction.set(connection, 0);
          return undefined;
        },
        RCPT: (connection) => {
          const count = (perTransaction.get(connection) ?? 0) + 1;
          perTransaction.set(connection, count);
          return count > 10 ? '452 4.5.3 too many recipients' : undefined;
        },
      },
    });
    const { client } = await clientWith({ port: server.port });
    const to = Array.from({ length: 25 }, (_, index) => `to${index}@example.net`);
    const { body } = await client.post('/v1/emails', { ...email, to });
    const found = await client.until(`/v1/emails/${body.id}`, isSettled);
    expect(new Set(found.deliveries.map((delivery: { status: string }) => delivery.status))).toEqual(
      new Set(['delivered']),
    );
    expect(server.messages.map((message) => message.recipients.length)).toEqual([10, 10, 5]);
    expect(server.messages.flatMap((message) => message.recipients)).toEqual(to);
  });

  test('that asks for patience in its reply is asked again when it said', async () => {
    let refusals = 0;
    const server = await serverWith({
      hooks: {
        RCPT: () => (refusals++ === 0 ? '450 4.7.1 greylisted, try again in 3600 seconds' : undefined),
      },
    });
    const { client } = await clientWith({ port: server.port });
    const { body } = await client.post('/v1/emails', email);
    const found = await client.until(
      `/v1/emails/${body.id}`,
      (answer) => answer.last_event === 'delivery_delayed',
    );
    const waitMs =
      Date.parse(found.deliveries[0].next_attempt_at) - Date.parse(found.deliveries[0].updated_at);
    expect(waitMs).toBe(3600_000);
  });
});

describe('two relays', () => {
  test.each(['BANNER', 'EHLO', 'MAIL', 'RCPT', 'DATA'] as const)(
    'the second takes over in the same pass where the first fails for now at %s',
    async (verb) => {
      const first = await serverWith({ hooks: { [verb]: () => '451 4.3.0 not now' } });
      const second = await serverWith();
      const { client, relayIds } = await clientWith(
        { port: first.port, priority: 1 },
        { port: second.port, priority: 2 },
      );
      const { body } = await client.post('/v1/emails', email);
      await second.waitForMessages(1);
      const found = await client.until(`/v1/emails/${body.id}`, isSettled);
      expect(found.deliveries).toMatchObject([{ status: 'delivered', relay: relayIds[1] }]);
      expect(found.timeline.map((event: { type: string }) => event.type)).toEqual([
        'queued',
        'relay.failover',
        'delivered',
      ]);
      expect(found.timeline[1].relay).toBe(relayIds[0]);
      expect(found.possible_duplicates).toBe(0);
    },
  );

  test('there is no failover past the final dot', async () => {
    let cuts = 0;
    const first = await serverWith({
      hooks: { DOT: () => (cuts++ === 0 ? { close: true, store: true } : undefined) },
    });
    const second = await serverWith();
    const { client } = await clientWith(
      { port: first.port, priority: 1 },
      { port: second.port, priority: 2 },
    );
    const { body } = await client.post('/v1/emails', email);
    const found = await client.until(`/v1/emails/${body.id}`, (answer) => answer.last_event === 'delivered');
    expect(found.possible_duplicates).toBe(1);
    expect(first.messages).toHaveLength(2);
    expect(second.messages).toHaveLength(0);
  });

  test('a 451 to the dot is no failover: the message waits, and goes to the same relay again', async () => {
    const dots: string[] = [];
    const first = await serverWith({
      hooks: { DOT: () => (dots.push('first') === 1 ? '451 4.3.0 not now' : undefined) },
    });
    const second = await serverWith();
    const { client, relayIds } = await clientWith(
      { port: first.port, priority: 1 },
      { port: second.port, priority: 2 },
    );
    const { body } = await client.post('/v1/emails', email);
    await first.waitForMessages(1);
    const found = await client.until(`/v1/emails/${body.id}`, isSettled);
    expect(found.deliveries).toMatchObject([{ status: 'delivered', relay: relayIds[0], attempts: 2 }]);
    expect(found.timeline.map((event: { type: string }) => event.type)).toEqual([
      'queued',
      'delivery_delayed',
      'delivered',
    ]);
    expect(found.possible_duplicates).toBe(0);
    expect(second.connections).toHaveLength(0);
  });

  test('a relay for one domain carries its mail, and no other', async () => {
    const own = await serverWith();
    const other = await serverWith();
    const { client } = await clientWith(
      { port: own.port, from_domains: ['example.com'] },
      { port: other.port, from_domains: ['example.org'] },
    );
    await client.post('/v1/emails/batch', numbered(20));
    await own.waitForMessages(20);
    expect(other.messages).toHaveLength(0);
  });

  test('a message that names its relay goes through that one', async () => {
    const first = await serverWith();
    const second = await serverWith();
    const { client, relayIds } = await clientWith(
      { port: first.port, priority: 1 },
      { port: second.port, priority: 2 },
    );
    await client.post('/v1/emails', { ...email, relay: relayIds[1] });
    await second.waitForMessages(1);
    expect(first.messages).toHaveLength(0);
  });

  test('of equal priority share the mail by weight', async () => {
    const light = await serverWith();
    const heavy = await serverWith();
    const { client } = await clientWith({ port: light.port, weight: 1 }, { port: heavy.port, weight: 9 });
    for (let batch = 0; batch < 3; batch++) await client.post('/v1/emails/batch', numbered(100));
    await client.until('/v1/account', (body) => body.statistics.backlog === 0);
    expect(light.messages.length + heavy.messages.length).toBe(300);
    expect(light.messages.length).toBeGreaterThan(5);
    expect(light.messages.length).toBeLessThan(75);
  });
});

describe('a doubt', () => {
  async function heldMessage() {
    let cuts = 0;
    const server = await serverWith({
      hooks: { DOT: () => (cuts++ === 0 ? { close: true, store: true } : undefined) },
    });
    const { client } = await clientWith({ port: server.port });
    const { body } = await client.post('/v1/emails', { ...email, in_doubt_policy: 'hold' });
    const held = await client.until(`/v1/emails/${body.id}`, isSettled);
    return { server, client, id: body.id as string, held };
  }

  test('is held where the message says so, and nothing is sent', async () => {
    const { server, held, client } = await heldMessage();
    expect(held.deliveries).toMatchObject([{ status: 'in_doubt', next_attempt_at: null }]);
    expect(held.possible_duplicates).toBe(1);
    expect(server.messages).toHaveLength(1);
    const { body: account } = await client.get('/v1/account');
    expect(account.statistics).toMatchObject({ backlog: 0, possible_duplicates: 1 });
  });

  test.each([
    ['delivered', 'delivered', 1],
    ['drop', 'canceled', 1],
    ['resend', 'delivered', 2],
  ])('is ended by the customer: %s', async (resolution, status, copies) => {
    const { server, client, id } = await heldMessage();
    const answer = await client.post(`/v1/emails/${id}/deliveries/0/resolve`, { resolution });
    expect(answer.status).toBe(200);
    await server.waitForMessages(copies);
    const found = await client.until(`/v1/emails/${id}`, (body) => body.deliveries[0].status === status);
    expect(found.timeline.map((event: { type: string }) => event.type)).toContain('resolved');
    expect(server.messages).toHaveLength(copies);
    expect(server.messages[0]?.data.equals(server.messages.at(-1)?.data ?? Buffer.alloc(0))).toBe(true);
    expect((await client.post(`/v1/emails/${id}/deliveries/0/resolve`, { resolution })).status).toBe(409);
  });
});
