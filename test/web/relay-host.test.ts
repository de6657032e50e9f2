import { describe, expect, it } from 'vitest';
import { defaultTlsFor, refusedPortReason } from '../../src/smtp/relay-port.ts';
import { checkRelayHost, hostNameOf } from '../../src/web/relay-host.ts';

const publicOnly = (host: string) => checkRelayHost(host, { allowPrivate: false });

const ADDRESSES = [
  '127.0.0.1',
  '10.0.0.1',
  '8.8.8.8',
  '0x7f.1',
  '0x7f000001',
  '017700000001',
  '2130706433',
  '127.1',
  '0',
  '1.2.3',
  '[::1]',
  '::1',
  '[::ffff:127.0.0.1]',
  '::ffff:127.0.0.1',
  '[::]',
  'fe80::1%eth0',
  '[fe80::1%25eth0]',
  '64:ff9b::7f00:1',
  '127.0.0.1.',
  '１２７.0.0.1',
  '127。0。0。1',
  '①②⑦.0.0.1',
  '0x7F.0.0.0x1',
  'smtp.example.0x1',
  'smtp.example.1',
];

describe('the host of a relay', () => {
  it('is a full public name, in lower-case A-labels', () => {
    for (const [text, host] of [
      ['smtp.example.com', 'smtp.example.com'],
      ['SMTP.Example.COM', 'smtp.example.com'],
      ['smtp.bücher.dev', 'smtp.xn--bcher-kva.dev'],
      ['xn--bcher-kva.dev', 'xn--bcher-kva.dev'],
      ['email-smtp.eu-west-1.amazonaws.com', 'email-smtp.eu-west-1.amazonaws.com'],
      ['1.2.3.4.nip.dev', '1.2.3.4.nip.dev'],
    ] as const) {
      expect(publicOnly(text)).toEqual({ ok: true, host });
    }
  });

  it('is never an address, in no spelling', () => {
    for (const host of ADDRESSES) expect([host, publicOnly(host).ok]).toEqual([host, false]);
  });

  it('is never a private, single or metadata name', () => {
    for (const host of [
      'localhost',
      'LOCALHOST',
      'mail.localhost',
      'printer.local',
      'smtp.internal',
      'metadata.google.internal',
      'metadata.azure.com',
      'mail',
      'a.lan',
      'x.home.arpa',
      'smtp.acme.example',
      'smtp.acme.test',
      'metadata',
      'ｌocalhost',
    ]) {
      expect([host, publicOnly(host).ok]).toEqual([host, false]);
    }
  });

  it('carries nothing that ends a host or a command', () => {
    for (const host of [
      '',
      '.',
      'a..b',
      '.acme.dev.com',
      'acme.dev.',
      'a b.acme.dev',
      'smtp.acme.dev.com:25',
      'u@smtp.acme.dev.com',
      'smtp.acme.dev.com/x',
      'smtp.acme.dev.com?x',
      'smtp.acme.dev.com#x',
      'smtp.acme.dev.com\\x',
      'smtp.acme.dev.com\r\nRSET',
      'smtp.acme.dev.com\0',
      '-a.acme.dev',
      'a-.acme.dev',
      'a_b.acme.dev',
      `${'a'.repeat(64)}.acme.dev`,
      `${'a.'.repeat(127)}dev`,
      'smtp%2eacme.dev',
      'a\u200bb.acme.dev',
      'a\u202eb.acme.dev',
    ]) {
      expect([host, publicOnly(host).ok]).toEqual([host, false]);
    }
  });

  it('may be loopback, private or single where the deployment allows it', () => {
    for (const host of ['localhost', '127.0.0.1', '10.1.2.3', 'mailpit', 'smtp.internal']) {
      expect(checkRelayHost(host, { allowPrivate: true })).toEqual({ ok: true, host });
    }
    for (const host of ['256.1.1.1', '127.1', '0x7f.1', '1.2.3.4.', 'a b', '127.0.0.1\n']) {
      expect([host, checkRelayHost(host, { allowPrivate: true }).ok]).toEqual([host, false]);
    }
  });

  it('gives the name of a domain its one form', () => {
    expect(hostNameOf('Bücher.Example')).toBe('xn--bcher-kva.example');
    expect(hostNameOf('127.0.0.1')).toBeUndefined();
  });
});

describe('the port of a relay', () => {
  it('is one of submission, or high', () => {
    for (const port of [465, 587, 1024, 1025, 2525, 2587, 65535])
      expect(refusedPortReason(port)).toBeUndefined();
    for (const port of [0, 1, 22, 24, 80, 443, 1023, 65536])
      expect(refusedPortReason(port)).toMatch(/must be/);
    expect(refusedPortReason(25)).toMatch(/blocked by the platform/);
  });

  it('decides the TLS mode where none is given', () => {
    expect([465, 587, 2525].map(defaultTlsFor)).toEqual(['implicit', 'starttls', 'starttls']);
  });
});
