/**
 * What a message says is nowhere in clear: not in the databases' files, not in the log, not in an error.
 * The search looks for every planted word in several encodings, and proves itself on words that must be there.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiClient, openAccount, type TestAccount } from '../support/api-client.ts';
import { canary, filesBelow, findIn } from '../support/canary.ts';
import { plantBroadcasts, plantedInBroadcast, provokeBroadcastErrors } from '../support/planted-broadcast.ts';
import { ADMIN_TOKEN, startRelay, TEST_SETTINGS } from '../support/relay-under-test.ts';
import { startScriptedServer } from '../support/scripted-smtp-server.ts';
import { startReceiver } from '../support/webhook-receiver.ts';

const planted = {
  subject: canary('subject'),
  senderName: canary('sendername'),
  recipient: canary('recipient'),
  recipientDomain: `${canary('domain')}.example`,
  recipientName: canary('recipientname'),
  cc: canary('cc'),
  bcc: canary('bcc'),
  leftOut: canary('leftout'),
  replyTo: canary('replyto'),
  text: canary('text'),
  html: canary('html'),
  headerValue: canary('headervalue'),
  tag: canary('tag'),
  filename: canary('filename'),
  attachment: canary('attachment'),
  refused: canary('refused'),
  refusedReply: canary('refusedreply'),
  deferred: canary('deferred'),
  deferredReply: canary('deferredreply'),
  password: canary('password'),
  idempotencyKey: canary('idempotency'),
  wrongField: canary('wrongfield'),
  wrongKey: canary('wrongkey'),
  contact: canary('contact'),
  contactDomain: `${canary('contactdomain')}.example`,
  firstName: canary('firstname'),
  lastName: canary('lastname'),
  propertyKey: canary('propertykey'),
  propertyValue: canary('propertyvalue'),
  fallback: canary('fallback'),
  listName: canary('listname'),
  topicName: canary('topicname'),
  topicText: canary('topictext'),
  filterDomain: `${canary('filterdomain')}.example`,
  erased: canary('erased'),
  ...plantedInBroadcast,
};

let account: TestAccount;
let messageId: string;
let webhookSecret: string;
let stateFolder: string;
let running: Map<string, Buffer>;
let stopped: Map<string, Buffer>;
const log: string[] = [];
const errors: string[] = [];

beforeAll(async () => {
  stateFolder = await mkdtemp(join(tmpdir(), 'edge-relay-'));
  const smtp = await startScriptedServer({
    auth: { methods: ['PLAIN'], username: 'sender', secret: planted.password },
    hooks: {
      RCPT: (_connection, _verb, argument) => {
        if (argument.includes(planted.refused)) {
          return `550 5.1.1 <${planted.refused}@example.net> ${planted.refusedReply}: no such user`;
        }
        return argument.includes(planted.deferred)
          ? `450 4.2.1 <${planted.deferred}@example.net> ${planted.deferredReply}: busy`
          : undefined;
      },
    },
  });
  const relay = await startRelay({ stateFolder, onLog: (line) => log.push(line) });
  account = await openAccount(relay.url, ADMIN_TOKEN, {
    relay: { port: smtp.port, username: 'sender', password: planted.password },
  });
  const { client } = account;
  const { cc, bcc, refused, deferred } = planted;
  const email = {
    from: `${planted.senderName} <sender@example.com>`,
    to: [
      `${planted.recipientName} <${planted.recipient}@${planted.recipientDomain}>`,
      `${refused}@example.net`,
      `${deferred}@example.net`,
    ],
    cc: `${cc}@example.net`,
    // The second one is no address: it is left out, and the answer says so.
    bcc: [`${bcc}@example.net`, `<${planted.leftOut}`],
    reply_to: `${planted.replyTo}@example.net`,
    subject: planted.subject,
    text: planted.text,
    html: `<p>${planted.html}</p>`,
    headers: { 'X-Secret': planted.headerValue },
    tags: [{ name: 'kind', value: planted.tag }],
    attachments: [
      { filename: `${planted.filename}.txt`, content: Buffer.from(planted.attachment).toString('base64') },
      { filename: 'large.txt', content: Buffer.from(planted.attachment.repeat(60_000)).toString('base64') },
    ],
  };
  // An endpoint that gives back what it is sent.
  const receiver = await startReceiver((_n, { body }) => ({ status: 500, body }), { keep: true });
  const hook = await client.post('/v1/webhooks', { endpoint: receiver.url });
  webhookSecret = hook.body.signing_secret.slice('whsec_'.length);
  const sent = await client.post('/v1/emails', email, { 'idempotency-key': planted.idempotencyKey });
  messageId = sent.body.id;
  const found = await client.until(`/v1/emails/${messageId}`, ({ deliveries }) =>
    deliveries.every(({ status }: { status: string }) =>
      ['delivered', 'failed', 'deferred'].includes(status),
    ),
  );
  // The planted words have really gone through: as mail, and as replies that the API gives back.
  expect(found.deliveries.map(({ status }: { status: string }) => status)).toEqual([
    'delivered',
    'failed',
    'deferred',
    'delivered',
    'delivered',
    'failed',
  ]);
  expect(found.deliveries[5].recipient).toContain(planted.leftOut);
  expect(found.deliveries[1].last_reply).toContain(planted.refusedReply);
  expect(smtp.messages[0]?.data.toString()).toContain(planted.subject);
  const { body: relays } = await client.get('/v1/relays');
  await client.post(`/v1/relays/${relays.data[0].id}/verify`);
  await receiver.waitFor(3, ({ body }) => body.includes(planted.subject));
  await client.until(`/v1/webhooks/${hook.body.id}/events`, ({ data }) => data.length >= 3);
  const { body: events } = await client.get('/v1/events?limit=100');
  expect(JSON.stringify(events)).toContain(planted.recipient);
  await plantContacts(client);
  await plantBroadcasts(client, smtp);
  await provokeErrors(client, email);
  running = await filesBelow(stateFolder);
  await relay.stop();
  stopped = await filesBelow(stateFolder);
  await smtp.close();
  await receiver.stop();
});

afterAll(() => rm(stateFolder, { recursive: true, force: true }));

/** Every field that a contact, a list, a topic and a property have; and one contact who was erased. */
async function plantContacts(client: ApiClient): Promise<void> {
  const made = async (path: string, body: object): Promise<string> => {
    const answer = await client.post(path, body);
    expect([path, answer.status]).toEqual([path, 201]);
    return answer.body.id;
  };
  const key = planted.propertyKey;
  const property = { key, type: 'string', fallback_value: planted.fallback, is_filterable: true };
  await made('/v1/contact-properties', property);
  const list = await made('/v1/lists', { name: planted.listName });
  const filter = { or: [{ domain: planted.filterDomain }, { property: key, equals: planted.propertyValue }] };
  const dynamic = await made('/v1/lists', { name: planted.listName, filter });
  const topic = { name: planted.topicName, description: planted.topicText, default_subscription: 'opt_in' };
  const topicId = await made('/v1/topics', topic);
  const contact = {
    first_name: planted.firstName,
    last_name: planted.lastName,
    properties: { [key]: planted.propertyValue },
    segments: [list],
    topics: [{ id: topicId, subscription: 'opt_out' }],
  };
  const email = `${planted.contact}@${planted.contactDomain}`;
  await made('/v1/contacts', { ...contact, email });
  const found = await client.get(`/v1/lists/${dynamic}/contacts`);
  expect(JSON.stringify(found.body)).toContain(email);
  const erased = `${planted.erased}@${planted.contactDomain}`;
  await made('/v1/contacts', { ...contact, email: erased });
  await made('/v1/suppressions', { email: erased });
  expect((await client.call('DELETE', `/v1/contacts/${erased}`)).status).toBe(200);
}

async function provokeErrors(client: ApiClient, email: Record<string, unknown>): Promise<void> {
  const { refused, wrongField } = planted;
  const wrong: Record<string, unknown>[] = [
    { from: `${refused}@elsewhere.example` },
    { from: refused },
    { to: refused },
    { cc: [`${refused}@example.net`, `<${refused}`], strict: true },
    { subject: `${planted.subject}\r\n` },
    { headers: { 'X-Secret': `${planted.headerValue}\n` } },
    { headers: { Bcc: planted.headerValue } },
    { tags: [{ name: 'kind', value: `${planted.tag} !` }] },
    { text: `${planted.text}\0` },
    { template: planted.text },
    { attachments: [{ filename: `${planted.filename}/`, content: '' }] },
    { attachments: [{ filename: 'a', content: `${planted.attachment}*` }] },
    { attachments: [{ filename: 'a', path: `https://${planted.recipientDomain}/` }] },
    { subject: { [wrongField]: wrongField } },
    { to: [{ [wrongField]: wrongField }] },
  ];
  for (const change of wrong) {
    const answer = await client.post('/v1/emails', { ...email, ...change });
    expect([answer.status, change]).toEqual([expect.toBeOneOf([400, 403, 422]), change]);
    errors.push(JSON.stringify([answer.body, ...answer.headers]));
  }
  const others = [
    await client.post('/v1/emails', `{"subject":"${planted.subject}`),
    await client.post('/v1/emails', email, { 'idempotency-key': `${planted.idempotencyKey}`.repeat(20) }),
    await client.post('/v1/emails', { ...email, text: 'x' }, { 'idempotency-key': planted.idempotencyKey }),
    await client.get(`/v1/emails/${planted.recipient}`),
    await client.get(`/v1/contacts/${planted.recipient}@example.net?x=${planted.subject}`),
    await client.get(`/v1/contacts/${planted.contact}?email=${planted.contact}`),
    await client.get(`/v1/contacts?email=${planted.contact}`),
    await client.get(`/v1/contacts?domain=${planted.contactDomain}.`),
    await client.post('/v1/contacts', { email: planted.contact, first_name: planted.firstName }),
    await client.post('/v1/contacts', {
      email: `${planted.contact}@example.net`,
      first_name: `${planted.firstName}\n`,
    }),
    await client.post('/v1/contacts', { email: 'a@example.net', segments: [planted.listName] }),
    await client.post('/v1/lists', { name: 'x', filter: { domain: `${planted.filterDomain}.` } }),
    await client.post('/v1/lists', { name: 'x', filter: { list: planted.listName } }),
    await client.post('/v1/lists', { name: 'x', filter: { [planted.wrongField]: 1 } }),
    await client.post('/v1/lists', { name: 'x', filter: { property: planted.propertyValue, equals: 'x' } }),
    await client.post('/v1/topics', { name: planted.topicName, default_subscription: planted.topicText }),
    ...(await provokeBroadcastErrors(client)),
    await client.call('GET', '/v1/emails', undefined, { authorization: `Bearer ${planted.wrongKey}` }),
    await client.post('/v1/relays', { host: '127.0.0.1', port: 25, password: planted.password }),
    await client.post('/v1/relays', {
      host: `${planted.recipientDomain}:`,
      port: 587,
      password: planted.password,
    }),
  ];
  for (const answer of others) {
    expect(answer.status).toBeGreaterThanOrEqual(400);
    errors.push(JSON.stringify([answer.body, ...answer.headers]));
  }
}

const secrets = () => ({
  ...planted,
  apiKey: account.client.token,
  apiKeySecret: account.client.token.slice('er_live_'.length),
  adminToken: ADMIN_TOKEN,
  webhookSecret,
  masterKey: (TEST_SETTINGS.MASTER_KEYS ?? '').slice(2),
});

function leaks(files: ReadonlyMap<string, Buffer>): string[] {
  return Object.entries(secrets()).flatMap(([name, text]) =>
    findIn(files, text).map((place) => `${name} in ${place}`),
  );
}

describe('the files of the databases', () => {
  test('are searched where they really are: D1, the object, and their logs', () => {
    const names = [...running.keys()];
    expect(names.some((name) => name.startsWith('d1') && name.endsWith('.sqlite'))).toBe(true);
    expect(names.some((name) => name.startsWith('do') && name.endsWith('.sqlite'))).toBe(true);
    expect(names.some((name) => name.endsWith('-wal'))).toBe(true);
    for (const files of [running, stopped]) {
      const places = findIn(files, account.id);
      expect(places.some((place) => place.startsWith('d1') && place.endsWith('plain'))).toBe(true);
      expect(places.some((place) => place.startsWith('do') && place.endsWith('plain'))).toBe(true);
      expect(findIn(files, messageId).some((place) => place.startsWith('do'))).toBe(true);
    }
  });

  test('hold none of the planted words while the relay runs', () => {
    expect(leaks(running)).toEqual([]);
  });

  test('hold none of the planted words once it has stopped', () => {
    expect(leaks(stopped)).toEqual([]);
  });
});

test('a planted word is found in every encoding that is searched', () => {
  const word = Buffer.from(planted.subject);
  const encodings = {
    plain: word,
    hex: Buffer.from(word.toString('hex')),
    utf16: Buffer.from(planted.subject, 'utf16le'),
    ...Object.fromEntries(
      [0, 1, 2].map((phase) => [
        `base64-${phase}`,
        Buffer.from(Buffer.concat([Buffer.alloc(phase, 'x'), word, Buffer.from('tail')]).toString('base64')),
      ]),
    ),
  };
  for (const [name, bytes] of Object.entries(encodings)) {
    expect(findIn(new Map([[name, Buffer.concat([Buffer.from('~~'), bytes])]]), planted.subject)).not.toEqual(
      [],
    );
  }
});

test('the log has its lines, and none of the planted words', () => {
  const printed = new Map([['log', Buffer.from(log.join('\n'))]]);
  expect(findIn(printed, account.id)).toContain('log: plain');
  expect(findIn(printed, '/v1/emails/:id')).toContain('log: plain');
  expect(leaks(printed)).toEqual([]);
});

test('no error gives back what it is about', () => {
  expect(errors).toHaveLength(42);
  expect(leaks(new Map(errors.map((error) => [error, Buffer.from(error)])))).toEqual([]);
});
