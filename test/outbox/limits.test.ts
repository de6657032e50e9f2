/** What the Outbox refuses, repeats and lists. The relay of these accounts never answers, so mail stays queued. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient, openAccount, type TestAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };

let relay: RelayUnderTest;
let silent: ScriptedServer;

beforeAll(async () => {
  silent = await startScriptedServer({ hooks: { BANNER: () => ({ silent: true }) } });
  relay = await startRelay({
    quiet: true,
    settings: { BACKLOG_LIMIT: '150', KEY_MESSAGES_PER_SECOND: '120' },
  });
});

afterAll(async () => {
  await relay.stop();
  await silent.close();
});

function account(): Promise<TestAccount> {
  return openAccount(relay.url, ADMIN_TOKEN, { relay: { port: silent.port } });
}

describe('an idempotency key', () => {
  test('gives the same answer to the same request, and makes one message', async () => {
    const { client } = await account();
    const headers = { 'idempotency-key': 'order-1' };
    const first = await client.post('/v1/emails', email, headers);
    const second = await client.post('/v1/emails', email, headers);
    expect(second.status).toBe(200);
    expect(second.body).toEqual(first.body);
    expect((await client.get('/v1/emails')).body.data).toHaveLength(1);
  });

  test('is not confused by the order of fields', async () => {
    const { client } = await account();
    const headers = { 'idempotency-key': 'order-1' };
    const first = await client.post('/v1/emails', email, headers);
    const reordered = Object.fromEntries(Object.entries(email).reverse());
    expect((await client.post('/v1/emails', reordered, headers)).body).toEqual(first.body);
  });

  test('used for another request is refused with 409', async () => {
    const { client } = await account();
    const headers = { 'idempotency-key': 'order-2' };
    await client.post('/v1/emails', email, headers);
    const other = await client.post('/v1/emails', { ...email, subject: 'Another' }, headers);
    expect(other.status).toBe(409);
    expect(other.body).toMatchObject({ name: 'invalid_idempotent_request', statusCode: 409 });
    expect((await client.get('/v1/emails')).body.data).toHaveLength(1);
  });

  test('is not occupied by a request that was refused', async () => {
    const { client } = await account();
    const headers = { 'idempotency-key': 'order-3' };
    expect((await client.post('/v1/emails', { ...email, to: 'nobody' }, headers)).status).toBe(422);
    expect((await client.post('/v1/emails', email, headers)).status).toBe(200);
  });

  test('of one account says nothing to another', async () => {
    const [one, two] = await Promise.all([account(), account()]);
    const headers = { 'idempotency-key': 'shared' };
    const first = await one.client.post('/v1/emails', email, headers);
    const second = await two.client.post('/v1/emails', { ...email, subject: 'Another' }, headers);
    expect(second.status).toBe(200);
    expect(second.body.id).not.toBe(first.body.id);
  });

  test('gives a batch back whole', async () => {
    const { client } = await account();
    const headers = { 'idempotency-key': 'batch' };
    const batch = [email, { ...email, subject: 'Second' }];
    const first = await client.post('/v1/emails/batch', batch, headers);
    const second = await client.post('/v1/emails/batch', batch, headers);
    expect(first.body.data).toHaveLength(2);
    expect(second.body).toEqual(first.body);
    expect((await client.post('/v1/emails/batch', [...batch].reverse(), headers)).status).toBe(409);
  });

  test('makes exactly one message under a race', async () => {
    const { client } = await account();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client.post('/v1/emails', email, { 'idempotency-key': 'race' })),
    );
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect((await client.get('/v1/emails')).body.data).toHaveLength(1);
  });

  test.each(['', 'x'.repeat(257), 'ä'])('of the wrong form is refused (%#)', async (key) => {
    const { client } = await account();
    const answer = await client.post('/v1/emails', email, { 'idempotency-key': key });
    expect(answer.status).toBe(400);
    expect(answer.body.name).toBe('invalid_idempotency_key');
  });
});

describe('a limit', () => {
  test('on waiting messages has its own error, and refuses a batch whole', async () => {
    const { id, client } = await account();
    const batch = Array.from({ length: 100 }, () => email);
    expect((await client.post('/v1/emails/batch', batch)).status).toBe(200);
    // With another key, so that the limit per key has no say.
    const operator = new ApiClient(relay.url, ADMIN_TOKEN);
    const { body: key } = await operator.post(`/v1/admin/accounts/${id}/api-keys`, { name: 'Second' });
    const refused = await new ApiClient(relay.url, key.token).post('/v1/emails/batch', batch);
    expect(refused.status).toBe(429);
    expect(refused.body.code).toBe('backlog_full');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('on messages per key is exact under a race, and says when to come back', async () => {
    const { client } = await account();
    const answers = await Promise.all(Array.from({ length: 140 }, () => client.post('/v1/emails', email)));
    const refused = answers.filter((answer) => answer.status === 429);
    const accepted = answers.filter((answer) => answer.status === 200);
    expect(accepted.length).toBeGreaterThanOrEqual(120);
    expect(accepted.length + refused.length).toBe(140);
    for (const answer of refused) {
      expect(answer.body).toMatchObject({ name: 'rate_limit_exceeded', code: 'rate_limited' });
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(answer.headers.get('ratelimit-limit')).toBe('120');
    }
    expect(accepted[0]?.headers.get('ratelimit-remaining')).not.toBeNull();
  });
});

describe('a list of emails', () => {
  test('pages through everything, newest first, in both directions, with no gap and no double', async () => {
    const { client } = await account();
    const sent: string[] = [];
    for (let index = 0; index < 25; index++) {
      sent.push((await client.post('/v1/emails', { ...email, subject: `Number ${index}` })).body.id);
    }
    const newestFirst = [...sent].reverse();
    const pages: string[] = [];
    let after: string | undefined;
    for (;;) {
      const { body } = await client.get(`/v1/emails?limit=10${after ? `&after=${after}` : ''}`);
      pages.push(...body.data.map((item: { id: string }) => item.id));
      after = pages.at(-1);
      if (!body.has_more) break;
    }
    expect(pages).toEqual(newestFirst);
    const { body: back } = await client.get(`/v1/emails?limit=5&before=${newestFirst[10]}`);
    expect(back.data.map((item: { id: string }) => item.id)).toEqual(newestFirst.slice(5, 10));
    expect(back.has_more).toBe(true);
  });

  test('shows nothing of another account', async () => {
    const [one, two] = await Promise.all([account(), account()]);
    const { body } = await one.client.post('/v1/emails', email);
    expect((await two.client.get('/v1/emails')).body.data).toEqual([]);
    const foreign = await two.client.get(`/v1/emails/${body.id}`);
    const missing = await two.client.get(`/v1/emails/${body.id.slice(0, -4)}0000`);
    expect(foreign.status).toBe(404);
    expect({ ...foreign.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' });
  });
});
