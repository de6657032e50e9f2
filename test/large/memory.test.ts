/**
 * An isolate has 128 MB for everything. Large messages, several at once, must not get near that: what does not
 * fit is refused with 503 and a time to come back, and what was accepted arrives byte for byte.
 */
import { createHash, randomBytes } from 'node:crypto';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiAnswer, type ApiClient, openAccount } from '../support/api-client.ts';
import { freePort } from '../support/free-port.ts';
import { type HeapGauge, startHeapGauge } from '../support/heap-gauge.ts';
import { type MailCatcher, startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';

const MB = 1_000_000;
const LIMIT_BYTES = 100 * MB;
const ATTACHMENT_BYTES = 10 * 1024 * 1024;

let relay: RelayUnderTest;
let smtp: MailCatcher;
let client: ApiClient;
let gauge: HeapGauge;
const log: string[] = [];

beforeAll(async () => {
  smtp = await startMailCatcher();
  const inspectorPort = await freePort();
  relay = await startRelay({
    inspectorPort,
    settings: { SESSION_IDLE_MS: '200' },
    onLog: (line) => log.push(line),
  });
  ({ client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } }));
  gauge = await startHeapGauge(inspectorPort);
});

afterAll(async () => {
  gauge.stop();
  await relay.stop();
  await smtp.close();
});

/** A request whose answer is a yes, or a not now with a time. */
async function post(body: string): Promise<ApiAnswer> {
  const answer = await client.post('/v1/emails', body);
  expect(answer.status, JSON.stringify(answer.body)).toBeOneOf([200, 503]);
  if (answer.status === 503) {
    expect(answer.body).toMatchObject({ name: 'application_error', code: 'overloaded' });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  return answer;
}

async function postUntilAccepted(body: string): Promise<string> {
  for (;;) {
    const answer = await post(body);
    if (answer.status === 200) return answer.body.id;
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get('retry-after'))));
  }
}

function largeEmail(index: number): { body: string; sha256: string } {
  const content = randomBytes(ATTACHMENT_BYTES);
  const body = JSON.stringify({
    from: 'sender@example.com',
    to: `user${index}@example.net`,
    subject: `Large ${index}`,
    text: 'A text',
    attachments: [{ filename: 'large.bin', content: content.toString('base64') }],
  });
  return { body, sha256: sha256Of(content) };
}

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function arrivedAs(): Promise<Map<string, string>> {
  const arrived = new Map<string, string>();
  for (const { recipients, data } of smtp.messages) {
    const { attachments } = await simpleParser(data);
    arrived.set(recipients.join(), sha256Of(attachments[0]?.content ?? new Uint8Array()));
  }
  return arrived;
}

const megabytes = ({ peak }: HeapGauge) =>
  `${(peak.total / MB).toFixed(1)} MB (heap ${(peak.usedSize / MB).toFixed(1)}, buffers ${(peak.backingStorageSize / MB).toFixed(1)}, embedder ${(peak.embedderHeapUsedSize / MB).toFixed(1)})`;

test('the gauge sees memory that is really held', async () => {
  expect(gauge.samples).toBeGreaterThan(0);
  expect(gauge.peak.usedSize).toBeGreaterThan(MB);
});

test('two messages of 10 MiB at once are accepted and arrive, within 100 MB', async () => {
  const emails = [largeEmail(0), largeEmail(1)];
  const ids = await Promise.all(emails.map(({ body }) => postUntilAccepted(body)));
  console.log(`peak while accepting two large messages: ${megabytes(gauge)}`);
  await smtp.waitForMessages(2);
  for (const id of ids) await client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
  const arrived = await arrivedAs();
  for (const [index, { sha256 }] of emails.entries())
    expect(arrived.get(`user${index}@example.net`)).toBe(sha256);
  console.log(`peak for two large messages: ${megabytes(gauge)}, ${gauge.samples} samples`);
  expect(gauge.peak.total).toBeGreaterThan(ATTACHMENT_BYTES);
  expect(gauge.peak.total).toBeLessThan(LIMIT_BYTES);
});

test('eight at once are answered 200 or 503, and nothing breaks', async () => {
  const { body } = largeEmail(2);
  const answers = await Promise.all(Array.from({ length: 8 }, () => post(body)));
  const ids = answers.filter(({ status }) => status === 200).map((answer) => answer.body.id);
  expect(ids.length).toBeGreaterThan(0);
  await smtp.waitForMessages(2 + ids.length);
  for (const id of ids)
    await client.until(`/v1/emails/${id}`, ({ last_event }) => last_event === 'delivered');
  console.log(`peak for eight at once: ${megabytes(gauge)}; ${ids.length} accepted`);
  expect(smtp.messages).toHaveLength(2 + ids.length);
  expect((await client.get('/health')).body).toMatchObject({ status: 'ok' });
  expect(
    log.filter((line) => /"event":"(?:fault|pump_failed|alarm_failed|message_unreadable)"/.test(line)),
  ).toEqual([]);
  console.log(`held after a collection: ${((await gauge.settled()) / MB).toFixed(1)} MB`);
});
