import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  call,
  callAsOperator,
  createAccount,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

let account: TestAccount;
beforeAll(async () => {
  account = await createAccount();
});

async function newKey(body: unknown): Promise<{ id: string; token: string }> {
  const response = await call('/v1/api-keys', { key: account.key, body });
  expect(response.status).toBe(201);
  const created = await jsonOf(response);
  expect(created.object).toBe('api_key');
  return { id: textAt(created, 'id'), token: textAt(created, 'token') };
}

describe('authentication', () => {
  it('tells a missing key from a wrong one', async () => {
    const cases: [Record<string, string>, number, string][] = [
      [{}, 401, 'missing_api_key'],
      [{ authorization: '' }, 401, 'missing_api_key'],
      [{ authorization: `Basic ${btoa(`x:${account.key}`)}` }, 401, 'missing_api_key'],
      [{ authorization: account.key }, 401, 'missing_api_key'],
      [{ 'x-api-key': account.key, cookie: `key=${account.key}` }, 401, 'missing_api_key'],
      [{ authorization: 'Bearer' }, 403, 'invalid_api_key'],
      [{ authorization: 'Bearer re_123' }, 403, 'invalid_api_key'],
      [{ authorization: `Bearer ${account.key} ${account.key}` }, 403, 'invalid_api_key'],
      [
        { authorization: `Bearer ${account.key.slice(0, -1)}${account.key.endsWith('0') ? '1' : '0'}` },
        403,
        'invalid_api_key',
      ],
      [{ authorization: `bearer ${account.key}` }, 200, 'undefined'],
    ];
    for (const [headers, status, name] of cases) {
      const response = await call('/v1/relays', { headers });
      expect([response.status, textAt(await jsonOf(response), 'name')]).toEqual([status, name]);
    }
    expect((await call(`/v1/relays?key=${account.key}`)).status).toBe(401);
  });

  it('guards every spelling of a path', async () => {
    for (const path of [
      '/v1/relays',
      '/v1//relays',
      '/v1/%72elays',
      '/%76%31/relays',
      '/v1%2Frelays',
      '/v1/x/%2e%2e/relays',
      '/health/%2e%2e/v1/relays',
      '/v1/./relays',
      '/V1/relays',
      '//v1/relays',
      '/v1/admin%2faccounts',
      '/v1/admin/accounts/%2e%2e/accounts',
      '/v1/%61dmin/accounts',
      '/v1/%2561dmin/accounts',
      '/health/../v1/admin/accounts',
    ]) {
      const status = (await call(path)).status;
      expect([path, status === 401 || status === 404]).toEqual([path, true]);
    }
    for (const path of [
      '/v1/admin/accounts',
      '/v1/%61dmin/accounts',
      '/v1/admin%2faccounts',
      '/v1/x/../admin/accounts',
      '/v1//admin/accounts',
      '/v1/admin//accounts',
    ]) {
      const status = (await call(path, { key: account.key })).status;
      expect([path, status === 403 || status === 404]).toEqual([path, true]);
    }
  });

  it('lets a sending key send and nothing else', async () => {
    const { token } = await newKey({ name: 'Sender', permission: 'sending_access' });
    for (const [method, path] of [
      ['GET', '/v1/emails'],
      ['GET', '/v1/emails/batch'],
      ['PUT', '/v1/emails'],
      ['POST', '/v1/emails/'],
      ['GET', '/v1/api-keys'],
      ['POST', '/v1/api-keys'],
      ['DELETE', `/v1/api-keys/${account.keyId}`],
      ['GET', '/v1/nowhere'],
    ] as const) {
      const response = await call(path, { method, key: token });
      expect([path, response.status, textAt(await jsonOf(response), 'name')]).toEqual([
        path,
        401,
        'restricted_api_key',
      ]);
    }
    const sending = await call('/v1/emails', { key: token, body: {} });
    expect(textAt(await jsonOf(sending), 'name')).not.toBe('restricted_api_key');
  });
});

describe('API keys', () => {
  it('are created, listed, renamed and deleted in the shapes of the SDK', async () => {
    const { id, token } = await newKey({ name: 'CI' });
    expect(token).toMatch(/^er_live_[0-9A-Za-z]{34}$/);
    const list = await jsonOf(await call('/v1/api-keys', { key: account.key }));
    expect(list).toMatchObject({ object: 'list', has_more: false });
    const row = (list.data as { id: string }[]).find((key) => key.id === id);
    expect(Object.keys(row ?? {}).sort()).toEqual(['created_at', 'id', 'last_used_at', 'mode', 'name']);
    const renamed = await call(`/v1/api-keys/${id}`, {
      method: 'PATCH',
      key: account.key,
      body: { name: 'CI 2' },
    });
    expect(await jsonOf(renamed)).toEqual({ object: 'api_key', id });
    expect(await (await call('/v1/api-keys', { key: account.key })).text()).toContain('"CI 2"');
    const deleted = await call(`/v1/api-keys/${id}`, { method: 'DELETE', key: account.key });
    expect(await jsonOf(deleted)).toEqual({ object: 'api_key', id, deleted: true });
    const again = await call(`/v1/api-keys/${id}`, { method: 'DELETE', key: account.key });
    expect([again.status, textAt(await jsonOf(again), 'message')]).toEqual([404, 'API key not found']);
  });

  it('are refused at once after their deletion, though they were used before', async () => {
    const { id, token } = await newKey({ name: 'Short-lived' });
    expect((await call('/v1/relays', { key: token })).status).toBe(200);
    // A key may delete itself.
    expect((await call(`/v1/api-keys/${id}`, { method: 'DELETE', key: token })).status).toBe(200);
    const after = await call('/v1/relays', { key: token });
    expect([after.status, textAt(await jsonOf(after), 'name')]).toEqual([403, 'invalid_api_key']);
  });

  it('note the day of their last use', async () => {
    const { id, token } = await newKey({ name: 'Used' });
    await call('/v1/relays', { key: token });
    await expect
      .poll(async () => {
        const list = await jsonOf(await call('/v1/api-keys', { key: account.key }));
        return (list.data as { id: string; last_used_at: string | null }[]).find((key) => key.id === id)
          ?.last_used_at;
      })
      .toBe(`${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`);
  });

  it('are stored as a hash only', async () => {
    const { id, token } = await newKey({ name: 'Hidden' });
    const row = await env.DB.prepare('SELECT * FROM api_keys WHERE "account_id" = ? AND id = ?')
      .bind(account.id, id)
      .first();
    expect(row?.prefix).toBe('er_live');
    expect(row?.last_four).toBe(token.slice(-4));
    expect(row?.hash).toHaveLength(32);
    expect(JSON.stringify(row)).not.toContain(token.slice(8, -4));
  });

  it('bound to a domain keep it from being deleted', async () => {
    const domain = await jsonOf(
      await call('/v1/domains', { key: account.key, body: { name: 'bound.example' } }),
    );
    const domainId = textAt(domain, 'id');
    const { id } = await newKey({ name: 'Bound', permission: 'sending_access', domain_id: domainId });
    const remove = () => call(`/v1/domains/${domainId}`, { method: 'DELETE', key: account.key });
    const refused = await remove();
    expect([refused.status, textAt(await jsonOf(refused), 'code')]).toEqual([409, 'conflict']);
    await call(`/v1/api-keys/${id}`, { method: 'DELETE', key: account.key });
    expect((await remove()).status).toBe(200);
  });

  it('of a suspended account can still be deleted by the owner', async () => {
    const other = await createAccount();
    await callAsOperator(`/v1/admin/accounts/${other.id}/suspend`, { method: 'POST' });
    expect((await call(`/v1/api-keys/${other.keyId}`, { method: 'DELETE', key: other.key })).status).toBe(
      200,
    );
  });
});
