/**
 * TLS to upstreams, and what is said where it fails: nothing. The relay runs in a process of its own that trusts
 * a throw-away CA; the bytes on the wire are those that the server read.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openAccount } from '../support/api-client.ts';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.ts';
import { ADMIN_TOKEN } from '../support/relay-under-test.ts';
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from '../support/scripted-smtp-server.ts';
import { makeTestCa } from '../support/test-ca.ts';

const email = {
  from: 'Sender <sender@example.com>',
  to: 'one@example.net',
  subject: 'A subject',
  text: 'A text',
};
const credentials = { username: 'sender@example.com', secret: 'correct-horse-battery-staple' };
const METHODS = { plain: 'PLAIN', login: 'LOGIN', 'cram-md5': 'CRAM-MD5', xoauth2: 'XOAUTH2' } as const;
/** What tells of a password: it, and its base64 alone, after `\0user\0`, and in XOAUTH2. */
const TELLTALE = [
  credentials.secret,
  Buffer.from(credentials.secret).toString('base64'),
  Buffer.from(`\0${credentials.username}\0${credentials.secret}`).toString('base64'),
  Buffer.from(`user=${credentials.username}\x01auth=Bearer ${credentials.secret}\x01\x01`).toString('base64'),
  ...[0, 1, 2].map((phase) =>
    Buffer.from(credentials.secret.slice(phase, phase + 18))
      .toString('base64')
      .replace(/=+$/, ''),
  ),
];

const ca = makeTestCa();
const stranger = makeTestCa();

describe.skipIf(!ca || !stranger)('a relay with TLS', () => {
  let relay: RelayProcess;

  beforeAll(async () => {
    relay = await startRelayProcess({
      settings: { SESSION_IDLE_MS: '100', RETRY_FIRST_MS: '60000', WATCHDOG_MS: '30000' },
      env: { NODE_EXTRA_CA_CERTS: ca?.caPath ?? '' },
    });
  });

  afterAll(async () => {
    await relay.stop();
    ca?.dispose();
    stranger?.dispose();
  });

  async function start(
    options: ScriptedServerOptions & { tls: 'starttls' | 'implicit' | 'none' },
    wanted: { tls?: string; auth?: string } = {},
  ) {
    const smtp = await startScriptedServer({
      ...(ca && { certificate: { key: ca.key, cert: ca.cert } }),
      auth: { methods: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'], ...credentials },
      ...options,
    });
    onTestFinished(() => smtp.close());
    const { client } = await openAccount(relay.url, ADMIN_TOKEN, {
      relay: {
        host: 'localhost',
        port: smtp.port,
        tls: options.tls,
        username: credentials.username,
        password: credentials.secret,
        ...wanted,
      },
    });
    const { body: relays } = await client.get('/v1/relays');
    const verify = async () => (await client.post(`/v1/relays/${relays.data[0].id}/verify`)).body;
    const deliver = async (status: string) => {
      const sent = await client.post('/v1/emails', email);
      const found = await client.until(`/v1/emails/${sent.body.id}`, ({ deliveries }) =>
        ['delivered', 'deferred', 'failed'].includes(deliveries[0].status),
      );
      expect(found.deliveries[0]).toMatchObject({ status });
      return found;
    };
    return { smtp, verify, deliver };
  }

  /** Neither credentials nor anything of a message was said on any connection so far. */
  function expectSilence(smtp: ScriptedServer): void {
    expect(smtp.messages).toHaveLength(0);
    for (const connection of smtp.connections) {
      for (const heard of [connection.wire, Buffer.concat(connection.receivedInClear).toString('latin1')]) {
        for (const text of TELLTALE) expect(heard).not.toContain(text);
        expect(heard).not.toMatch(/^(?:AUTH|MAIL|RCPT|DATA)\b/im);
        expect(heard).not.toContain('example.net');
      }
    }
  }

  function expectRedacted(verification: unknown): void {
    for (const text of TELLTALE) expect(JSON.stringify(verification)).not.toContain(text);
  }

  describe.each(['starttls', 'implicit'] as const)('%s', (tls) => {
    test.each(Object.entries(METHODS))('logs in with %s, and delivers', async (auth, method) => {
      const { smtp, verify, deliver } = await start({ tls }, { auth });
      const verification = await verify();
      expect(verification).toMatchObject({ object: 'relay_verification', ok: true });
      expect(verification.capabilities).toEqual(expect.arrayContaining(['PIPELINING', '8BITMIME']));
      expect(verification.transcript[0]).toMatch(/^S: 220 /);
      expect(verification.transcript.join('\n')).toMatch(new RegExp(`^C: AUTH ${method}`, 'm'));
      expect(verification.transcript.join('\n')).toMatch(/^S: 235 /m);
      expectRedacted(verification);
      const found = await deliver('delivered');
      expect(JSON.stringify(found)).not.toContain(credentials.secret);
      expect(smtp.messages).toHaveLength(1);
      for (const connection of smtp.connections) {
        expect(connection.secure).toBe(true);
        const clear = Buffer.concat(connection.receivedInClear).toString('latin1');
        expect(clear).toBe(tls === 'starttls' ? 'EHLO relay.test\r\nSTARTTLS\r\n' : '');
        expect(connection.commands.filter((line) => line.startsWith('AUTH '))).toEqual([
          expect.stringMatching(new RegExp(`^AUTH ${method}\\b`)),
        ]);
      }
    });

    test('says nothing to a server whose certificate nobody signed for us, and mail waits', async () => {
      const certificate = { key: stranger?.key ?? '', cert: stranger?.cert ?? '' };
      const { smtp, verify, deliver } = await start({ tls, certificate });
      const verification = await verify();
      expect(verification).toMatchObject({ ok: false, stage: tls === 'starttls' ? 'tls' : 'connect' });
      expectRedacted(verification);
      const found = await deliver('deferred');
      expect(found.deliveries[0]).toMatchObject({ attempts: 0, next_attempt_at: expect.any(String) });
      // With implicit TLS the handshake fails before there is a connection to speak on.
      if (tls === 'starttls') expect(smtp.connections.length).toBeGreaterThan(0);
      expectSilence(smtp);
    });

    test('keeps mail waiting where the password is wrong, and repeats it to nobody', async () => {
      const { smtp, verify, deliver } = await start({
        tls,
        auth: { methods: ['PLAIN'], username: credentials.username, secret: 'another' },
        hooks: { MAIL: () => '530 5.7.0 authentication required' },
      });
      const verification = await verify();
      expect(verification).toMatchObject({ ok: false, stage: 'auth', error: expect.stringContaining('535') });
      expectRedacted(verification);
      const found = await deliver('deferred');
      expect(found.deliveries[0]).toMatchObject({ attempts: 0 });
      expect(smtp.messages).toHaveLength(0);
      const heard = smtp.connections.map(({ commands }) => commands.join('\n')).join('\n');
      expect(heard).not.toMatch(/^(?:MAIL|RCPT)/m);
    });
  });

  test.each<[string, ScriptedServerOptions & { tls: 'none' | 'starttls' }]>([
    ['is not offered', { tls: 'none' }],
    [
      'is offered and refused with 454',
      { tls: 'starttls', hooks: { STARTTLS: () => '454 4.7.0 not available' } },
    ],
    [
      'is offered and refused with 502',
      { tls: 'starttls', hooks: { STARTTLS: () => '502 5.5.1 not implemented' } },
    ],
    [
      'is answered with something that is no TLS',
      { tls: 'starttls', hooks: { STARTTLS: () => ({ raw: '220 go\r\nnot TLS\r\n' }) } },
    ],
    ['ends the connection', { tls: 'starttls', hooks: { STARTTLS: () => ({ close: true }) } }],
  ])('where STARTTLS %s, neither credentials nor mail leave, and mail waits', async (_name, options) => {
    const { smtp, verify, deliver } = await start(options, { tls: 'starttls' });
    const verification = await verify();
    expect(verification).toMatchObject({ ok: false, stage: expect.stringMatching(/^(?:starttls|tls)$/) });
    expect(verification.transcript[0]).toMatch(/^S: 220 /);
    expectRedacted(verification);
    const found = await deliver('deferred');
    expect(found.last_event).toBe('delivery_delayed');
    expect(found.deliveries[0]).toMatchObject({ attempts: 0, next_attempt_at: expect.any(String) });
    expect(smtp.connections).toHaveLength(2);
    expectSilence(smtp);
  });

  test('what a server says before TLS does not count afterwards', async () => {
    // Injected behind the 220: a client that keeps its buffer would take it for an answer inside TLS.
    const { smtp, deliver } = await start({
      tls: 'starttls',
      hooks: {
        STARTTLS: (connection) => {
          connection.say('220 2.0.0 go ahead\r\n250-injected\r\n250 AUTH PLAIN\r\n');
          return { silent: true };
        },
      },
    });
    await deliver('deferred');
    expect(smtp.connections).toHaveLength(1);
    expectSilence(smtp);
  });
});
