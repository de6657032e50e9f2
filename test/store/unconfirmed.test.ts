/** Accounts that registered themselves and were never confirmed are swept by the hourly cron. */
import { createScheduledController, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { getTableName } from 'drizzle-orm';
import { describe, expect, inject, it, vi } from 'vitest';
import type { Env } from '../../src/env.ts';
import { newId } from '../../src/ids.ts';
import { outboxOf } from '../../src/outbox/client.ts';
import { createAccount as openAccount } from '../../src/services/accounts.ts';
import { registrantContext } from '../../src/services/service-context.ts';
import { sweepUnconfirmed } from '../../src/services/sweep-unconfirmed.ts';
import { ACCOUNT_TABLES } from '../../src/store/system/unconfirmed-accounts.ts';
import worker from '../../src/worker.ts';
import { postImport } from '../support/contact-import.ts';
import { call, callAsOperator, createAccount, jsonOf, textAt } from '../support/control-plane.ts';

const settings = env as unknown as Env;
const DAY_MS = 24 * 60 * 60 * 1000;
const email = { from: 'a@acme.example', to: 'b@example.com', subject: 'x', text: 'x' };

/** As registration makes one, so many days ago. */
async function register(days: number): Promise<{ id: string; key: string }> {
  const context = registrantContext(settings, newId('account'), newId('request'));
  const profile = { name: 'Ann', email: `${context.scope.accountId}@example.com` };
  const { apiKey } = await openAccount(context, profile, { isUnconfirmed: true });
  const { accountId: id } = context.scope;
  const age = env.DB.prepare('/* raw */ UPDATE accounts SET created_at = ? WHERE account_id = ?');
  await age.bind(Date.now() - days * DAY_MS, id).run();
  return { id, key: apiKey.token };
}

/** Every table with rows of accounts, as the database itself tells. */
async function accountTables(): Promise<string[]> {
  const found = await env.DB.prepare(
    "/* raw */ SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%account_id TEXT%' ORDER BY name",
  ).all<{ name: string }>();
  return found.results.map(({ name }) => name);
}

async function rowsOf(accountId: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of await accountTables()) {
    const count = env.DB.prepare(`/* raw */ SELECT count(*) AS n FROM ${table} WHERE account_id = ?`);
    counts[table] = (await count.bind(accountId).first<{ n: number }>())?.n ?? -1;
  }
  return counts;
}

async function post(path: string, key: string, body: object): Promise<string> {
  const response = await call(path, { key, body });
  expect([path, response.status]).toEqual([path, expect.toSatisfy((status) => status < 300)]);
  return textAt(await jsonOf(response), 'id');
}

const runCron = () => worker.scheduled(createScheduledController({ cron: '17 * * * *' }), settings);

describe('an account that was never confirmed', () => {
  it('is deleted after seven days with all that it has, and nobody else is touched', async () => {
    const { id, key } = await register(7.1);
    const other = await createAccount();
    for (const [accountId, token] of [
      [id, key],
      [other.id, other.key],
    ] as const) {
      const domain = `/v1/admin/accounts/${accountId}/domains/acme.example`;
      await callAsOperator(domain, { method: 'PUT', body: {} });
      await post('/v1/relays', token, { host: '127.0.0.1', port: 2525, tls: 'none' });
      const endpoint = `http://127.0.0.1:${inject('dohPort')}/hooks`;
      await post('/v1/webhooks', token, { endpoint, backfill: false });
      await post('/v1/suppressions', token, { email: 'x@example.com' });
    }
    const keyId = await post('/v1/api-keys', key, { name: 'x' });
    await post(`/v1/api-keys/${keyId}/rotate`, key, { overlap_hours: 1 });
    const test = await jsonOf(await call('/v1/api-keys', { key, body: { name: 't', mode: 'test' } }));
    const emailId = await post('/v1/emails', textAt(test, 'token'), email);
    const before = await rowsOf(other.id);
    await runCron();
    expect(await rowsOf(id)).toEqual(Object.fromEntries((await accountTables()).map((table) => [table, 0])));
    expect(await rowsOf(other.id)).toEqual(before);
    expect(Object.values(before).filter((count) => count > 0).length).toBeGreaterThan(5);
    // The old object is gone as well: a new one, with tables of its own, has nothing.
    await vi.waitFor(
      async () => {
        // A stub of an object that ended stays broken, so each try has its own.
        expect(await outboxOf(settings, id).findMessage(emailId)).toBeUndefined();
      },
      { timeout: 10_000 },
    );
    const stub = env.OUTBOX.get(env.OUTBOX.idFromName(`${id}/0`));
    const left = await runInDurableObject(stub, (_object, { storage }) => [
      ...storage.sql.exec('SELECT * FROM meta'),
      ...storage.sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE '%_2%'"),
    ]);
    expect(left).toEqual([]);
    const refused = await call('/v1/relays', { key });
    expect([refused.status, textAt(await jsonOf(refused), 'code')]).toEqual([403, 'invalid_api_key']);
  });

  it('cannot fill the database: what it may create waits for the confirmation', async () => {
    const { id, key } = await register(0);
    const template = { name: 'T', html: '<p>x</p>' };
    const creates: [string, object][] = [
      ['/v1/lists', { name: 'L' }],
      ['/v1/segments', { name: 'L' }],
      ['/v1/topics', { name: 'T', default_subscription: 'opt_in' }],
      ['/v1/contact-properties', { key: 'plan', type: 'string' }],
      ['/v1/templates', template],
      ['/v1/contacts', { email: 'x@example.com' }],
    ];
    for (const [path, body] of creates) {
      const refused = await jsonOf(await call(path, { key, body }));
      expect([path, refused.statusCode, refused.code]).toEqual([path, 403, 'account_unconfirmed']);
    }
    const file = await postImport({ id, key, keyId: '' }, 'email\nx@example.com\n');
    expect([file.status, (await jsonOf(file)).code]).toEqual([403, 'account_unconfirmed']);
    const confirm = env.DB.prepare('/* raw */ UPDATE accounts SET unconfirmed = 0 WHERE account_id = ?');
    await confirm.bind(id).run();
    for (const [path, body] of creates) await post(path, key, body);
  });

  it('has no table that the deletion leaves out', async () => {
    expect(ACCOUNT_TABLES.map((table) => getTableName(table)).sort()).toEqual(await accountTables());
  });

  it('stays until then, and for good where it was confirmed or made by the operator', async () => {
    const young = await register(6.9);
    const confirmed = await register(30);
    const confirm = env.DB.prepare('/* raw */ UPDATE accounts SET unconfirmed = 0 WHERE account_id = ?');
    await confirm.bind(confirmed.id).run();
    const made = await createAccount();
    const age = env.DB.prepare('/* raw */ UPDATE accounts SET created_at = 0 WHERE account_id = ?');
    await age.bind(made.id).run();
    await runCron();
    for (const { key } of [young, confirmed, made])
      expect((await call('/v1/relays', { key })).status).toBe(200);
  });

  it('goes in slices, the oldest first', async () => {
    const accounts = [await register(10), await register(12), await register(11)];
    const left = async () => {
      const counts = await Promise.all(accounts.map(({ id }) => rowsOf(id)));
      return counts.map((count) => count.accounts);
    };
    await sweepUnconfirmed(settings, { perRun: 2 });
    expect(await left()).toEqual([1, 0, 0]);
    await sweepUnconfirmed(settings, { perRun: 2 });
    expect(await left()).toEqual([0, 0, 0]);
  });

  it('is found by an index', async () => {
    const plan = await env.DB.prepare(
      '/* raw */ EXPLAIN QUERY PLAN SELECT account_id FROM accounts WHERE unconfirmed = 1 AND created_at < 1 ORDER BY created_at LIMIT 2',
    ).all<{ detail: string }>();
    expect(plan.results.map(({ detail }) => detail)).toEqual([
      expect.stringContaining('INDEX accounts_unconfirmed (created_at<?)'),
    ]);
  });
});
