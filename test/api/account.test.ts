import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { call, callAsOperator, createAccount, jsonOf, textAt } from '../support/control-plane.ts';

const read = async (key: string) => jsonOf(await call('/v1/account', { key }));
const patch = (key: string, body: unknown) => call('/v1/account', { method: 'PATCH', key, body });

async function auditOf(accountId: string): Promise<{ actor: string; details: unknown }[]> {
  const { results } = await env.DB.prepare(
    `SELECT actor, details FROM audit_log WHERE "account_id" = ? AND action = 'account.updated' ORDER BY id`,
  )
    .bind(accountId)
    .all<{ actor: string; details: string }>();
  return results.map(({ actor, details }) => ({ actor, details: JSON.parse(details) }));
}

describe('the account of a key', () => {
  it('is read with its policy and its statistics', async () => {
    const account = await createAccount('Acme');
    expect(await read(account.key)).toEqual({
      object: 'account',
      id: account.id,
      name: 'Acme',
      email: null,
      confirmed: true,
      company: null,
      company_size: null,
      postal_address: null,
      status: 'active',
      in_doubt_policy: 'retry',
      retention: { body_days: 7, metadata_days: 30 },
      quotas: {
        daily: { limit: null, used: 0, resets_at: expect.stringMatching(/T00:00:00\.000Z$/) },
        monthly: { limit: null, used: 0, resets_at: expect.stringMatching(/-01T00:00:00\.000Z$/) },
      },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      statistics: { backlog: 0, possible_duplicates: 0 },
    });
  });

  it('changes by field, each change with an audit row that does not quote the name', async () => {
    const account = await createAccount('Before');
    const held = await patch(account.key, { in_doubt_policy: 'hold' });
    expect([held.status, await jsonOf(held)]).toEqual([
      200,
      expect.objectContaining({ name: 'Before', in_doubt_policy: 'hold' }),
    ]);
    expect(await jsonOf(await patch(account.key, { name: 'After' }))).toMatchObject({
      name: 'After',
      in_doubt_policy: 'hold',
    });
    expect(await read(account.key)).toMatchObject({ name: 'After', in_doubt_policy: 'hold' });
    const byOperator = await callAsOperator(`/v1/admin/accounts/${account.id}`);
    expect(await jsonOf(byOperator)).toMatchObject({ name: 'After' });
    const audit = await auditOf(account.id);
    expect(audit).toHaveLength(2);
    expect(audit).toContainEqual({
      actor: account.keyId,
      details: { renamed: false, in_doubt_policy: 'hold' },
    });
    expect(audit).toContainEqual({ actor: account.keyId, details: { renamed: true } });
  });

  it('stays as it is where nothing is asked for', async () => {
    const account = await createAccount();
    const before = await read(account.key);
    expect(await jsonOf(await patch(account.key, {}))).toEqual(before);
    expect(await auditOf(account.id)).toEqual([]);
  });

  it('refuses what it does not have, by name', async () => {
    const { key } = await createAccount();
    for (const [body, message] of [
      [{ in_doubt_policy: 'ask' }, 'Invalid `in_doubt_policy` field: expected one of "retry"|"hold".'],
      [{ name: '' }, 'Invalid `name` field: expected string to have >=1 characters.'],
      [{ status: 'active' }, 'Unknown field `status`.'],
      [{ shards: 64 }, 'Unknown field `shards`.'],
    ] as const) {
      const response = await patch(key, body);
      expect([response.status, textAt(await jsonOf(response), 'message')]).toEqual([422, message]);
    }
  });

  it('is out of reach for a key that may only send', async () => {
    const account = await createAccount();
    const body = { name: 'Sender', permission: 'sending_access' };
    const key = textAt(await jsonOf(await call('/v1/api-keys', { key: account.key, body })), 'token');
    expect((await call('/v1/account', { key })).status).toBe(401);
    expect((await patch(key, { in_doubt_policy: 'hold' })).status).toBe(401);
  });

  it('can be read and changed while it is suspended', async () => {
    const account = await createAccount();
    await callAsOperator(`/v1/admin/accounts/${account.id}/suspend`, { method: 'POST' });
    expect(await read(account.key)).toMatchObject({ status: 'suspended' });
    expect((await patch(account.key, { in_doubt_policy: 'hold' })).status).toBe(200);
  });
});
