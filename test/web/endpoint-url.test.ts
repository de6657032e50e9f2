import { describe, expect, test } from 'vitest';
import { checkEndpointUrl } from '../../src/web/endpoint-url.ts';

const strict = { allowPrivate: false, ownHosts: ['relay.acme.dev'] };

describe('an endpoint is accepted', () => {
  test.each([
    ['https://hooks.acme.dev/x', 'https://hooks.acme.dev/x'],
    ['https://hooks.acme.dev', 'https://hooks.acme.dev/'],
    ['HTTPS://Hooks.ACME.dev/Path?q=1', 'https://hooks.acme.dev/Path?q=1'],
    ['https://hooks.acme.dev:443/', 'https://hooks.acme.dev/'],
    ['https://bücher.de/', 'https://xn--bcher-kva.de/'],
    ['https://a.b.c.d.acme.co.uk/@/x', 'https://a.b.c.d.acme.co.uk/@/x'],
    ['https://1.2.3.4.acme.dev/', 'https://1.2.3.4.acme.dev/'],
  ])('%s', (text, url) => {
    expect(checkEndpointUrl(text, strict)).toMatchObject({ ok: true, url });
  });
});

describe('an endpoint is refused', () => {
  test.each([
    // Not https.
    'http://hooks.acme.dev/',
    'ftp://hooks.acme.dev/',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'data:text/plain,x',
    '//hooks.acme.dev/',
    'hooks.acme.dev',
    '',
    'https://',
    'https:///x',
    // Another port.
    'https://hooks.acme.dev:8443/',
    'https://hooks.acme.dev:80/',
    'https://hooks.acme.dev:25/',
    // Credentials.
    'https://user@hooks.acme.dev/',
    'https://user:pass@hooks.acme.dev/',
    'https://@hooks.acme.dev/',
    'https://hooks.acme.dev@127.0.0.1/',
    // Addresses, in every spelling that a URL parser takes for one.
    'https://127.0.0.1/',
    'https://10.0.0.1/',
    'https://93.184.216.34/',
    'https://0x7f.1/',
    'https://017700000001/',
    'https://2130706433/',
    'https://127.1/',
    'https://0/',
    'https://0x7f000001/',
    'https://127.0.0.1./',
    'https://１２７.0.0.1/',
    'https://127。0。0。1/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[fe80::1%25eth0]/',
    'https://[fd00::1]/',
    // Names that are nobody's but the network's own.
    'https://localhost/',
    'https://localhost./',
    'https://foo.localhost/',
    'https://hooks/',
    'https://hooks./',
    'https://printer.local/',
    'https://db.internal/',
    'https://metadata.google.internal/',
    'https://nas.lan/',
    'https://x.home.arpa/',
    'https://x.corp/',
    'https://x.onion/',
    // What a parser would drop without a word.
    'https://hooks.acme.dev/\n',
    'https://hooks.acme\t.dev/',
    ' https://hooks.acme.dev/',
    'https://hooks.acme.dev\\@127.0.0.1/',
    'https:\\\\hooks.acme.dev/',
    'https://hooks.acme.dev/#x',
    'https://hooks.acme.dev/#',
    'https://hooks..acme.dev/',
    'https://-hooks.acme.dev/',
    'https://hooks.acme.dev%00.evil.dev/',
    // This service.
    'https://relay.acme.dev/v1/emails',
    'https://RELAY.acme.dev./',
    `https://hooks.acme.dev/${'x'.repeat(2000)}`,
  ])('%j', (text) => {
    expect(checkEndpointUrl(text, strict)).toEqual({ ok: false, reason: expect.stringMatching(/^must /) });
  });
});

describe('where private endpoints are allowed', () => {
  test.each(['http://127.0.0.1:8080/x', 'http://localhost/', 'https://127.0.0.2:1/', 'http://[::1]:3000/'])(
    '%s is the loopback',
    (text) => {
      expect(checkEndpointUrl(text, { allowPrivate: true })).toMatchObject({ ok: true });
      expect(checkEndpointUrl(text, { allowPrivate: false })).toMatchObject({ ok: false });
    },
  );

  test.each([
    'http://hooks.acme.dev/',
    'http://10.0.0.1/',
    'http://169.254.169.254/',
    'https://db.internal/',
  ])('%s stays refused', (text) => {
    expect(checkEndpointUrl(text, { allowPrivate: true })).toMatchObject({ ok: false });
  });
});
