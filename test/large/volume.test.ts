/** 10,000 messages of one account in one run: each arrives exactly once, and the listing knows every one. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const COUNT = 10_000;
const BATCH = 100;
const REQUESTS_AT_ONCE = 4;

let relay: RelayUnderTest;
let smtp: ScriptedServer;
let client: ApiClient;
const accepted: string[] = [];

beforeAll(async () => {
  smtp = await startScriptedServer();
  relay = await startRelay({ quiet: true, settings: { KEY_MESSAGES_PER_SECOND: '100000' } });
  ({ client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } }));
});

afterAll(async () => {
  await relay.stop();
  await smtp.close();
});

const numberOf = (data: Buffer) => /^Subject: Number (\d+)\r$/m.exec(data.toString('latin1'))?.[1];

test(`${COUNT} messages are accepted and arrive exactly once each`, { timeout: 300_000 }, async () => {
  const startedMs = performance.now();
  let next = 0;
  const sendBatches = async () => {
    while (next < COUNT) {
      const first = next;
      next += BATCH;
      const batch = Array.from({ length: BATCH }, (_, index) => ({
        from: 'Sender <sender@example.com>',
        to: `user${first + index}@example.net`,
        subject: `Number ${first + index}`,
        text: 'A small text',
      }));
      const { status, body } = await client.post('/v1/emails/batch', batch);
      expect(status, JSON.stringify(body)).toBe(200);
      accepted.push(...body.data.map(({ id }: { id: string }) => id));
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, sendBatches));
  const acceptedMs = performance.now() - startedMs;
  await smtp.waitForMessages(COUNT);
  const deliveredMs = performance.now() - startedMs;
  console.log(
    `accepted ${COUNT} in ${Math.round(acceptedMs)} ms, delivered in ${Math.round(deliveredMs)} ms`,
  );
  expect(new Set(accepted).size).toBe(COUNT);

  // Only when the ledger is at rest, too, can no second copy be on its way.
  const last = [...accepted].sort().at(-1);
  await client.until(`/v1/emails/${last}`, (body) => body.last_event === 'delivered');
  expect(smtp.messages).toHaveLength(COUNT);
  expect(new Set(smtp.messages.map(({ data }) => numberOf(data))).size).toBe(COUNT);
  expect(
    new Set(smtp.messages.map(({ data }) => /^Message-ID: (.*)\r$/im.exec(String(data))?.[1])).size,
  ).toBe(COUNT);
  for (const { data, recipients } of smtp.messages)
    expect(recipients).toEqual([`user${numberOf(data)}@example.net`]);
});

test('the listing has all of them, without gaps and without doubles, forwards and backwards', async () => {
  const newestFirst = [...accepted].sort().reverse();
  const forwards: string[] = [];
  let after = '';
  for (;;) {
    const { body } = await client.get(`/v1/emails?limit=100${after}`);
    expect(body.data).toHaveLength(100);
    for (const { id, last_event } of body.data) {
      expect(last_event).toBe('delivered');
      forwards.push(id);
    }
    expect(body.has_more).toBe(forwards.length < COUNT);
    if (!body.has_more) break;
    after = `&after=${forwards.at(-1)}`;
  }
  expect(forwards).toEqual(newestFirst);

  const backwards: string[] = [forwards.at(-1) ?? ''];
  for (let more = true; more; ) {
    const { body } = await client.get(`/v1/emails?limit=100&before=${backwards[0]}`);
    backwards.unshift(...body.data.map(({ id }: { id: string }) => id));
    more = body.has_more;
  }
  expect(backwards).toEqual(newestFirst);
});
