import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { app } from '../../src/app.ts';
import { AppError, ERROR_MESSAGES, type ErrorCode } from '../../src/errors.ts';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';

let account: TestAccount;
beforeAll(async () => {
  account = await createAccount();
});

describe('every answer', () => {
  it('carries a request id, is never stored, and has no CORS header', async () => {
    const paths: [string, string | undefined][] = [
      ['/health', undefined],
      ['/v1/relays', account.key],
      ['/v1/relays', undefined],
      ['/v1/nowhere', account.key],
      ['/nowhere', undefined],
    ];
    for (const [path, key] of paths) {
      const headers = { origin: 'https://evil.example' };
      const response = await call(path, { headers, ...(key !== undefined && { key }) });
      expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/);
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      expect(response.headers.get('set-cookie')).toBeNull();
      expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
      expect(response.headers.get('content-type')).toContain('application/json');
    }
  });

  it('to a preflight is 405 or 404', async () => {
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const known = await call('/v1/emails', { method: 'OPTIONS', headers });
    expect([known.status, textAt(await jsonOf(known), 'name')]).toEqual([405, 'method_not_allowed']);
    expect(known.headers.get('allow')).toContain('POST');
    expect((await call('/nowhere', { method: 'OPTIONS', headers })).status).toBe(404);
  });

  it('to a wrong method is 405, to an unknown path 404', async () => {
    const wrong = await call('/v1/relays', { method: 'PUT', key: account.key, body: {} });
    expect([wrong.status, wrong.headers.get('allow'), await jsonOf(wrong)]).toEqual([
      405,
      'GET, POST',
      {
        statusCode: 405,
        name: 'method_not_allowed',
        message: 'Method is not allowed for the requested path.',
        code: 'method_not_allowed',
        request_id: wrong.headers.get('x-request-id'),
      },
    ]);
    const unknown = await call('/v1/relays/', { key: account.key });
    expect([unknown.status, textAt(await jsonOf(unknown), 'code')]).toEqual([404, 'route_not_found']);
    expect((await call('/health', { method: 'DELETE' })).status).toBe(405);
  });

  it('to a HEAD request has the headers only', async () => {
    const response = await call('/v1/relays', { method: 'HEAD', key: account.key });
    expect([response.status, await response.text()]).toEqual([200, '']);
  });

  it('takes an id in the path decoded once', async () => {
    const body = { host: 'smtp.example.com' };
    const id = textAt(await jsonOf(await call('/v1/relays', { key: account.key, body })), 'id');
    const encoded = `%${id.charCodeAt(0).toString(16)}${id.slice(1)}`;
    expect((await call(`/v1/relays/${encoded}`, { key: account.key })).status).toBe(200);
    expect((await call(`/v1/relays/${encoded.replace('%', '%25')}`, { key: account.key })).status).toBe(404);
    expect((await call(`/v1/relays/x%2F..%2F${id}`, { key: account.key })).status).toBe(404);
  });
});

describe('errors', () => {
  it('all have a status and one of the names that the SDK knows', async () => {
    const names = new Set<string>();
    for (const code of Object.keys(ERROR_MESSAGES) as ErrorCode[]) {
      const response = await throwing(new AppError(code));
      const body = await jsonOf(response);
      expect(body).toMatchObject({ statusCode: response.status, code });
      expect(response.status).toBeGreaterThanOrEqual(400);
      names.add(textAt(body, 'name'));
    }
    expect([...names].every((name) => /^[a-z_]+$/.test(name))).toBe(true);
  });

  it('that nobody expected say nothing of their reason', async () => {
    const response = await throwing(new Error('secret reason'));
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
  });

  it('of an overloaded server say when to come back', async () => {
    expect((await throwing(new AppError('overloaded'))).headers.get('retry-after')).toBe('1');
    const limited = await throwing(new AppError('rate_limited', {}, { retryAfterSeconds: 2.5 }));
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '3']);
  });

  it('of the database are 503 where it does not answer and 500 where we are wrong', async () => {
    const overloaded = new Error('outer', {
      cause: new Error('D1_ERROR: D1 DB is overloaded. Requests queued for too long.'),
    });
    expect((await throwing(overloaded)).status).toBe(503);
    const wrong = new Error('outer', { cause: new Error('D1_ERROR: no such column: x: SQLITE_ERROR') });
    expect((await throwing(wrong)).status).toBe(500);
  });

  /** The app's own error handler, for an error of our choice. */
  async function throwing(error: Error): Promise<Response> {
    const { Hono } = await import('hono');
    const { requestFrame } = await import('../../src/http/request-frame.ts');
    const { errorResponse } = await import('../../src/http/error-response.ts');
    const broken = new Hono<import('../../src/http/app-types.ts').AppTypes>();
    broken.use('*', requestFrame);
    broken.onError((thrown, c) => errorResponse(c, thrown));
    broken.get('/', () => {
      throw error;
    });
    return broken.request('/', {}, env as never);
  }
});

describe('pages', () => {
  it('go through a list in both directions without a gap', async () => {
    const other = await createAccount();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const body = { name: `d${i}.example` };
      ids.unshift(textAt(await jsonOf(await call('/v1/domains', { key: other.key, body })), 'id'));
    }
    ids.sort().reverse();
    const page = async (query: string) => {
      const body = await jsonOf(await call(`/v1/domains?${query}`, { key: other.key }));
      return [(body.data as { id: string }[]).map((row) => row.id), body.has_more];
    };
    expect(await page('limit=2')).toEqual([ids.slice(0, 2), true]);
    expect(await page(`limit=2&after=${ids[1]}`)).toEqual([ids.slice(2, 4), true]);
    expect(await page(`limit=2&after=${ids[3]}`)).toEqual([ids.slice(4), false]);
    expect(await page(`limit=2&before=${ids[4]}`)).toEqual([ids.slice(2, 4), true]);
    expect(await page(`limit=2&before=${ids[2]}`)).toEqual([ids.slice(0, 2), false]);
    expect(await page('limit=100')).toEqual([ids, false]);
  });

  it('refuse a query that makes no sense, on every list', async () => {
    const lists = ['/v1/api-keys', '/v1/domains', '/v1/emails', '/v1/relays'];
    expect(
      lists.every((path) => app.routes.some((route) => route.path === path && route.method === 'GET')),
    ).toBe(true);
    for (const path of lists) {
      for (const query of [
        'limit=0',
        'limit=101',
        'limit=1e1',
        'limit=',
        'limit=1&limit=2',
        'after=a&before=b',
        'page=2',
      ]) {
        const response = await call(`${path}?${query}`, { key: account.key });
        expect([path, query, response.status]).toEqual([path, query, 422]);
      }
    }
  });
});
