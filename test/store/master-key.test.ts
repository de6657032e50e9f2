/** A new master key: what the old one wrapped is wrapped anew, and the old one is not needed any more. */
import { env } from 'cloudflare:workers';
import { getTableName } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Env, settingsOf } from '../../src/env.ts';
import { newId } from '../../src/ids.ts';
import { emailHashesOf, openAccount } from '../../src/services/account-profile.ts';
import { createAccount, getAccountRow } from '../../src/services/accounts.ts';
import { rewrapDataKeys } from '../../src/services/rewrap-data-keys.ts';
import { operatorContext } from '../../src/services/service-context.ts';
import { replaceEmailHash, replaceWrappedKey } from '../../src/store/data-keys.ts';
import { scopeOfOperator } from '../../src/store/db.ts';
import { findSendingState } from '../../src/store/sending-state.ts';
import { isAddressConfirmed } from '../../src/store/system/find-confirmed-address.ts';
import { ACCOUNT_TABLES } from '../../src/store/system/unconfirmed-accounts.ts';
import { callAsOperator, jsonOf } from '../support/control-plane.ts';

const SECOND = `2:${btoa('x'.repeat(32))}`;
const withKeys = (keys: string) => ({ ...env, MASTER_KEYS: keys }) as unknown as Env;
const first = env as unknown as Env;
const both = withKeys(`${env.MASTER_KEYS},${SECOND}`);
const second = withKeys(SECOND);

async function open(settings: Env, name: string) {
  const context = operatorContext(settings, newId('account'), 'req_test');
  await createAccount(context, { name, email: `${name}@example.net` });
  return context.scope.accountId;
}

const nameIn = async (settings: Env, id: string) =>
  openAccount(settings, await getAccountRow(operatorContext(settings, id, 'req_test'))).name;

async function rewrapAll(settings: Env): Promise<number> {
  let rewrapped = 0;
  for (;;) {
    const step = await rewrapDataKeys(settings, 'req_test', 3);
    rewrapped += step.rewrapped;
    if (step.remaining === 0) return rewrapped;
    expect(step.rewrapped).toBe(3);
  }
}

interface KeyRow {
  readonly account_id: string;
  readonly number: number;
  readonly wrapped: number[];
  readonly master_version: number;
}

/** All that is made with a master key. */
async function madeWithMasterKeys() {
  const keys = await env.DB.prepare('/* raw */ SELECT * FROM data_keys').all<KeyRow>();
  const hashes = await env.DB.prepare('/* raw */ SELECT account_id, email_hash FROM accounts').all<{
    account_id: string;
    email_hash: string | null;
  }>();
  return { keys: keys.results, hashes: hashes.results };
}

async function putBack({ keys, hashes }: Awaited<ReturnType<typeof madeWithMasterKeys>>) {
  const key = env.DB.prepare(
    '/* raw */ UPDATE data_keys SET wrapped = ?, master_version = ? WHERE account_id = ? AND number = ?',
  );
  const hash = env.DB.prepare('/* raw */ UPDATE accounts SET email_hash = ? WHERE account_id = ?');
  await env.DB.batch([
    ...keys.map((row) =>
      key.bind(new Uint8Array(row.wrapped), row.master_version, row.account_id, row.number),
    ),
    ...hashes.map((row) => hash.bind(row.email_hash, row.account_id)),
  ]);
}

async function remove(accountId: string) {
  await env.DB.batch(
    ACCOUNT_TABLES.map((table) =>
      env.DB.prepare(`/* raw */ DELETE FROM ${getTableName(table)} WHERE account_id = ?`).bind(accountId),
    ),
  );
}

describe('a new master key', () => {
  let ids: string[];
  let before: Awaited<ReturnType<typeof madeWithMasterKeys>>;

  // The accounts of all files are in this database. They are rewrapped too, and the others open them with the first key.
  afterAll(async () => {
    await remove(ids[7] ?? '');
    await putBack(before);
    expect((await callAsOperator('/v1/admin/accounts?limit=100')).status).toBe(200);
  });

  beforeAll(async () => {
    ids = [];
    for (let index = 0; index < 7; index++) ids.push(await open(first, `before-${index}`));
    before = await madeWithMasterKeys();
    ids.push(await open(both, 'between'));
  });

  it('wraps the data keys of all accounts in steps, after which the old one opens nothing and is not needed', async () => {
    expect(settingsOf(second).MASTER_KEYS.map(({ version }) => version)).toEqual([2]);
    await expect(nameIn(second, ids[0] ?? '')).rejects.toThrow();
    expect(await rewrapAll(both)).toBeGreaterThanOrEqual(7);
    for (const [index, id] of ids.slice(0, 7).entries()) {
      expect(await nameIn(second, id)).toBe(`before-${index}`);
      expect(await nameIn(both, id)).toBe(`before-${index}`);
      await expect(nameIn(first, id)).rejects.toThrow();
    }
    expect(await nameIn(second, ids[7] ?? '')).toBe('between');
    expect((await rewrapDataKeys(both, 'req_test')).rewrapped).toBe(0);
  });

  it('still recognises the addresses of before', async () => {
    for (const name of ['before-0', 'between']) {
      expect(await isAddressConfirmed(env.DB, emailHashesOf(second, `${name}@example.net`))).toBe(true);
    }
  });

  it('leaves audit rows in the accounts that it changed, and in no other', async () => {
    const rows = await env.DB.prepare(
      "/* raw */ SELECT account_id FROM audit_log WHERE action = 'account.rewrapped'",
    ).all<{ account_id: string }>();
    const audited = rows.results.map(({ account_id }) => account_id);
    expect(audited).toEqual(expect.arrayContaining(ids.slice(0, 7)));
    expect(audited).not.toContain(ids[7]);
  });

  it('leaves alone what somebody else replaced meanwhile', async () => {
    const scope = scopeOfOperator(env.DB, ids[0] ?? '');
    const wrapped = async () => (await findSendingState(scope))?.dataKeys[0]?.wrapped;
    const now = await wrapped();
    const audit = { actor: 'operator', action: 'test.late', target: scope.accountId };
    const after = { number: 1, wrapped: new Uint8Array([1, 2, 3]), masterVersion: 2 };
    await replaceWrappedKey(scope, { before: new Uint8Array([9]), after }, audit);
    await replaceEmailHash(scope, { before: '1:old', after: '2:new' }, audit);
    expect(await wrapped()).toEqual(now);
    const audited = await env.DB.prepare(
      "/* raw */ SELECT 1 FROM audit_log WHERE action = 'test.late'",
    ).all();
    expect(audited.results).toEqual([]);
    expect(await isAddressConfirmed(env.DB, ['2:new'])).toBe(false);
  });

  it('passes over an account whose key does not open, which remains until it is mended', async () => {
    const THIRD = `3:${btoa('y'.repeat(32))}`;
    const third = withKeys(`${env.MASTER_KEYS},${SECOND},${THIRD}`);
    // The lowest id of all: the others come after it.
    const broken = [...ids].sort()[0] ?? '';
    const wrapped = async () => (await findSendingState(scopeOfOperator(env.DB, broken)))?.dataKeys[0];
    const good = await wrapped();
    if (!good) throw new Error('no data key');
    const spoilt = { ...good, wrapped: good.wrapped.with(-1, (good.wrapped.at(-1) ?? 0) ^ 1) };
    const scope = scopeOfOperator(env.DB, broken);
    const audit = { actor: 'operator', action: 'test.spoilt', target: broken };
    await replaceWrappedKey(scope, { before: good.wrapped, after: spoilt }, audit);
    const step = await rewrapDataKeys(third, 'req_test');
    expect(step).toEqual({ masterVersion: 3, rewrapped: expect.any(Number), remaining: 1 });
    expect(step.rewrapped).toBeGreaterThanOrEqual(7);
    for (const id of ids) {
      if (id === broken) await expect(nameIn(third, id)).rejects.toThrow();
      else expect(await nameIn(withKeys(THIRD), id)).toMatch(/^before-|between$/);
    }
    expect(await rewrapDataKeys(third, 'req_test')).toEqual({ masterVersion: 3, rewrapped: 0, remaining: 1 });
    await replaceWrappedKey(scope, { before: spoilt.wrapped, after: good }, audit);
    expect(await rewrapDataKeys(third, 'req_test')).toEqual({ masterVersion: 3, rewrapped: 1, remaining: 0 });
  });

  it('that is missing hides who an account belongs to, and lets the operator list and close it', async () => {
    const fourth = withKeys(`4:${btoa('z'.repeat(32))}`);
    const id = await open(fourth, 'astray');
    const listed = (await jsonOf(await callAsOperator('/v1/admin/accounts?limit=1'))).data;
    expect(listed).toMatchObject([{ id, name: '', email: null, status: 'active' }]);
    const closed = await callAsOperator(`/v1/admin/accounts/${id}/close`, { method: 'POST' });
    expect([closed.status, await jsonOf(closed)]).toMatchObject([200, { name: '', status: 'closed' }]);
    await remove(id);
  });

  it('is asked for by the operator, who is told how much remains', async () => {
    const response = await callAsOperator('/v1/admin/master-key/rewrap', { method: 'POST' });
    expect([response.status, await jsonOf(response)]).toEqual([
      200,
      { object: 'master_key', version: 1, rewrapped: 0, remaining: 0 },
    ]);
  });
});
