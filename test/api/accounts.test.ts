import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { call, callAsOperator, createAccount, jsonOf, textAt } from '../support/control-plane.ts';

const MISSING = 'acc_00000000000000000000000000';

describe('accounts', () => {
  it('are created with a first key that works at once', async () => {
    const response = await callAsOperator('/v1/admin/accounts', {
      body: { name: 'Acme', email: 'ops@acme.example' },
    });
    expect(response.status).toBe(201);
    const account = await jsonOf(response);
    expect(account).toMatchObject({
      object: 'account',
      name: 'Acme',
      email: 'ops@acme.example',
      status: 'active',
    });
    expect(textAt(account, 'created_at')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const token = textAt(account, 'api_key', 'token');
    expect(token).toMatch(/^er_live_[0-9A-Za-z]{34}$/);
    expect((await call('/v1/api-keys', { key: token })).status).toBe(200);
  });

  it('leave one audit row per change, and none for a change that matched nothing', async () => {
    const account = await createAccount();
    for (const verb of ['suspend', 'suspend', 'resume']) {
      await callAsOperator(`/v1/admin/accounts/${account.id}/${verb}`, { method: 'POST' });
    }
    await call('/v1/api-keys/key_missing', { method: 'DELETE', key: account.key });
    const { results } = await env.DB.prepare(
      'SELECT actor, action FROM audit_log WHERE "account_id" = ? ORDER BY id',
    )
      .bind(account.id)
      .all();
    expect(results.map((row) => row.action).sort()).toEqual([
      'account.created',
      'account.resumed',
      'account.suspended',
    ]);
  });

  it('are listed newest first, in pages', async () => {
    const made = [await createAccount(), await createAccount(), await createAccount()];
    const first = await jsonOf(await callAsOperator('/v1/admin/accounts?limit=2'));
    expect(first).toMatchObject({ object: 'list', has_more: true });
    expect([textAt(first, 'data', 0, 'id'), textAt(first, 'data', 1, 'id')].sort()).toHaveLength(2);
    const after = textAt(first, 'data', 1, 'id');
    const second = await jsonOf(await callAsOperator(`/v1/admin/accounts?limit=100&after=${after}`));
    const ids = [...(first.data as { id: string }[]), ...(second.data as { id: string }[])].map(
      (row) => row.id,
    );
    expect(ids).toEqual([...ids].sort().reverse());
    for (const account of made) expect(ids).toContain(account.id);
    const back = await jsonOf(await callAsOperator(`/v1/admin/accounts?limit=1&before=${after}`));
    expect(textAt(back, 'data', 0, 'id')).toBe(textAt(first, 'data', 0, 'id'));
  });

  it('are read and not found by id', async () => {
    const account = await createAccount('Readable');
    expect(await jsonOf(await callAsOperator(`/v1/admin/accounts/${account.id}`))).toMatchObject({
      id: account.id,
      name: 'Readable',
      status: 'active',
    });
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['POST', '/suspend', undefined],
      ['POST', '/resume', undefined],
      ['POST', '/close', undefined],
      ['POST', '/api-keys', { name: 'x' }],
      ['PUT', '/domains/example.com', {}],
    ] as const) {
      const response = await callAsOperator(`/v1/admin/accounts/${MISSING}${path}`, { method, body });
      expect([path, response.status, textAt(await jsonOf(response), 'message')]).toEqual([
        path,
        404,
        'Account not found',
      ]);
    }
  });

  it('can read but not send while suspended, and nothing once closed', async () => {
    const account = await createAccount();
    const send = () => call('/v1/emails', { key: account.key, body: {} });
    const change = (verb: string) =>
      callAsOperator(`/v1/admin/accounts/${account.id}/${verb}`, { method: 'POST' });
    expect(textAt(await jsonOf(await change('suspend')), 'status')).toBe('suspended');
    expect((await call('/v1/relays', { key: account.key })).status).toBe(200);
    const refused = await send();
    expect([refused.status, textAt(await jsonOf(refused), 'code')]).toEqual([403, 'account_suspended']);
    await change('resume');
    expect((await send()).status).not.toBe(403);
    expect(textAt(await jsonOf(await change('close')), 'status')).toBe('closed');
    const closed = await call('/v1/relays', { key: account.key });
    expect([closed.status, textAt(await jsonOf(closed), 'code')]).toEqual([403, 'account_closed']);
    expect((await change('resume')).status).toBe(409);
    expect((await change('close')).status).toBe(200);
  });

  it('get a verified domain from the operator, also the second time', async () => {
    const account = await createAccount();
    const put = (name: string, body: unknown) =>
      callAsOperator(`/v1/admin/accounts/${account.id}/domains/${name}`, { method: 'PUT', body });
    const first = await jsonOf(await put('Example.COM', { return_path: 'bounces@example.com' }));
    expect(first).toMatchObject({ object: 'domain', name: 'example.com', status: 'verified' });
    const second = await jsonOf(await put('example.com', {}));
    expect(second).toEqual(first);
    expect((await put('localhost', {})).status).toBe(422);
    expect((await put('127.0.0.1', {})).status).toBe(422);
  });

  it('get a new key where theirs was lost', async () => {
    const account = await createAccount();
    const response = await callAsOperator(`/v1/admin/accounts/${account.id}/api-keys`, {
      body: { name: 'Again' },
    });
    expect(response.status).toBe(201);
    const key = textAt(await jsonOf(response), 'token');
    expect((await call('/v1/relays', { key })).status).toBe(200);
  });

  it('are out of reach for anything but the operator token', async () => {
    const account = await createAccount();
    const withoutToken = await call('/v1/admin/accounts');
    expect([withoutToken.status, textAt(await jsonOf(withoutToken), 'name')]).toEqual([
      401,
      'missing_api_key',
    ]);
    for (const key of [account.key, 'wrong', `${env.ADMIN_TOKEN}x`]) {
      const response = await call('/v1/admin/accounts', { key });
      expect([response.status, textAt(await jsonOf(response), 'code')]).toEqual([403, 'invalid_admin_token']);
    }
    // And the operator token is no API key.
    expect((await call('/v1/relays', { key: env.ADMIN_TOKEN })).status).toBe(403);
  });
});
