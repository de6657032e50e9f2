/** Mail of test keys: the whole path, and not a byte to anybody. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
const settings = { RETRY_FIRST_MS: '100', WATCHDOG_MS: '300', SESSION_IDLE_MS: '200' };
const at = (local: string) => `${local}@test.edge-relay.invalid`;

let relay: RelayUnderTest;
let server: ScriptedServer;
let live: ApiClient;
let client: ApiClient;

beforeAll(async () => {
  relay = await startRelay({ quiet: true, settings });
  server = await startScriptedServer({ pipelining: true });
  live = (await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } })).client;
  const { body } = await live.post('/v1/api-keys', { name: 'Test', mode: 'test' });
  client = new ApiClient(relay.url, body.token);
});

afterAll(async () => {
  await relay.stop();
  await server.close();
});

async function settledAt(body: object, isEnd: (found: { last_event: string }) => boolean) {
  const sent = await client.post('/v1/emails', { ...email, ...body });
  expect(sent.status).toBe(200);
  return client.until(`/v1/emails/${sent.body.id}`, isEnd);
}
const typesOf = (found: { timeline: { type: string }[] }) => found.timeline.map(({ type }) => type);

describe('a test key', () => {
  test.each([
    ['one@example.net', ['queued', 'delivered'], { status: 'delivered', attempts: 1 }],
    [at('delivered'), ['queued', 'delivered'], { status: 'delivered', attempts: 1 }],
    [at('anything'), ['queued', 'delivered'], { status: 'delivered', attempts: 1 }],
    [at('bounced+label'), ['queued', 'bounced'], { status: 'failed', reason: 'no_such_mailbox' }],
    [at('deferred'), ['queued', 'delivery_delayed', 'delivered'], { status: 'delivered', attempts: 2 }],
    [at('complained'), ['queued', 'delivered', 'complained'], { status: 'delivered' }],
    [at('in_doubt'), ['queued', 'in_doubt', 'delivered'], { status: 'delivered', attempts: 2 }],
    ['delivered@resend.dev', ['queued', 'delivered'], { status: 'delivered' }],
    ['Bounced+x@resend.dev', ['queued', 'bounced'], { status: 'failed' }],
    ['complained@resend.dev', ['queued', 'delivered', 'complained'], { status: 'delivered' }],
  ])('to %s ends with %j', async (to, timeline, delivery) => {
    const found = await settledAt({ to }, ({ last_event }) => last_event === (timeline.at(-1) ?? ''));
    expect(typesOf(found)).toEqual(timeline);
    expect(found.deliveries).toMatchObject([{ ...delivery, relay: 'simulator' }]);
    expect(found.mode).toBe('test');
  });

  test('gives each recipient of a message its own outcome', async () => {
    const to = ['delivered', 'bounced', 'deferred'].map(at);
    const found = await settledAt({ to }, ({ last_event }) => last_event === 'delivered');
    const { deliveries } = await client.until(`/v1/emails/${found.id}`, (body) =>
      body.deliveries.every(({ status }: { status: string }) => ['delivered', 'failed'].includes(status)),
    );
    expect(deliveries.map(({ status }: { status: string }) => status)).toEqual([
      'delivered',
      'failed',
      'delivered',
    ]);
    expect(deliveries[1].last_reply).toContain('5.1.1');
  });

  test('leaves a doubt to the customer where that is asked for', async () => {
    const doubt = { to: at('in_doubt'), in_doubt_policy: 'hold' };
    const found = await settledAt(doubt, (body) => body.last_event === 'delivery_delayed');
    expect(found.deliveries).toMatchObject([{ status: 'in_doubt', next_attempt_at: null }]);
    const resolved = await client.post(`/v1/emails/${found.id}/deliveries/0/resolve`, {
      resolution: 'delivered',
    });
    expect(resolved.body.last_event).toBe('delivered');
  });

  test('does not wait behind live mail that no relay takes', async () => {
    const closed = await startScriptedServer({ hooks: { BANNER: () => ({ silent: true }) } });
    const { client: own } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: closed.port } });
    await own.post('/v1/emails', email);
    const { body } = await own.post('/v1/api-keys', { name: 'Test', mode: 'test' });
    const tester = new ApiClient(relay.url, body.token);
    const sent = await tester.post('/v1/emails/batch', Array(20).fill(email));
    for (const { id } of sent.body.data) {
      await tester.until(`/v1/emails/${id}`, (found) => found.last_event === 'delivered');
    }
    await closed.close();
  });

  test('never reached the relay of the account, which has carried live mail alone', async () => {
    const { body } = await live.post('/v1/emails', { ...email, subject: 'Live' });
    await live.until(`/v1/emails/${body.id}`, (found) => found.last_event === 'delivered');
    expect(server.messages).toHaveLength(1);
    expect(server.messages[0]?.data.toString()).toContain('Subject: Live');
    expect(server.connections).toHaveLength(1);
  });
});
