import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DefaultRelay, parseRelayUrl } from '../../src/smtp/relay-url.ts';

const credentials = (username: string, secret: string): Pick<DefaultRelay, 'credentials'> => ({
  credentials: { username, secret, method: 'auto' },
});

/** Any text at all, lone surrogates too. */
const anyText = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 50 })
  .map((units) => String.fromCharCode(...units));

describe('the URL of a relay', () => {
  test.each<[string, DefaultRelay]>([
    ['smtps://smtp.example.com', { host: 'smtp.example.com', port: 465, tls: 'implicit' }],
    ['smtp://smtp.example.com', { host: 'smtp.example.com', port: 587, tls: 'starttls' }],
    ['smtp://smtp.example.com/', { host: 'smtp.example.com', port: 587, tls: 'starttls' }],
    ['SMTP://SMTP.Example.COM:2525', { host: 'smtp.example.com', port: 2525, tls: 'starttls' }],
    ['smtps://smtp.example.com:8465', { host: 'smtp.example.com', port: 8465, tls: 'implicit' }],
    ['smtps://smtp.example.com:443', { host: 'smtp.example.com', port: 443, tls: 'implicit' }],
    ['smtp://localhost:1025?tls=none', { host: 'localhost', port: 1025, tls: 'none' }],
    ['smtps://localhost?tls=none', { host: 'localhost', port: 465, tls: 'implicit' }],
    ['smtp://localhost?tls=off', { host: 'localhost', port: 587, tls: 'starttls' }],
    ['smtp://127.0.0.1:1025', { host: '127.0.0.1', port: 1025, tls: 'starttls' }],
    ['smtp://[::1]:1025', { host: '[::1]', port: 1025, tls: 'starttls' }],
    ['smtp://b\u00fccher.example', { host: 'xn--bcher-kva.example', port: 587, tls: 'starttls' }],
    [
      'smtps://user:pass@smtp.example.com:465',
      { host: 'smtp.example.com', port: 465, tls: 'implicit', ...credentials('user', 'pass') },
    ],
    [
      'smtps://me%40example.com:p%40ss%3A%2F%25%20w%C3%B6rd@smtp.example.com',
      {
        host: 'smtp.example.com',
        port: 465,
        tls: 'implicit',
        ...credentials('me@example.com', 'p@ss:/% w\u00f6rd'),
      },
    ],
    [
      'smtps://token@smtp.example.com',
      { host: 'smtp.example.com', port: 465, tls: 'implicit', ...credentials('token', '') },
    ],
    [
      'smtps://apikey:SG.a+b=c@smtp.example.com',
      { host: 'smtp.example.com', port: 465, tls: 'implicit', ...credentials('apikey', 'SG.a+b=c') },
    ],
  ])('%s is understood', (text, relay) => {
    expect(parseRelayUrl(text)).toEqual(relay);
  });

  test.each([
    ['nothing', ''],
    ['a host alone', 'smtp.example.com'],
    ['a host and a port', 'smtp.example.com:587'],
    ['another scheme', 'https://smtp.example.com'],
    ['another scheme that sounds alike', 'smtpss://smtp.example.com'],
    ['no host', 'smtp://'],
    ['no host, but a port', 'smtp://:587'],
    ['no host, but credentials', 'smtp://user:pass@'],
    ['no slashes', 'smtp:smtp.example.com'],
    ['a path', 'smtp://smtp.example.com/inbox'],
    ['port 25, which the platform blocks', 'smtp://smtp.example.com:25'],
    ['port 25 with TLS', 'smtps://smtp.example.com:25'],
    ['port 0', 'smtp://smtp.example.com:0'],
    ['a port that is too large', 'smtp://smtp.example.com:65536'],
    ['a port that is no number', 'smtp://smtp.example.com:submission'],
    ['an unfinished IPv6 address', 'smtp://[::1'],
    ['a space in the host', 'smtp://smtp example.com'],
    ['an encoded slash in the host', 'smtp://smtp.example.com%2fx'],
    ['an encoded NUL in the host', 'smtp://smtp%00.example.com'],
    ['a user name with a broken escape', 'smtp://100%@smtp.example.com'],
    ['a password with a broken escape', 'smtp://user:100%zz@smtp.example.com'],
    ['a password that is not UTF-8', 'smtp://user:%ff@smtp.example.com'],
    ['a password for nobody', 'smtp://:pass@smtp.example.com'],
  ])('with %s is refused', (_, text) => {
    expect(parseRelayUrl(text)).toBeUndefined();
  });

  test('carries any credentials in percent-encoding', () => {
    const someText = anyText.map((text) => `${text}@`.toWellFormed());
    fc.assert(
      fc.property(someText, someText, (username, secret) => {
        const text = `smtps://${encodeURIComponent(username)}:${encodeURIComponent(secret)}@smtp.example.com`;
        expect(parseRelayUrl(text)?.credentials).toEqual({ username, secret, method: 'auto' });
      }),
    );
  });

  test('never throws', () => {
    fc.assert(
      fc.property(fc.constantFrom('', 'smtp://', 'smtps://'), anyText, (scheme, rest) => {
        const relay = parseRelayUrl(scheme + rest);
        if (relay) expect(relay.host).not.toBe('');
      }),
    );
  });
});
