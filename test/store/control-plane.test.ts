import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/crypto/api-key.ts';
import { unwrapDataKey } from '../../src/crypto/data-key.ts';
import type { Env } from '../../src/env.ts';
import { settingsOf } from '../../src/env.ts';
import { newId } from '../../src/ids.ts';
import { findAccountState, findSendingDomain, forgetAccount } from '../../src/services/account-state.ts';
import { createAccount } from '../../src/services/accounts.ts';
import { operatorContext } from '../../src/services/service-context.ts';
import { findAccount, setAccountStatus, updateAccount } from '../../src/store/accounts.ts';
import { deleteApiKey, findApiKey, rotateApiKey, updateApiKey } from '../../src/store/api-keys.ts';
import { insertAudit } from '../../src/store/audit-log.ts';
import { type AccountScope, scopeOfOutbox } from '../../src/store/db.ts';
import {
  deleteDomain,
  findDomain,
  findDomainsByNames,
  insertDomain,
  putVerifiedDomain,
} from '../../src/store/domains.ts';
import {
  deleteRelay,
  findRelay,
  findRelayIds,
  insertRelay,
  type StoredRelay,
  updateRelay,
} from '../../src/store/relays.ts';
import { findSendingState } from '../../src/store/sending-state.ts';
import { faultOf, seenStatements } from '../support/statement-tap.ts';

const settings = env as unknown as Env;
const audit = (target: string) => ({ actor: 'operator', action: 'test.done', target });

let mine: AccountScope;
let theirs: AccountScope;
let theirKeyId: string;

async function newScope(name: string): Promise<{ scope: AccountScope; keyId: string }> {
  const { account, apiKey } = await createAccount(operatorContext(settings, newId('account'), 'req_test'), {
    name,
  });
  return { scope: scopeOfOutbox(env.DB, account.id), keyId: apiKey.id };
}

beforeAll(async () => {
  mine = (await newScope('Mine')).scope;
  const other = await newScope('Theirs');
  theirs = other.scope;
  theirKeyId = other.keyId;
});

const NO_LIMITS = { sessions: null, perSecond: null, perMinute: null, perDay: null, perSession: null };

function relay(changes: Partial<StoredRelay> = {}): StoredRelay {
  return {
    id: newId('relay'),
    name: 'r',
    host: 'smtp.example.com',
    port: 587,
    tls: 'starttls',
    auth: 'auto',
    username: null,
    sealedSecret: null,
    priority: 10,
    weight: 1,
    fromDomains: [],
    limits: NO_LIMITS,
    version: 1,
    createdAt: 1,
    updatedAt: 1,
    ...changes,
  };
}

async function auditCount(scope: AccountScope, target: string): Promise<number> {
  const statement = env.DB.prepare(
    'SELECT count(*) AS n FROM audit_log WHERE "account_id" = ? AND target = ?',
  );
  const row = await statement.bind(scope.accountId, target).first<{ n: number }>();
  return row?.n ?? -1;
}

describe('the sending state', () => {
  it('comes in one round trip, with relays oldest first and bytes as bytes', async () => {
    const secret = new Uint8Array([0, 255, 7]);
    const first = relay({
      id: newId('relay', 1),
      username: 'u',
      sealedSecret: secret,
      priority: 0,
      weight: 7,
      fromDomains: ['a.example', 'b.example'],
      limits: { ...NO_LIMITS, sessions: 3, perDay: 500 },
    });
    const second = relay({ id: newId('relay', 2) });
    await insertRelay(mine, second, audit(second.id));
    await insertRelay(mine, first, audit(first.id));
    const state = await findSendingState(mine);
    expect(state?.accountStatus).toBe('active');
    expect(state?.inDoubtPolicy).toBe('retry');
    expect(state?.relays.map((row) => row.id)).toEqual([first.id, second.id]);
    expect(state?.relays[0]).toEqual({
      id: first.id,
      name: 'r',
      host: 'smtp.example.com',
      port: 587,
      tls: 'starttls',
      auth: 'auto',
      username: 'u',
      sealedSecret: secret,
      priority: 0,
      weight: 7,
      fromDomains: ['a.example', 'b.example'],
      limits: { sessions: 3, perDay: 500 },
      version: 1,
    });
    expect(state?.relays[1]?.limits).toEqual({});
    expect(state?.relays[1]).not.toHaveProperty('username');
    const [key] = state?.dataKeys ?? [];
    expect(key?.masterVersion).toBe(1);
    const { MASTER_KEYS } = settingsOf(settings);
    if (key) expect(unwrapDataKey(MASTER_KEYS, mine.accountId, key).bytes).toHaveLength(32);
  });

  it('of an account that does not exist is undefined', async () => {
    expect(await findSendingState(scopeOfOutbox(env.DB, newId('account')))).toBeUndefined();
  });

  it('is remembered for sending until it is forgotten', async () => {
    const { scope } = await newScope('Cached');
    expect(await findAccountState(settings, scope)).toMatchObject({ status: 'active', hasRelay: false });
    const added = relay();
    await insertRelay(scope, added, audit(added.id));
    const before = seenStatements().length;
    expect(await findAccountState(settings, scope)).toMatchObject({ hasRelay: false });
    expect(seenStatements().length).toBe(before);
    forgetAccount(scope.accountId);
    const state = await findAccountState(settings, scope);
    expect(state).toMatchObject({ hasRelay: true });
    expect(state?.dataKeys.at(-1)?.bytes).toHaveLength(32);
  });
});

describe('store functions', () => {
  it('find nothing of another account and change nothing there', async () => {
    const row = relay();
    await insertRelay(theirs, row, audit(row.id));
    const domain = { id: newId('domain'), name: 'theirs.example', createdAt: 1 };
    await insertDomain(theirs, domain, audit(domain.id));
    expect(await findRelay(mine, row.id)).toBeUndefined();
    expect(await findRelayIds(mine, [row.id])).toEqual([]);
    expect(await findRelayIds(theirs, [row.id, newId('relay')])).toEqual([row.id]);
    expect(await updateRelay(mine, { ...row, name: 'x', version: 2 }, audit(row.id))).toBe(false);
    expect(await deleteRelay(mine, row.id, audit(row.id))).toBe(false);
    expect(await findDomain(mine, domain.id)).toBeUndefined();
    expect(await deleteDomain(mine, domain.id, audit(domain.id))).toBe(false);
    expect(await findDomainsByNames(mine, ['theirs.example'])).toEqual([]);
    expect(await findSendingDomain(mine, 'theirs.example')).toBeUndefined();
    expect(await updateApiKey(mine, theirKeyId, { name: 'x', audit: audit(theirKeyId) })).toBe(false);
    const rotation = { secret: newApiKey(), nowMs: 1, validUntil: 2, audit: audit(theirKeyId) };
    expect(await rotateApiKey(mine, theirKeyId, rotation)).toBe(false);
    expect(await findApiKey(mine, theirKeyId, 0)).toBeUndefined();
    expect((await findApiKey(theirs, theirKeyId, 0))?.previousValidUntil).toBeNull();
    expect(await deleteApiKey(mine, theirKeyId, audit(theirKeyId))).toBe(false);
    expect(await findRelay(theirs, row.id)).toEqual(row);
    for (const target of [row.id, domain.id, theirKeyId]) expect(await auditCount(mine, target)).toBe(0);
  });

  it('write the audit row with the change, and only with it', async () => {
    const row = relay();
    await insertRelay(mine, row, audit(row.id));
    expect(await auditCount(mine, row.id)).toBe(1);
    expect(await updateRelay(mine, { ...row, version: 2 }, audit(row.id))).toBe(true);
    // The second writer of version 2 has lost.
    expect(await updateRelay(mine, { ...row, version: 2 }, audit(row.id))).toBe(false);
    expect(await auditCount(mine, row.id)).toBe(2);
    expect(await deleteRelay(mine, row.id, audit(row.id))).toBe(true);
    expect(await deleteRelay(mine, row.id, audit(row.id))).toBe(false);
    expect(await auditCount(mine, row.id)).toBe(3);
    expect((await setAccountStatus(mine, 'active', audit('status')))?.status).toBe('active');
    expect(await auditCount(mine, 'status')).toBe(0);
  });

  it('change an account and no other, and not once it is closed', async () => {
    const { scope } = await newScope('Before');
    const change = { dailyQuota: 7, inDoubtPolicy: 'hold' } as const;
    expect(await updateAccount(scope, change, audit('account'))).toMatchObject({
      isChanged: true,
      account: change,
    });
    expect((await findSendingState(scope))?.inDoubtPolicy).toBe('hold');
    expect(await findAccount(theirs)).toMatchObject({ dailyQuota: null, inDoubtPolicy: 'retry' });
    expect(await auditCount(scope, 'account')).toBe(1);
    await setAccountStatus(scope, 'closed', audit('status'));
    const closed = await updateAccount(scope, { dailyQuota: 8 }, audit('account'));
    expect(closed).toMatchObject({ isChanged: false, account: { dailyQuota: 7, status: 'closed' } });
    expect(await auditCount(scope, 'account')).toBe(1);
  });

  it('write an audit row by itself to their own account', async () => {
    await insertAudit(mine, { ...audit('alone'), details: { n: 1 } });
    expect([await auditCount(mine, 'alone'), await auditCount(theirs, 'alone')]).toEqual([1, 0]);
    await expect(insertAudit(scopeOfOutbox(env.DB, newId('account')), audit('alone'))).rejects.toThrow();
  });

  it('undo the change where its audit row cannot be written', async () => {
    const row = relay();
    const circular = { ...audit(row.id), action: null as unknown as string };
    await expect(insertRelay(mine, row, circular)).rejects.toThrow();
    expect(await findRelay(mine, row.id)).toBeUndefined();
  });

  it('find many domains by name in one statement', async () => {
    const names = Array.from({ length: 150 }, (_, i) => `many${i}.example`);
    for (const name of names.slice(0, 3)) {
      await putVerifiedDomain(mine, { id: newId('domain'), name, nowMs: 1 }, audit(name));
    }
    const found = await findDomainsByNames(mine, names);
    expect(found.map((domain) => [domain.name, domain.status])).toEqual(
      names.slice(0, 3).map((name) => [name, 'verified']),
    );
  });
});

describe('the migration to relays with routing', () => {
  it('gives relays and accounts of the version before it what they did then', async () => {
    const id = newId('relay');
    await env.DB.prepare(
      `INSERT INTO relays (account_id, id, name, host, port, tls, auth, version, created_at, updated_at)
       VALUES (?1, ?2, 'old', 'smtp.example.com', 587, 'starttls', 'auto', 1, 1, 1)`,
    )
      .bind(theirs.accountId, id)
      .run();
    expect(await findRelay(theirs, id)).toEqual(relay({ id, name: 'old' }));
  });

  it.each([
    'priority = -1',
    'weight = 0',
    'weight = 1001',
    "from_domains = 'a.example'",
    'max_sessions = 0',
    'messages_per_day = 0',
  ])('has the database refuse %s', async (change) => {
    const row = relay();
    await insertRelay(theirs, row, audit(row.id));
    const statement = env.DB.prepare(`UPDATE relays SET ${change} WHERE "account_id" = ? AND id = ?`);
    await expect(statement.bind(theirs.accountId, row.id).run()).rejects.toThrow(/CHECK/);
  });
});

describe('the statement tap', () => {
  const account = newId('account');

  it('takes what names and binds one account', () => {
    const good = 'select "id" from "relays" where ("relays"."account_id" = ? and "relays"."id" = ?)';
    expect(faultOf({ sql: good, values: [account, 'rly_x'] })).toBeUndefined();
    expect(faultOf({ sql: 'SELECT 1', values: [] })).toBeUndefined();
  });

  it('refuses what forgets the account, or binds none or two', () => {
    for (const [sql, values] of [
      ['select "id" from "relays" where "relays"."id" = ?', ['rly_x']],
      ['delete from "domains" where "domains"."id" = ?', ['dom_x']],
      ['update "api_keys" set "name" = ? where "api_keys"."id" = ?', ['x', 'key_x']],
      ['select "account_id" from "relays"', []],
      ['select "id" from "relays" where "relays"."account_id" = ?', ['rly_x']],
      ['update "relays" set "account_id" = ? where "relays"."account_id" = ?', [account, newId('account')]],
      ['select "accounts"."email" from "accounts" where "accounts"."name" = ?', ['x']],
    ] as const) {
      expect(faultOf({ sql, values })).toBeDefined();
    }
  });

  it('saw the statements of this file', () => {
    expect(seenStatements().length).toBeGreaterThan(20);
  });
});
