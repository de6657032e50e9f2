import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { newId, newMessageId } from '../../src/ids.ts';
import {
  call,
  callAsOperator,
  createAccount,
  type JsonObject,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

let account: TestAccount;
let relay: string;

/** An account that may send from acme.example through the test server. */
async function openAccount(): Promise<[TestAccount, relayId: string]> {
  const opened = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${opened.id}/domains/acme.example`, { method: 'PUT', body: {} });
  const body = { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' };
  return [opened, textAt(await jsonOf(await call('/v1/relays', { key: opened.key, body })), 'id')];
}

const email = { from: 'a@acme.example', to: 'b@example.com', subject: 'x', text: 'x' };
const send = (body: unknown, headers = {}) => call('/v1/emails', { key: account.key, body, headers });
const read = async (id: string) => jsonOf(await call(`/v1/emails/${id}`, { key: account.key }));
const resolve = (id: string, n: number | string, body: unknown = { resolution: 'drop' }) =>
  call(`/v1/emails/${id}/deliveries/${n}/resolve`, { key: account.key, body });

async function sentId(body: unknown): Promise<string> {
  const response = await send(body);
  expect(response.status).toBe(200);
  return textAt(await jsonOf(response), 'id');
}

/** No event tells of a delivery over HTTP. */
async function readOnceThe(id: string, status: string): Promise<JsonObject> {
  const deadline = Date.now() + 4_000;
  for (;;) {
    const body = await read(id);
    if (textAt(body, 'deliveries', 0, 'status') === status) return body;
    if (Date.now() > deadline) throw new Error(`not ${status}: ${JSON.stringify(body)}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function resolutionsOf(id: string): Promise<unknown[]> {
  const { results } = await env.DB.prepare(
    `SELECT actor, details FROM audit_log
     WHERE "account_id" = ? AND target = ? AND action = 'delivery.resolution_requested'`,
  )
    .bind(account.id, id)
    .all<{ actor: string; details: string }>();
  return results.map(({ actor, details }) => ({ actor, ...JSON.parse(details) }));
}

beforeAll(async () => {
  [account, relay] = await openAccount();
});

describe('the relay and the policy of an email', () => {
  it('are shown by GET, and null where they were not given', async () => {
    const own = await sentId({ ...email, relay, in_doubt_policy: 'hold' });
    const plain = await sentId(email);
    expect(await read(own)).toMatchObject({ relay, in_doubt_policy: 'hold' });
    expect(await read(plain)).toMatchObject({ relay: null, in_doubt_policy: null });
    const list = await jsonOf(await call('/v1/emails', { key: account.key }));
    expect(list.data).toContainEqual(expect.objectContaining({ id: own, relay, in_doubt_policy: 'hold' }));
  });

  it('are taken in a batch, each email its own', async () => {
    const body = [email, { ...email, relay }, { ...email, in_doubt_policy: 'retry' }];
    const response = await call('/v1/emails/batch', { key: account.key, body });
    const { data } = await jsonOf(response);
    const emails = await Promise.all((data as { id: string }[]).map(({ id }) => read(id)));
    expect(emails.map((each) => [each.relay, each.in_doubt_policy])).toEqual([
      [null, null],
      [relay, null],
      [null, 'retry'],
    ]);
  });

  it('name a relay at once after it was made, and none after it was deleted', async () => {
    await sentId(email);
    const body = { host: 'smtp.example.com', priority: 999 };
    const second = textAt(await jsonOf(await call('/v1/relays', { key: account.key, body })), 'id');
    expect((await send({ ...email, relay: second })).status).toBe(200);
    await call(`/v1/relays/${second}`, { method: 'DELETE', key: account.key });
    expect((await send({ ...email, relay: second })).status).toBe(422);
  });

  it('are refused by name, with nothing accepted', async () => {
    const before = await jsonOf(await call('/v1/emails?limit=100', { key: account.key }));
    for (const [wrong, field] of [
      [{ relay: newId('relay') }, 'relay'],
      [{ relay: 'default' }, 'relay'],
      [{ relay: '' }, 'relay'],
      [{ relay: null }, 'relay'],
      [{ in_doubt_policy: 'ask' }, 'in_doubt_policy'],
    ] as const) {
      const single = await send({ ...email, ...wrong });
      const batch = await call('/v1/emails/batch', {
        key: account.key,
        body: [email, { ...email, ...wrong }],
      });
      for (const [response, name] of [
        [single, field],
        [batch, `[1].${field}`],
      ] as const) {
        const answer = await jsonOf(response);
        expect([response.status, answer.code]).toEqual([422, 'invalid_field']);
        expect(answer.message).toContain(`Invalid \`${name}\` field:`);
      }
    }
    const after = await jsonOf(await call('/v1/emails?limit=100', { key: account.key }));
    const ids = (page: JsonObject) => (page.data as { id: string }[]).map(({ id }) => id);
    expect(ids(after)).toEqual(ids(before));
  });

  it('belong to what an idempotency key stands for', async () => {
    const key = { 'idempotency-key': 'own-fields' };
    const first = await send({ ...email, relay }, key);
    expect(textAt(await jsonOf(await send({ ...email, relay }, key)), 'id')).toBe(
      textAt(await jsonOf(first), 'id'),
    );
    expect((await send(email, key)).status).toBe(409);
    expect((await send({ ...email, relay, in_doubt_policy: 'hold' }, key)).status).toBe(409);
  });
});

describe('resolving a delivery', () => {
  it.each([
    ['delivered', 'delivered'],
    ['drop', 'canceled'],
    ['resend', undefined],
  ] as const)('as %s ends a doubt that is held, once, with an audit row', async (resolution, status) => {
    // In an account of its own, because a connection that ends may make the relay rest.
    [account, relay] = await openAccount();
    const id = await sentId({ ...email, to: 'cut@example.com', in_doubt_policy: 'hold' });
    const held = await readOnceThe(id, 'in_doubt');
    expect(held).toMatchObject({
      possible_duplicates: expect.any(Number),
      deliveries: [{ index: 0, recipient: 'cut@example.com', next_attempt_at: null }],
    });
    const response = await resolve(id, 0, { resolution });
    const answer = await jsonOf(response);
    expect(response.status).toBe(200);
    expect(answer).toMatchObject({ object: 'email', id, deliveries: [{ index: 0 }] });
    expect(await resolutionsOf(id)).toEqual([{ actor: account.keyId, delivery: 0, resolution }]);
    if (status === undefined) return;
    expect(answer).toEqual(await read(id));
    expect(textAt(answer, 'deliveries', 0, 'status')).toBe(status);
    expect(answer.last_event).toBe(status);
    const again = await resolve(id, 0, { resolution });
    expect([again.status, textAt(await jsonOf(again), 'message')]).toEqual([
      409,
      'This delivery is not held in doubt.',
    ]);
    expect(await resolutionsOf(id)).toHaveLength(1);
  });

  it('keeps each of several decisions that come at once', async () => {
    [account, relay] = await openAccount();
    const to = ['cut@example.com', 'b@example.com', 'c@example.com', 'd@example.com'];
    const id = await sentId({ ...email, to, in_doubt_policy: 'hold' });
    await readOnceThe(id, 'in_doubt');
    const answers = await Promise.all([
      resolve(id, 0, { resolution: 'delivered' }),
      resolve(id, 1, { resolution: 'drop' }),
      resolve(id, 2, { resolution: 'delivered' }),
      resolve(id, 3, { resolution: 'drop' }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const { deliveries } = await read(id);
    expect((deliveries as { status: string }[]).map(({ status }) => status)).toEqual([
      'delivered',
      'canceled',
      'delivered',
      'canceled',
    ]);
    expect(await resolutionsOf(id)).toHaveLength(4);
  });

  it('refuses one that is in no doubt, and leaves no audit row', async () => {
    [account, relay] = await openAccount();
    const id = await sentId(email);
    await readOnceThe(id, 'delivered');
    const response = await resolve(id, 0);
    expect([response.status, await jsonOf(response)]).toEqual([
      409,
      expect.objectContaining({ code: 'conflict', message: 'This delivery is not held in doubt.' }),
    ]);
    expect(await resolutionsOf(id)).toEqual([]);
  });

  it('does not find an unknown email, or a delivery that the email does not have', async () => {
    const id = await sentId({ ...email, to: ['b@example.com', 'c@example.com'] });
    expect(((await read(id)).deliveries as { index: number }[]).map(({ index }) => index)).toEqual([0, 1]);
    for (const [target, n, message] of [
      [newMessageId(0), 0, 'Email not found'],
      [newMessageId(1), 0, 'Email not found'],
      ['msg_x', 'x', 'Email not found'],
      [id, 2, 'Delivery not found'],
      [id, 100_000, 'Delivery not found'],
      [id, '-1', 'Delivery not found'],
      [id, '1.5', 'Delivery not found'],
      [id, '0x1', 'Delivery not found'],
    ] as const) {
      const response = await resolve(target, n);
      expect([target, n, response.status, textAt(await jsonOf(response), 'message')]).toEqual([
        target,
        n,
        404,
        message,
      ]);
    }
  });

  it('takes the three decisions that there are', async () => {
    for (const body of [{}, { resolution: 'retry' }, { resolution: 'drop', n: 1 }]) {
      expect((await resolve(newMessageId(0), 0, body)).status).toBe(422);
    }
  });

  it('is not for a key that may only send', async () => {
    const body = { name: 'Sender', permission: 'sending_access' };
    const key = textAt(await jsonOf(await call('/v1/api-keys', { key: account.key, body })), 'token');
    const path = `/v1/emails/${newMessageId(0)}/deliveries/0/resolve`;
    expect((await call(path, { key, body: { resolution: 'resend' } })).status).toBe(401);
  });
});
