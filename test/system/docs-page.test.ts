/** The page at /docs and the description it shows, from a real `wrangler dev`. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DevServer, removeState, startDevServer } from '../support/dev-server.ts';

let server: DevServer;

beforeAll(async () => {
  server = await startDevServer();
});

afterAll(async () => {
  await server?.stop();
  if (server) await removeState(server);
});

describe('the documentation', () => {
  test('has the description, without a key, and lets it be kept for a while', async () => {
    const response = await fetch(`${server.url}/v1/openapi.json`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(response.headers.get('cache-control')).toBe('public, max-age=300');
    expect(await response.text()).toBe(readFileSync('public/v1/openapi.json', 'utf8'));
    const again = { headers: { 'if-none-match': response.headers.get('etag') ?? '' } };
    expect((await fetch(`${server.url}/v1/openapi.json`, again)).status).toBe(304);
  });

  test('has a page whose files are all its own, and which may load no others', async () => {
    const page = await fetch(`${server.url}/docs`);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/https?:|\*|unsafe-/);
    expect(page.headers.get('x-frame-options')).toBe('DENY');
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    const html = await page.text();
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file ?? '');
    expect(files.filter((file) => !file.startsWith('data:') && !file.startsWith('/'))).toEqual([]);
    const own = files.filter((file) => file.startsWith('/'));
    expect(own.length).toBeGreaterThan(3);
    for (const file of own) {
      const answer = await fetch(server.url + file);
      expect([file, answer.status, answer.headers.get('set-cookie')]).toEqual([file, 200, null]);
      expect((await answer.text()).length).toBeGreaterThan(100);
    }
  });

  test('does not stand in the way of the API', async () => {
    const answers = await Promise.all(
      ['/', '/v1', '/v1/emails', '/v1/openapi.yaml', '/health'].map(async (path) => {
        const response = await fetch(server.url + path);
        return [path, response.status, response.headers.get('x-request-id')?.slice(0, 4)];
      }),
    );
    expect(answers).toEqual([
      ['/', 404, 'req_'],
      ['/v1', 401, 'req_'],
      ['/v1/emails', 401, 'req_'],
      ['/v1/openapi.yaml', 401, 'req_'],
      ['/health', 200, 'req_'],
    ]);
  });
});
