/** The webhooks resource and the list of events, over HTTP. What is delivered is proven in test/system. */
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { newId } from '../../src/ids.ts';
import {
  call,
  createAccount,
  type JsonObject,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const endpoint = 'https://hooks.acme.dev/edge';
/** Nothing happens before, so nothing is sent. */
const quiet = { endpoint, backfill: false };

let account: TestAccount;

beforeAll(async () => {
  account = await createAccount();
});

const request = (path: string, body?: unknown, method?: string) =>
  call(path, { key: account.key, ...(body !== undefined && { body }), ...(method && { method }) });

async function make(body: JsonObject = quiet): Promise<JsonObject> {
  const response = await request('/v1/webhooks', body);
  expect(response.status).toBe(201);
  return jsonOf(response);
}

describe('a webhook', () => {
  it('is made, read, listed, changed and removed in the shapes of the SDK', async () => {
    const made = await make({ ...quiet, events: ['email.sent', 'email.in_doubt'] });
    const id = textAt(made, 'id');
    expect(made).toEqual({
      object: 'webhook',
      id: expect.stringMatching(/^whk_/),
      signing_secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
    });
    const summary = {
      id,
      endpoint,
      created_at: expect.stringMatching(/Z$/),
      status: 'enabled',
      events: ['email.sent', 'email.in_doubt'],
      disabled_reason: null,
    };
    expect(await jsonOf(await request(`/v1/webhooks/${id}`))).toEqual({
      object: 'webhook',
      ...summary,
      signing_secret: made.signing_secret,
    });
    expect(await jsonOf(await request('/v1/webhooks'))).toEqual({
      object: 'list',
      has_more: false,
      data: [summary],
    });
    const change = { endpoint: 'https://other.acme.dev/', events: null, status: 'disabled' };
    expect(await jsonOf(await request(`/v1/webhooks/${id}`, change, 'PATCH'))).toEqual({
      object: 'webhook',
      id,
    });
    expect(await jsonOf(await request(`/v1/webhooks/${id}`))).toMatchObject(change);
    expect(await jsonOf(await request(`/v1/webhooks/${id}`, undefined, 'DELETE'))).toEqual({
      object: 'webhook',
      id,
      deleted: true,
    });
    for (const method of ['GET', 'DELETE']) {
      expect((await request(`/v1/webhooks/${id}`, undefined, method)).status).toBe(404);
    }
  });

  it('listens to everything where it names no types', async () => {
    const { id } = await make();
    expect(await jsonOf(await request(`/v1/webhooks/${id}`))).toMatchObject({ events: null });
    await request(`/v1/webhooks/${id}`, undefined, 'DELETE');
  });

  it.each([
    [{}, 'missing_field', 'endpoint'],
    [{ endpoint: 'http://hooks.acme.dev/' }, 'field_refused', 'endpoint'],
    [{ endpoint: 'https://10.0.0.1/' }, 'field_refused', 'endpoint'],
    [{ endpoint: 'https://relay.test/v1' }, 'field_refused', 'endpoint'],
    [{ endpoint: 7 }, 'invalid_field', 'endpoint'],
    [{ endpoint, events: [] }, 'invalid_field', 'events'],
    [{ endpoint, events: ['email.read'] }, 'invalid_field', 'events[0]'],
    [{ endpoint, events: 'email.sent' }, 'invalid_field', 'events'],
    [{ endpoint, secret: 'whsec_x' }, 'unknown_field', 'secret'],
    [{ endpoint, backfill: 'yes' }, 'invalid_field', 'backfill'],
  ])('made of %j is refused', async (body, code, field) => {
    const response = await request('/v1/webhooks', body);
    const answer = await jsonOf(response);
    expect([response.status, answer.code]).toEqual([422, code]);
    expect(answer.message).toContain(`\`${field}\``);
  });

  it.each([
    ['PATCH', '', { status: 'paused' }, 422],
    ['PATCH', '', { endpoint: 'https://10.0.0.1/' }, 422],
    ['POST', '/replay', {}, 422],
    ['POST', '/replay', { since: 'yesterday' }, 422],
    ['POST', '/replay', { since: '2999-01-01T00:00:00Z' }, 422],
    ['POST', '/signing-secret/rotate', { overlap_seconds: -1 }, 422],
    ['POST', '/signing-secret/rotate', { overlap_seconds: 1e9 }, 422],
    ['GET', '/events?limit=0', undefined, 422],
    ['GET', '/events?before=evt_1', undefined, 422],
    ['GET', '/events/evt_1', undefined, 404],
    ['GET', `/events/${newId('event')}`, undefined, 404],
    ['POST', `/events/${newId('event')}/replay`, undefined, 404],
    ['GET', `/events/${newId('event')}/attempts`, undefined, 404],
  ])('%s …%s with %j answers as it should', async (method, suffix, body, status) => {
    const { id } = await make();
    expect((await request(`/v1/webhooks/${id}${suffix}`, body, method)).status).toBe(status);
    await request(`/v1/webhooks/${id}`, undefined, 'DELETE');
  });

  it('is one of at most twenty, however many are made at once', async () => {
    const other = await createAccount();
    const answers = await Promise.all(
      Array.from({ length: 25 }, () => call('/v1/webhooks', { key: other.key, body: quiet })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([
      ...Array.from({ length: 20 }, () => 201),
      ...Array.from({ length: 5 }, () => 409),
    ]);
  });

  it('keeps its secrets sealed in the database, and every change in the audit log', async () => {
    const made = await make();
    const id = textAt(made, 'id');
    const rotated = await jsonOf(
      await request(`/v1/webhooks/${id}/signing-secret/rotate`, undefined, 'POST'),
    );
    const row = await env.DB.prepare(
      '/* raw */ SELECT sealed_secret, previous_secret, previous_until FROM webhooks WHERE account_id = ? AND id = ?',
    )
      .bind(account.id, id)
      .first<{ sealed_secret: number[]; previous_secret: number[]; previous_until: number }>();
    for (const sealed of [row?.sealed_secret, row?.previous_secret]) {
      const text = Buffer.from(sealed ?? []).toString('latin1');
      expect(text.length).toBeGreaterThan(40);
      for (const { signing_secret: secret } of [made, rotated]) {
        expect(text).not.toContain(String(secret).slice(6, 20));
      }
    }
    expect(row?.previous_until).toBeGreaterThan(Date.now() + 23 * 3600 * 1000);
    await request(`/v1/webhooks/${id}`, undefined, 'DELETE');
    const { results } = await env.DB.prepare(
      '/* raw */ SELECT action FROM audit_log WHERE account_id = ? AND target = ? ORDER BY id',
    )
      .bind(account.id, id)
      .all<{ action: string }>();
    expect(results.map(({ action }) => action)).toEqual([
      'webhook.created',
      'webhook.secret_rotated',
      'webhook.deleted',
    ]);
  });

  it('is out of reach of a key that may only send', async () => {
    const body = { name: 'sender', permission: 'sending_access' };
    const key = textAt(await jsonOf(await request('/v1/api-keys', body)), 'token');
    for (const path of ['/v1/webhooks', '/v1/events']) {
      expect((await call(path, { key })).status).toBe(401);
    }
  });
});

describe('the list of events', () => {
  it('tells what happened to the domains of the account', async () => {
    const other = await createAccount();
    const created = await jsonOf(
      await call('/v1/domains', { key: other.key, body: { name: 'told.example' } }),
    );
    await call(`/v1/domains/${created.id}`, { method: 'DELETE', key: other.key });
    const { data, next, has_more: hasMore } = await jsonOf(await call('/v1/events', { key: other.key }));
    const domain = { id: created.id, name: 'told.example', status: 'pending', region: 'auto', records: [] };
    expect(data).toMatchObject([
      { id: expect.stringMatching(/^evt_/), type: 'domain.created', data: domain },
      { id: expect.stringMatching(/^evt_/), type: 'domain.deleted', data: domain },
    ]);
    expect(hasMore).toBe(false);
    const rest = await jsonOf(await call(`/v1/events?after=${next}`, { key: other.key }));
    expect(rest).toEqual({ object: 'list', has_more: false, data: [], next });
  });

  it('tells of addresses that are suppressed and mailed again, each once', async () => {
    const other = await createAccount();
    const emails = ['one@told.example', 'two@told.example'];
    for (let n = 0; n < 2; n++)
      await call('/v1/suppressions/batch/add', { key: other.key, body: { emails } });
    await call('/v1/suppressions/one@told.example', { method: 'DELETE', key: other.key });
    const { data } = await jsonOf(await call('/v1/events', { key: other.key }));
    const told = data as readonly { readonly type: string; readonly data: JsonObject }[];
    expect(told.map((event) => [event.type, event.data.email])).toEqual([
      ['suppression.added', emails[0]],
      ['suppression.added', emails[1]],
      ['suppression.removed', emails[0]],
    ]);
    expect(told[0]?.data).toMatchObject({ origin: 'manual', source_id: null });
  });

  it('is empty where nothing happened', async () => {
    const other = await createAccount();
    expect(await jsonOf(await call('/v1/events', { key: other.key }))).toMatchObject({
      data: [],
      has_more: false,
    });
  });

  it.each([
    'after=x',
    'after=evc_',
    'after=evc_0',
    'after=evc_ZZZZZZZZZZZZZZZ',
    `after=evc_${'0'.repeat(15 * 65)}`,
    'after=evc_zzzzzzzzzzzzzzz',
    'types=',
    'types=email.read',
    'limit=101',
    'wait=26',
    'wait=-1',
    'wait=1.5',
    'before=x',
  ])('refuses ?%s', async (query) => {
    const response = await request(`/v1/events?${query}`);
    expect(response.status).toBe(422);
  });
});
