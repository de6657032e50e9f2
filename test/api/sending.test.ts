/** Batches item by item, recipients that are only reported, times, and runs without sending. */
import { beforeAll, describe, expect, inject, it } from 'vitest';
import {
  call,
  callAsOperator,
  createAccount,
  type JsonObject,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const email = { from: 'a@acme.example', to: 'b@example.com', subject: 'x', text: 'x' };
let account: TestAccount;
let keys = 0;

beforeAll(async () => {
  account = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${account.id}/domains/acme.example`, { method: 'PUT', body: {} });
  const body = { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' };
  await call('/v1/relays', { key: account.key, body });
});

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever came back
  readonly body: any;
}

async function ask(path: string, body?: unknown, headers = {}, method = 'POST'): Promise<Answer> {
  const response = await call(path, {
    method,
    key: account.key,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, body: await jsonOf(response) };
}
const send = (change: JsonObject = {}, headers = {}) => ask('/v1/emails', { ...email, ...change }, headers);
const batch = (items: unknown[], headers = {}) => ask('/v1/emails/batch', items, headers);
const permissive = { 'x-batch-validation': 'permissive' };
const newKey = () => ({ 'idempotency-key': `key ${keys++}` });

describe('a permissive batch', () => {
  const items = [
    email,
    { ...email, to: 'nobody' },
    { ...email, surprise: 1 },
    'not an email',
    { ...email, from: 'a@elsewhere.example' },
    { ...email, relay: 'rly_000000000000000000000000' },
    { ...email, attachments: [{ filename: 'a', content: '*' }] },
    { ...email, scheduled_at: 'tomorrow' },
    {
      ...email,
      scheduled_at: 'in 1 day',
      tags: [{ name: 'a', value: 'b' }],
      attachments: [{ filename: 'a.txt', content: 'YQ==' }],
    },
  ];

  it('sends the good ones, and names what is wrong with each of the others', async () => {
    const { status, body } = await batch(items, permissive);
    expect(status).toBe(200);
    expect(body.data).toHaveLength(2);
    expect(body.errors).toEqual([
      { index: 1, code: 'invalid_field', message: expect.stringContaining('`to`') },
      { index: 2, code: 'unknown_field', message: 'Unknown field `surprise`.' },
      { index: 3, code: 'invalid_field', message: expect.stringContaining('`body`') },
      { index: 4, code: 'domain_not_verified', message: expect.stringContaining('`from`') },
      { index: 5, code: 'invalid_field', message: expect.stringContaining('`relay`') },
      { index: 6, code: 'invalid_attachment', message: expect.stringContaining('`attachments[0].content`') },
      { index: 7, code: 'invalid_field', message: expect.stringContaining('`scheduled_at`') },
    ]);
    const { body: last } = await ask(`/v1/emails/${body.data[1].id}`, undefined, {}, 'GET');
    expect(last).toMatchObject({ last_event: 'scheduled', tags: [{ name: 'a', value: 'b' }] });
  });

  it('with nothing good in it is answered with the errors alone, and claims no key', async () => {
    const key = newKey();
    const { status, body } = await batch([{ ...email, to: 'nobody' }], { ...permissive, ...key });
    expect([status, body.data]).toEqual([200, []]);
    expect(body.errors).toHaveLength(1);
    expect((await batch([email], key)).status).toBe(200);
  });

  it('is refused as a whole where it is no batch, or the account may not send', async () => {
    expect((await batch([], permissive)).status).toBe(422);
    expect((await ask('/v1/emails/batch', {}, permissive)).status).toBe(422);
    expect((await batch(Array(101).fill(email), permissive)).status).toBe(422);
    const other = await createAccount();
    await callAsOperator(`/v1/admin/accounts/${other.id}/domains/acme.example`, { method: 'PUT', body: {} });
    const answer = await call('/v1/emails/batch', { key: other.key, headers: permissive, body: [email] });
    expect([answer.status, textAt(await jsonOf(answer), 'code')]).toEqual([422, 'no_relay']);
  });

  it('is another request than a strict one, and than one with other bad items', async () => {
    const key = newKey();
    const first = await batch([email, { ...email, to: 'nobody' }], { ...permissive, ...key });
    const repeated = await batch([email, { ...email, to: 'nobody' }], { ...permissive, ...key });
    expect(repeated.body.data[0].id).toBe(first.body.data[0].id);
    expect(repeated.body.errors).toEqual(first.body.errors);
    for (const [items, headers] of [
      [[email], permissive],
      [[email], {}],
      [[email, { ...email, to: 'somebody' }], permissive],
      [[{ ...email, to: 'nobody' }, email], permissive],
    ] as const) {
      const answer = await batch([...items], { ...headers, ...key });
      expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_mismatch']);
    }
  });

  it('is not asked for by any other word', async () => {
    const { status, body } = await batch([email], { 'x-batch-validation': 'lenient' });
    expect([status, body.code]).toEqual([422, 'invalid_field']);
  });
});

describe('recipients', () => {
  it('that are no addresses are reported, and the others are mailed', async () => {
    const { status, body } = await send({
      to: ['b@example.com', 'nobody', 'B <b@example.com>', 'nobody'],
      cc: ['c@example.com'],
      bcc: 'no one',
    });
    expect(status).toBe(200);
    const wanted = [
      { index: 0, recipient: 'b@example.com', status: 'queued', reason: null },
      { index: 1, recipient: 'c@example.com', status: 'queued', reason: null },
      { index: 2, recipient: 'nobody', status: 'failed', reason: 'invalid_address', attempts: 0 },
      { index: 3, recipient: 'no one', status: 'failed', reason: 'invalid_address', attempts: 0 },
    ];
    expect(body.deliveries).toMatchObject(wanted);
    const { body: found } = await ask(`/v1/emails/${body.id}`, undefined, {}, 'GET');
    expect(found.deliveries.slice(2)).toMatchObject(wanted.slice(2));
    expect(found.to).toEqual(['b@example.com', 'B <b@example.com>']);
    expect(found.last_event).not.toBe('failed');
    const { body: list } = await ask('/v1/emails?limit=100', undefined, {}, 'GET');
    const listed = list.data.find(({ id }: { id: string }) => id === body.id);
    expect(listed.deliveries.slice(2)).toMatchObject(wanted.slice(2));
  });

  it.each([
    ['to', { to: 'nobody' }],
    ['to[0]', { to: ['nobody', 'no one'] }],
    ['to[0]', { to: ['nobody'], cc: 'c@example.com' }],
    ['to[1]', { to: ['b@example.com', 'nobody'], strict: true }],
    ['cc', { cc: 'nobody', strict: true }],
    ['reply_to[0]', { reply_to: ['nobody'] }],
    ['to', { to: 'delivered@test.edge-relay.invalid' }],
    ['to', { to: 'Bounced+label@resend.dev' }],
  ])('refuse the message by the name of the field: %s in %j', async (field, change) => {
    const { status, body } = await send(change);
    expect([status, body.code]).toEqual([422, 'invalid_field']);
    expect(body.message).toContain(`\`${field}\``);
  });

  it('of the simulator are never mailed with a live key', async () => {
    const { body } = await send({ to: ['b@example.com', 'bounced@test.edge-relay.invalid'] });
    expect(body.deliveries[1]).toMatchObject({ status: 'failed', reason: 'test_address' });
  });
});

describe('a time', () => {
  it('puts a message off, and can be changed until it has come', async () => {
    const { body } = await send({ scheduled_at: 'in 2 days' });
    expect(body.deliveries).toMatchObject([{ status: 'scheduled' }]);
    const at = new Date(Date.now() + 3_600_000).toISOString();
    const changed = await ask(`/v1/emails/${body.id}`, { scheduled_at: at }, {}, 'PATCH');
    expect(changed.body).toMatchObject({
      object: 'email',
      id: body.id,
      scheduled_at: at,
      last_event: 'scheduled',
    });
    expect(changed.body.deliveries).toMatchObject([{ status: 'scheduled', next_attempt_at: at }]);
    const canceled = await ask(`/v1/emails/${body.id}/cancel`);
    expect(canceled.body).toMatchObject({ object: 'email', id: body.id, last_event: 'canceled' });
    const late = await ask(`/v1/emails/${body.id}`, { scheduled_at: at }, {}, 'PATCH');
    expect([late.status, late.body.code]).toEqual([409, 'not_scheduled']);
  });

  it('that a request gives in words means the same when the request is repeated', async () => {
    const key = newKey();
    const first = await send({ scheduled_at: 'in 1 hour' }, key);
    const again = await send({ scheduled_at: 'in 1 hour' }, key);
    expect(again.body.id).toBe(first.body.id);
    expect((await send({ scheduled_at: 'in 2 hours' }, key)).status).toBe(409);
    expect((await send({}, key)).status).toBe(409);
  });

  it.each([{}, { scheduled_at: null }, { scheduled_at: 'tomorrow' }, { scheduled_at: 'in 1 day', x: 1 }])(
    'is refused where it is none: %j',
    async (change) => {
      const { body } = await send({ scheduled_at: 'in 2 days' });
      expect((await ask(`/v1/emails/${body.id}`, change, {}, 'PATCH')).status).toBe(422);
    },
  );
});

describe('a dry run', () => {
  const dryRun = (change: JsonObject, headers = {}) =>
    ask('/v1/emails?dry_run=true', { ...email, ...change }, headers);

  it('shows the message, its envelope, the relay and why, and leaves no trace', async () => {
    const before = await ask('/v1/emails?limit=1', undefined, {}, 'GET');
    const key = newKey();
    const { status, body } = await dryRun(
      { to: ['b@example.com', 'nobody'], bcc: 'c@example.com', scheduled_at: 'in 1 day' },
      key,
    );
    expect(status).toBe(200);
    expect(body).toMatchObject({
      object: 'dry_run',
      mode: 'live',
      envelope: { from: 'a@acme.example', recipients: ['b@example.com', 'c@example.com'] },
      relay: expect.stringMatching(/^rly_/),
      relay_reason: 'only_relay',
      other_relays: [],
      deliveries: [{ status: 'scheduled' }, { status: 'scheduled' }, { status: 'failed' }],
    });
    const mime = Buffer.from(body.mime_base64, 'base64').toString();
    expect(mime).toMatch(/^From: a@acme\.example\r\n/);
    expect(mime).not.toContain('c@example.com');
    expect(body.size_bytes).toBe(mime.length);
    expect(await ask('/v1/emails?limit=1', undefined, {}, 'GET')).toEqual(before);
    // The key is free.
    expect((await send({ subject: 'Another' }, key)).status).toBe(200);
  });

  it('is refused as sending would be', async () => {
    expect((await dryRun({ from: 'a@elsewhere.example' })).status).toBe(403);
    expect((await dryRun({ to: 'nobody' })).status).toBe(422);
    expect((await dryRun({ relay: 'rly_000000000000000000000000' })).status).toBe(422);
    const batched = await ask('/v1/emails/batch?dry_run=true', [email]);
    expect([batched.status, batched.body.code]).toEqual([422, 'field_not_supported']);
  });
});

describe('a test key', () => {
  async function testKey(): Promise<string> {
    const { status, body } = await ask('/v1/api-keys', { name: 'Test', mode: 'test' });
    expect(status).toBe(201);
    expect(body.token).toMatch(/^er_test_/);
    return body.token;
  }

  it('changes nothing but test mail', async () => {
    const key = await testKey();
    const live = await send({ scheduled_at: 'in 1 day' });
    for (const [method, path, body] of [
      ['POST', '/v1/api-keys', { name: 'x' }],
      ['POST', '/v1/relays', { host: 'smtp.example' }],
      ['PATCH', '/v1/account', { name: 'x' }],
      ['POST', `/v1/emails/${live.body.id}/cancel`, undefined],
      ['PATCH', `/v1/emails/${live.body.id}`, { scheduled_at: 'in 1 hour' }],
      ['POST', `/v1/emails/${live.body.id}/deliveries/0/resolve`, { resolution: 'drop' }],
    ] as const) {
      const answer = await call(path, { method, key, ...(body ? { body } : {}) });
      expect([answer.status, textAt(await jsonOf(answer), 'code')]).toEqual([403, 'test_key_refused']);
    }
    expect((await ask(`/v1/emails/${live.body.id}`, undefined, {}, 'GET')).body.last_event).toBe('scheduled');
  });

  it('needs no domain and no relay, and its mail says that it is a test', async () => {
    const other = await createAccount();
    const created = await call('/v1/api-keys', { key: other.key, body: { name: 'Test', mode: 'test' } });
    const key = textAt(await jsonOf(created), 'token');
    const sent = await call('/v1/emails', {
      key,
      body: { ...email, from: 'a@anything.example', scheduled_at: 'in 1 day' },
    });
    expect(sent.status).toBe(200);
    const id = textAt(await jsonOf(sent), 'id');
    expect(await jsonOf(await call(`/v1/emails/${id}`, { key }))).toMatchObject({ mode: 'test' });
    const canceled = await call(`/v1/emails/${id}/cancel`, { method: 'POST', key });
    expect(await jsonOf(canceled)).toMatchObject({ last_event: 'canceled' });
    const run = await call('/v1/emails?dry_run=true', { key, body: email });
    expect(await jsonOf(run)).toMatchObject({ relay: 'simulator', relay_reason: 'test_key' });
    expect(await jsonOf(await call('/v1/api-keys', { key: other.key }))).toMatchObject({
      data: [{ mode: 'test' }, { mode: 'live' }],
    });
  });
});

describe('a request that is repeated', () => {
  it('is answered with the same ids and recipients, and what became of them since', async () => {
    const key = newKey();
    const change = { to: ['b@example.com', 'nobody'], cc: 'c@example.com', scheduled_at: 'in 1 day' };
    const first = await send(change, key);
    const again = await send(change, key);
    expect(again).toEqual(first);
    await ask(`/v1/emails/${first.body.id}/cancel`);
    const canceled = await send(change, key);
    expect([canceled.status, canceled.body.id]).toEqual([200, first.body.id]);
    type Delivery = { index: number; recipient: string; status: string; reason: string | null };
    const told = ({ body }: Answer) =>
      body.deliveries.map(({ index, recipient, status, reason }: Delivery) => [
        index,
        recipient,
        status,
        reason,
      ]);
    expect(told(first)).toEqual([
      [0, 'b@example.com', 'scheduled', null],
      [1, 'c@example.com', 'scheduled', null],
      [2, 'nobody', 'failed', 'invalid_address'],
    ]);
    expect(told(canceled)).toEqual([
      [0, 'b@example.com', 'canceled', null],
      [1, 'c@example.com', 'canceled', null],
      [2, 'nobody', 'failed', 'invalid_address'],
    ]);
    const now = await ask(`/v1/emails/${first.body.id}`, undefined, {}, 'GET');
    expect(canceled.body.deliveries).toEqual(now.body.deliveries);
  });

  it('keeps the order of a batch', async () => {
    const key = newKey();
    const items = ['in 1 day', 'in 2 days', 'in 3 days'].map((scheduled_at) => ({ ...email, scheduled_at }));
    const first = await batch(items, key);
    expect(first.body.data).toHaveLength(3);
    await ask(`/v1/emails/${first.body.data[1].id}/cancel`);
    const { body } = await batch(items, key);
    expect(body.data.map(({ id }: { id: string }) => id)).toEqual(
      first.body.data.map(({ id }: { id: string }) => id),
    );
    const states = body.data.map(({ deliveries }: { deliveries: JsonObject[] }) => deliveries[0]?.status);
    expect(states).toEqual(['scheduled', 'canceled', 'scheduled']);
  });
});
