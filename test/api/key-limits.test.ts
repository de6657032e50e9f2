/** From where, until when and with which secret a key may be used. */
import { env } from 'cloudflare:workers';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';
import { seenStatements } from '../support/statement-tap.ts';

const HOUR_MS = 60 * 60 * 1000;

let account: TestAccount;
beforeAll(async () => {
  account = await createAccount();
});
afterEach(() => {
  vi.useRealTimers();
});

async function newKey(body: Record<string, unknown> = {}): Promise<{ id: string; token: string }> {
  const response = await call('/v1/api-keys', { key: account.key, body: { name: 'A key', ...body } });
  expect(response.status).toBe(201);
  const created = await jsonOf(response);
  return { id: textAt(created, 'id'), token: textAt(created, 'token') };
}

/** The status, and the code of an error. */
async function use(token: string, ip?: string): Promise<[number, string]> {
  const headers = ip === undefined ? {} : { 'cf-connecting-ip': ip };
  const response = await call('/v1/relays', { key: token, headers });
  return [response.status, textAt(await jsonOf(response), 'code')];
}

/** Only the clock: what waits for a timer goes on. */
function later(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}

const OK = [200, 'undefined'];
const INVALID = [403, 'invalid_api_key'];
const FOREIGN = [403, 'address_not_allowed'];

describe('a list of addresses', () => {
  it('lets its addresses use the key and no others, and does not tell itself', async () => {
    const allowed = ['192.0.2.0/24', '2001:db8::/32', '198.51.100.7'];
    const { id, token } = await newKey({ allowed_ips: allowed });
    for (const ip of ['192.0.2.200', '2001:DB8::9', '198.51.100.7', '::ffff:192.0.2.1']) {
      expect([ip, await use(token, ip)]).toEqual([ip, OK]);
    }
    for (const ip of [
      undefined,
      '',
      '192.0.3.1',
      '2001:db9::1',
      '198.51.100.8',
      '192.0.2.1, 10.0.0.1',
      'fe80::1%1',
    ]) {
      expect([ip, await use(token, ip)]).toEqual([ip, FOREIGN]);
    }
    const refused = await call('/v1/relays', { key: token });
    expect(await refused.text()).not.toContain('192.0');
    const shown = await jsonOf(await call(`/v1/api-keys/${id}`, { key: account.key }));
    expect(shown.allowed_ips).toEqual(allowed);
    expect(JSON.stringify(shown)).not.toContain(token.slice(8, -4));
  });

  it('can be changed and taken away', async () => {
    const { id, token } = await newKey({ allowed_ips: ['192.0.2.1'] });
    const change = (body: unknown) => call(`/v1/api-keys/${id}`, { method: 'PATCH', key: account.key, body });
    expect(await use(token, '203.0.113.1')).toEqual(FOREIGN);
    expect((await change({ allowed_ips: ['203.0.113.0/28'] })).status).toBe(200);
    expect(await use(token, '203.0.113.1')).toEqual(OK);
    expect((await change({ allowed_ips: [] })).status).toBe(200);
    expect(await use(token)).toEqual(OK);
  });

  it('is refused by the item that is no range', async () => {
    for (const body of [
      { allowed_ips: ['192.0.2.1', '192.0.2.1/24'] },
      { allowed_ips: ['::1', 'fe80::1%eth0'] },
    ]) {
      const response = await call('/v1/api-keys', { key: account.key, body: { name: 'x', ...body } });
      expect([response.status, textAt(await jsonOf(response), 'message')]).toEqual([
        422,
        expect.stringContaining('Invalid `allowed_ips[1]` field'),
      ]);
    }
  });
});

describe('an expiry', () => {
  it('ends the key to the millisecond, though it is remembered', async () => {
    const expiresAt = new Date(Date.now() + HOUR_MS);
    const { token } = await newKey({ expires_at: expiresAt.toISOString() });
    vi.useFakeTimers({ toFake: ['Date'], now: expiresAt.getTime() - 1 });
    expect(await use(token)).toEqual(OK);
    vi.setSystemTime(expiresAt);
    expect(await use(token)).toEqual([403, 'expired_api_key']);
  });

  it('must lie ahead, with a zone', async () => {
    for (const expires_at of ['2020-01-01T00:00:00Z', '2099-01-01T00:00:00', 'tomorrow', 1]) {
      const response = await call('/v1/api-keys', { key: account.key, body: { name: 'x', expires_at } });
      expect([expires_at, response.status]).toEqual([expires_at, 422]);
    }
  });
});

describe('a rotation', () => {
  async function rotate(id: string, body: unknown = {}, key = account.key) {
    const response = await call(`/v1/api-keys/${id}/rotate`, { key, body });
    return { status: response.status, body: await jsonOf(response) };
  }

  it('gives the same key another secret, and both are good until the given time', async () => {
    const { id, token } = await newKey();
    expect(await use(token)).toEqual(OK);
    const { status, body } = await rotate(id, { overlap_hours: 2 });
    expect([status, body.id]).toEqual([200, id]);
    const next = textAt(body, 'token');
    expect(next).not.toBe(token);
    expect([await use(token), await use(next)]).toEqual([OK, OK]);
    const until = Date.parse(textAt(body, 'previous_valid_until'));
    vi.useFakeTimers({ toFake: ['Date'], now: until - 1 });
    expect([await use(token), await use(next)]).toEqual([OK, OK]);
    vi.setSystemTime(until);
    expect([await use(token), await use(next)]).toEqual([INVALID, OK]);
    later(HOUR_MS);
    expect([await use(token), await use(next)]).toEqual([INVALID, OK]);
  });

  it('without an overlap ends the old secret at once', async () => {
    const { id, token } = await newKey();
    expect(await use(token)).toEqual(OK);
    const { body } = await rotate(id, { overlap_hours: 0 });
    expect(body.previous_valid_until).toBeNull();
    expect([await use(token), await use(textAt(body, 'token'))]).toEqual([INVALID, OK]);
  });

  it('that is repeated because its answer was lost takes nothing away', async () => {
    const { id, token } = await newKey({ allowed_ips: ['192.0.2.1'] });
    const first = textAt((await rotate(id)).body, 'token');
    const second = textAt(
      (await rotate(id, { until: new Date(Date.now() + HOUR_MS).toISOString() })).body,
      'token',
    );
    // Limits belong to the key, whatever its secret.
    for (const secret of [token, first, second]) {
      expect([await use(secret, '192.0.2.1'), await use(secret)]).toEqual([OK, FOREIGN]);
    }
    const removed = await call(`/v1/api-keys/${id}`, { method: 'DELETE', key: account.key });
    expect(removed.status).toBe(200);
    for (const secret of [token, first, second]) expect(await use(secret, '192.0.2.1')).toEqual(INVALID);
    const { results } = await env.DB.prepare(
      'SELECT action FROM audit_log WHERE "account_id" = ? AND target = ? ORDER BY id',
    )
      .bind(account.id, id)
      .all();
    expect(results.map(({ action }) => action).sort()).toEqual([
      'api_key.created',
      'api_key.deleted',
      'api_key.rotated',
      'api_key.rotated',
    ]);
  });

  it('lets a key rotate itself, and refuses what makes no sense', async () => {
    const { id, token } = await newKey();
    const { body } = await rotate(id, { overlap_hours: 1 }, token);
    expect(await use(textAt(body, 'token'))).toEqual(OK);
    for (const wrong of [
      { overlap_hours: 1, until: '2099-01-01T00:00:00Z' },
      { overlap_hours: 24 * 31 },
      { overlap_hours: -1 },
      { until: '2099-01-01T00:00:00Z' },
      { hours: 1 },
    ]) {
      expect([wrong, (await rotate(id, wrong)).status]).toEqual([wrong, 422]);
    }
  });
});

describe('a key that is taken back elsewhere', () => {
  it('is refused within 60 seconds here, though it was just used', async () => {
    const { id, token } = await newKey();
    expect(await use(token)).toEqual(OK);
    await env.DB.prepare('/* raw */ DELETE FROM api_keys WHERE account_id = ? AND id = ?')
      .bind(account.id, id)
      .run();
    expect(await use(token)).toEqual(OK);
    later(60_000);
    expect(await use(token)).toEqual(INVALID);
  });
});

describe('many failed keys from one address', () => {
  it('are slowed down there, and lock out nobody who has a key', async () => {
    const { token } = await newKey();
    const ip = '203.0.113.77';
    const answers = await Promise.all(Array.from({ length: 110 }, () => use('er_live_wrong', ip)));
    const kinds = new Set(answers.map((answer) => answer.join(' ')));
    expect([...kinds].sort()).toEqual(['403 invalid_api_key', '429 too_many_failures']);
    expect(await use(token, ip)).toEqual(OK);
    expect(await use('er_live_wrong', '203.0.113.78')).toEqual(INVALID);
  }, 60_000);
});

describe('the day of last use', () => {
  const notes = () =>
    seenStatements().filter(({ sql }) => /^update "api_keys" set "last_used_on"/.test(sql)).length;

  it('is written once a day, however often the key is used', async () => {
    const { token } = await newKey();
    const before = notes();
    for (let n = 0; n < 5; n++) expect(await use(token)).toEqual(OK);
    expect(notes() - before).toBe(1);
    // What is remembered has expired, and the row says the day.
    later(60_000);
    expect(await use(token)).toEqual(OK);
    expect(notes() - before).toBe(1);
    later(24 * HOUR_MS);
    for (let n = 0; n < 5; n++) expect(await use(token)).toEqual(OK);
    expect(notes() - before).toBe(2);
  });

  it('does not count a use that was refused', async () => {
    const { token } = await newKey({ allowed_ips: ['192.0.2.1'] });
    const before = notes();
    expect(await use(token)).toEqual(FOREIGN);
    expect(notes()).toBe(before);
  });
});
