/** Quotas by the API, with one object and with several. The relay never answers, so mail stays queued. */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient, openAccount, type TestAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';
import { makeStateFolder } from '../support/state-folder.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };

let relay: RelayUnderTest;
let silent: ScriptedServer;
let stateFolder: string;

const start = () =>
  startRelay({
    quiet: true,
    stateFolder,
    settings: { KEY_MESSAGES_PER_SECOND: '100000', MONTHLY_QUOTA: '600' },
  });

beforeAll(async () => {
  stateFolder = await makeStateFolder();
  silent = await startScriptedServer({ hooks: { BANNER: () => ({ silent: true }) } });
  relay = await start();
});

afterAll(async () => {
  await relay.stop();
  await silent.close();
  await rm(stateFolder, { recursive: true, force: true });
});

async function account(limits: Record<string, unknown>): Promise<TestAccount> {
  const opened = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: silent.port } });
  const changed = await setLimits(opened.id, limits);
  expect(changed.status).toBe(200);
  return opened;
}

function setLimits(id: string, limits: Record<string, unknown>) {
  return new ApiClient(relay.url, ADMIN_TOKEN).call('PATCH', `/v1/admin/accounts/${id}`, limits);
}

async function quotasOf({ client }: TestAccount) {
  return (await client.get('/v1/account')).body.quotas;
}

async function countMessages(client: ApiClient): Promise<number> {
  let count = 0;
  let after = '';
  for (;;) {
    const { body } = await client.get(`/v1/emails?limit=100${after}`);
    count += body.data.length;
    if (!body.has_more) return count;
    after = `&after=${body.data.at(-1).id}`;
  }
}

describe('a daily quota of 500', () => {
  test.each([1, 4])('takes exactly 500 of 1,000 parallel messages, with %i shards', async (shards) => {
    const opened = await account({ daily_quota: 500, monthly_quota: 'unlimited', shards });
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, n) =>
        opened.client.post('/v1/emails', email, n % 2 ? { 'idempotency-key': `key-${n}` } : {}),
      ),
    );
    const accepted = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(accepted).toHaveLength(500);
    for (const { status, body, headers } of refused) {
      expect([status, body.name, body.code]).toEqual([429, 'daily_quota_exceeded', 'daily_quota_exceeded']);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(24 * 60 * 60);
    }
    expect(await countMessages(opened.client)).toBe(500);
    const { daily, monthly } = await quotasOf(opened);
    expect(daily).toMatchObject({ limit: 500, used: 500 });
    expect(monthly).toMatchObject({ limit: null, used: 500 });
    expect(daily.resets_at).toMatch(/T00:00:00\.000Z$/);
  });
});

describe('a quota', () => {
  test.each([1, 3])(
    'counts recipients, each request as a whole, and what is repeated once, with %i shards',
    async (shards) => {
      const opened = await account({ daily_quota: 10, shards });
      const { client } = opened;
      const to = Array.from({ length: 7 }, (_, n) => `${n}@example.net`);
      const headers = { 'idempotency-key': 'first' };
      const first = await client.post('/v1/emails', { ...email, to }, headers);
      for (let n = 0; n < 5; n++) {
        expect((await client.post('/v1/emails', { ...email, to }, headers)).body).toEqual(first.body);
      }
      expect((await quotasOf(opened)).daily).toMatchObject({ limit: 10, used: 7 });
      const key = { 'idempotency-key': 'second' };
      const four = [email, email, email, email];
      expect((await client.post('/v1/emails/batch', four, key)).body.code).toBe('daily_quota_exceeded');
      expect((await client.post('/v1/emails', { ...email, to: 'nobody' })).status).toBe(422);
      expect((await quotasOf(opened)).daily.used).toBe(7);
      // The key of the refused request is free for another one.
      expect((await client.post('/v1/emails/batch', four.slice(1), key)).status).toBe(200);
      expect((await quotasOf(opened)).daily.used).toBe(10);
      expect((await client.post('/v1/emails', email)).status).toBe(429);
      // And what was accepted is answered again although nothing is left.
      expect((await client.post('/v1/emails', { ...email, to }, headers)).body).toEqual(first.body);
      await setLimits(opened.id, { daily_quota: 11 });
      expect((await client.post('/v1/emails', email)).status).toBe(200);
      expect((await client.post('/v1/emails', email)).status).toBe(429);
    },
  );

  test('of the month is that of the settings where the account has none of its own', async () => {
    const opened = await account({ shards: 2 });
    expect((await quotasOf(opened)).monthly).toMatchObject({ limit: 600, used: 0 });
    await setLimits(opened.id, { monthly_quota: 0 });
    const refused = await opened.client.post('/v1/emails', email);
    expect([refused.status, refused.body.name]).toEqual([429, 'monthly_quota_exceeded']);
    const operator = new ApiClient(relay.url, ADMIN_TOKEN);
    const { body } = await operator.get(`/v1/admin/accounts/${opened.id}`);
    expect(body).toMatchObject({ daily_quota: null, monthly_quota: 0 });
    expect((await setLimits(opened.id, { monthly_quota: -1 })).status).toBe(422);
    await setLimits(opened.id, { monthly_quota: null });
    expect((await opened.client.post('/v1/emails', email)).status).toBe(200);
  });

  test('is remembered over a restart, and over more shards', async () => {
    const opened = await account({ daily_quota: 30 });
    const send = (client: ApiClient, count: number) =>
      client.post('/v1/emails/batch', Array(count).fill(email));
    expect((await send(opened.client, 9)).status).toBe(200);
    await relay.stop();
    relay = await start();
    const client = new ApiClient(relay.url, opened.client.token);
    await setLimits(opened.id, { shards: 4 });
    expect((await send(client, 22)).status).toBe(429);
    for (let n = 0; n < 3; n++) expect((await send(client, 7)).status).toBe(200);
    expect((await send(client, 1)).status).toBe(429);
    expect((await quotasOf({ id: opened.id, client })).daily.used).toBe(30);
  });
});
