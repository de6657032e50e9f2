import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unstable_readConfig } from 'wrangler';
import { freshSecrets, localDefaults } from '../scripts/local-settings.ts';
import { type Env, type Settings, settingsOf } from '../src/env.ts';

const config = unstable_readConfig(
  { config: join(import.meta.dirname, '../wrangler.toml') },
  { hideWarnings: true },
);
const parse = (set: Readonly<Record<string, unknown>>): Settings => settingsOf(set as unknown as Env);

test('what is deployed allows nothing private, and looks names up over HTTPS', () => {
  const settings = parse({ ...config.vars, ...freshSecrets() });
  expect(settings).toMatchObject({
    ALLOW_PRIVATE_RELAYS: false,
    ALLOW_PLAINTEXT_RELAYS: false,
    ALLOW_PRIVATE_WEBHOOKS: false,
    ALLOW_CLOUDFLARE_WEBHOOKS: false,
    DNS_RESOLVER_URL: expect.stringMatching(/^https:\/\//),
  });
});

test('a server for local use reaches the loopback and asks no resolver', () => {
  expect(parse(localDefaults())).toMatchObject({ ALLOW_PRIVATE_RELAYS: true, DNS_RESOLVER_URL: undefined });
});

test('the table of settings in the README has every one, with its default', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
  const documented: Record<string, string> = {};
  for (const [, names = '', given = ''] of readme.matchAll(/^\| (`[A-Z`, ·_]+`) *\| ([^|]+?) *\|/gm)) {
    const defaults = given.split(' · ');
    [...names.matchAll(/[A-Z_]+/g)].forEach(([name], index) => {
      documented[name] = defaults[index] ?? given;
    });
  }
  const inForce = parse(freshSecrets());
  for (const [name, value] of Object.entries(inForce)) {
    expect(Object.keys(documented)).toContain(name);
    if (typeof value === 'number') expect([name, documented[name]]).toEqual([name, String(value)]);
  }
});

describe('the resolver', () => {
  const secrets = freshSecrets();
  const isPrivate = { ALLOW_PRIVATE_RELAYS: 'true', ALLOW_PRIVATE_WEBHOOKS: 'true' };

  test.each(['none', ''])('%j is for a deployment where everything private is allowed', (text) => {
    const set = { ...secrets, DNS_RESOLVER_URL: text };
    expect(parse({ ...set, ...isPrivate }).DNS_RESOLVER_URL).toBeUndefined();
    for (const name of Object.keys(isPrivate)) {
      expect(() => parse({ ...set, ...isPrivate, [name]: 'false' })).toThrow(/DNS_RESOLVER_URL: may be/);
    }
    expect(() => parse(set)).toThrow(/DNS_RESOLVER_URL: may be/);
  });

  test.each([
    'http://1.1.1.1/dns-query',
    'http://localhost.evil.dev/',
    'cloudflare-dns.com',
    'NONE',
    'ftp://x/',
  ])('%s is refused', (text) => {
    expect(() => parse({ ...secrets, ...isPrivate, DNS_RESOLVER_URL: text })).toThrow(/must be an https URL/);
  });

  test.each([
    'https://dns.google/resolve',
    'https://10.0.0.53/dns-query?x=1',
    'http://127.0.0.1:8053/dns-query',
  ])('%s may be it', (text) => {
    expect(parse({ ...secrets, DNS_RESOLVER_URL: text }).DNS_RESOLVER_URL).toBe(text);
  });
});
