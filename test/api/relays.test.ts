import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';

let account: TestAccount;
beforeAll(async () => {
  account = await createAccount();
});

const SECRET = 'canary-upstream-secret';
const smtp = () => ({ host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' });
const post = (body: unknown) => call('/v1/relays', { key: account.key, body });
const patch = (id: string, body: unknown) =>
  call(`/v1/relays/${id}`, { method: 'PATCH', key: account.key, body });

async function createRelay(body: unknown): Promise<string> {
  const response = await post(body);
  expect(response.status).toBe(201);
  return textAt(await jsonOf(response), 'id');
}

describe('relays', () => {
  it('are created with what was left out filled in, and never show their password', async () => {
    const response = await post({ host: 'SMTP.Example.com', username: 'u', password: SECRET });
    expect(response.status).toBe(201);
    const text = await response.text();
    expect(text).not.toContain(SECRET);
    expect(JSON.parse(text)).toMatchObject({
      object: 'relay',
      name: 'SMTP.Example.com',
      host: 'smtp.example.com',
      port: 587,
      tls: 'starttls',
      username: 'u',
      has_password: true,
      auth: 'auto',
    });
    const implicit = await jsonOf(await post({ host: 'smtp.example.com', port: 465 }));
    expect(implicit).toMatchObject({ tls: 'implicit', has_password: false, username: null });
    const row = await env.DB.prepare('SELECT * FROM relays WHERE "account_id" = ? LIMIT 1')
      .bind(account.id)
      .first();
    expect(JSON.stringify(row)).not.toContain(SECRET);
  });

  it('are read, changed and deleted', async () => {
    const id = await createRelay({ host: 'smtp.example.com', name: 'First' });
    expect((await patch(id, { name: 'Second', auth: 'login' })).status).toBe(200);
    const read = await jsonOf(await call(`/v1/relays/${id}`, { key: account.key }));
    expect(read).toMatchObject({ name: 'Second', auth: 'login', host: 'smtp.example.com' });
    expect(await jsonOf(await patch(id, { username: 'u', password: 'p' }))).toMatchObject({
      has_password: true,
    });
    expect(await jsonOf(await patch(id, { username: null, password: null }))).toMatchObject({
      has_password: false,
    });
    const removed = await call(`/v1/relays/${id}`, { method: 'DELETE', key: account.key });
    expect(await jsonOf(removed)).toEqual({ object: 'relay', id, deleted: true });
    expect((await call(`/v1/relays/${id}`, { key: account.key })).status).toBe(404);
  });

  it('do not carry a stored password to another server', async () => {
    const id = await createRelay({ host: 'smtp.example.com', username: 'u', password: SECRET });
    for (const change of [{ host: 'evil.example.com' }, { port: 2525 }, { tls: 'none' }]) {
      const response = await patch(id, change);
      expect([response.status, textAt(await jsonOf(response), 'message')]).toEqual([
        422,
        expect.stringContaining('`password`'),
      ]);
    }
    expect((await patch(id, { host: 'new.example.com', password: 'other' })).status).toBe(200);
  });

  it('refuse ports and fields that cannot work, each by name', async () => {
    const cases: [unknown, string][] = [
      [{ port: 587 }, 'Missing `host` field.'],
      [
        { host: 'smtp.example.com', port: 25 },
        'The `port` field is refused: port 25 is blocked by the platform; use 465 or 587.',
      ],
      [
        { host: 'smtp.example.com', port: 80 },
        'The `port` field is refused: must be 465, 587, 2525 or from 1024 to 65535.',
      ],
      [{ host: 'smtp.example.com', port: 70000 }, 'Invalid `port` field: expected number to be <=65535.'],
      [{ host: 'smtp.example.com', port: '587' }, 'Invalid `port` field: expected number, received string.'],
      [
        { host: 'smtp.example.com', tls: 'maybe' },
        'Invalid `tls` field: expected one of "implicit"|"starttls"|"none".',
      ],
      [{ host: 'smtp.example.com', passwort: 'x' }, 'Unknown field `passwort`.'],
      [{ host: 'smtp.example.com', username: 'u' }, 'Missing `password` field.'],
      [{ host: 'smtp.example.com', password: 'p' }, 'Missing `username` field.'],
      [
        { host: 'smtp.example.com', username: 'u\r\nX', password: 'p' },
        'Invalid `username` field: must not contain control characters.',
      ],
      [{ host: 'bad host' }, 'The `host` field is refused: must be a host name, not an address.'],
      [
        { host: 'smtp.example.com\r\nX' },
        'The `host` field is refused: must be a host name, not an address.',
      ],
    ];
    for (const [body, message] of cases) {
      const response = await post(body);
      expect([response.status, textAt(await jsonOf(response), 'message')]).toEqual([422, message]);
    }
  });

  it('are verified by a session with the server', async () => {
    const id = await createRelay({ ...smtp(), username: 'user', password: SECRET });
    const response = await call(`/v1/relays/${id}/verify`, { method: 'POST', key: account.key });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(btoa(`\0user\0${SECRET}`));
    const result = JSON.parse(text);
    expect(result).toMatchObject({ object: 'relay_verification', ok: true });
    expect(result.capabilities).toContain('PIPELINING');
    expect(result.transcript.some((line: string) => line.startsWith('C: EHLO relay.test'))).toBe(true);
  });

  it('tell at which stage a verification failed', async () => {
    const wrong = await createRelay({ ...smtp(), username: 'user', password: 'wrong' });
    const refused = await jsonOf(
      await call(`/v1/relays/${wrong}/verify`, { method: 'POST', key: account.key }),
    );
    expect(refused).toMatchObject({ ok: false, stage: 'auth', error: expect.stringContaining('535') });
    const plain = await createRelay({ ...smtp(), tls: 'starttls' });
    const missing = await jsonOf(
      await call(`/v1/relays/${plain}/verify`, { method: 'POST', key: account.key }),
    );
    expect(missing).toMatchObject({ ok: false, stage: 'starttls' });
  });
});

describe('the health check', () => {
  it('needs no key and asks the database and an object', async () => {
    const response = await call('/health');
    expect([response.status, await jsonOf(response)]).toEqual([
      200,
      { status: 'ok', database: 'ok', outbox: 'ok' },
    ]);
  });
});
