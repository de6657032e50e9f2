import { afterAll, describe, expect, test } from 'vitest';
import { CommandError } from '../../src/smtp/command.ts';
import type { AuthMethod, TlsMode } from '../../src/smtp/types.ts';
import { makeTestCa } from '../support/test-ca.ts';
import { faultOf, openTestSession, prepare, sendOne } from './open-test-session.ts';

const ca = makeTestCa();
afterAll(() => ca?.dispose());

const account = { username: 'jürgen@x.example', secret: 'päss wörd' };
const METHODS: Exclude<AuthMethod, 'auto'>[] = ['plain', 'login', 'cram-md5', 'xoauth2'];
const ALL = ['CRAM-MD5', 'LOGIN', 'PLAIN', 'XOAUTH2'];

describe('the introduction', () => {
  test('reads the capabilities', async () => {
    const { session } = await openTestSession({
      server: { extensions: ['SIZE 1000', '8BITMIME'], pipelining: false },
    });
    expect(session.capabilities).toMatchObject({
      size: 1000,
      eightBitMime: true,
      pipelining: false,
      smtpUtf8: false,
    });
  });

  test('falls back to HELO where EHLO is not known and nothing is insisted on', async () => {
    const { server, session } = await openTestSession({
      server: { hooks: { EHLO: () => '502 5.5.1 what' } },
    });
    expect(session.capabilities.keywords).toEqual([]);
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
    expect(server.connections[0]?.commands.slice(0, 3)).toEqual([
      'EHLO client.test',
      'HELO client.test',
      'MAIL FROM:<from@x.example>',
    ]);
  });

  test.each([
    ['credentials', { credentials: { ...account, method: 'auto' as const } }],
    ['STARTTLS', { tls: 'starttls' as const }],
  ])('does not fall back to HELO where %s are needed', async (_title, session) => {
    const { open, server } = await prepare({ server: { hooks: { EHLO: () => '502 what' } }, session });
    expect(await faultOf(open())).toMatchObject({ stage: 'ehlo', kind: 'reply', reply: { code: 502 } });
    expect(server.connections[0]?.commands).toEqual(['EHLO client.test', 'QUIT']);
  });

  test.each(['421 4.3.2 busy', '554 5.7.1 go away', '450 later'])(
    'a banner of %s is a fault with its reply',
    async (banner) => {
      const { open, transport } = await prepare({ server: { hooks: { BANNER: () => banner } } });
      const reply = { code: Number(banner.slice(0, 3)) };
      expect(await faultOf(open())).toMatchObject({ stage: 'banner', kind: 'reply', reply });
      expect(transport.closed).toBe(true);
    },
  );

  test('a server that says more than its banner is a fault', async () => {
    const { open } = await prepare({
      server: { hooks: { BANNER: () => ({ raw: '220 hi\r\n250 hello\r\n' }) } },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'banner', kind: 'protocol' });
  });

  test('a name that fits no command line is refused before it is sent', async () => {
    const { open, transport } = await prepare({ session: { ehloName: 'x\r\nMAIL FROM:<a@x.example>' } });
    await expect(open()).rejects.toThrow(CommandError);
    expect(transport.closed).toBe(true);
    expect(Buffer.concat(transport.writes).toString()).not.toContain('MAIL');
  });
});

describe('AUTH', () => {
  test.each(METHODS)('%s logs in, and the transcript keeps the secret', async (method) => {
    const { session, transcript, transport } = await openTestSession({
      server: { auth: { methods: ALL, ...account } },
      session: { credentials: { ...account, method } },
    });
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
    const wire = Buffer.concat(transport.writes).toString();
    const tokens: string[] = wire
      .split(/[\r\n ]+/)
      .filter((token: string) => /^[A-Za-z0-9+/]{16,}=*$/.test(token));
    expect(tokens.length).toBeGreaterThan(0);
    for (const token of tokens) expect(transcript.join('\n')).not.toContain(token);
    expect(transcript).toContainEqual(expect.stringMatching(/^C: (AUTH \S+ )?\*\*\*$/));
  });

  test.each(METHODS)('%s with a wrong password is a fault with the reply', async (method) => {
    const { open, server } = await prepare({
      server: { auth: { methods: ALL, ...account } },
      session: { credentials: { ...account, secret: 'wrong', method } },
    });
    expect(await faultOf(open())).toMatchObject({
      stage: 'auth',
      kind: 'reply',
      reply: { code: 535, enhanced: '5.7.8' },
    });
    expect(server.connections[0]?.commands.at(-1)).toBe('QUIT');
    if (method === 'xoauth2') expect(server.connections[0]?.commands.at(-2)).toBe('');
  });

  test('is a fault where it is not offered, with no secret on the wire', async () => {
    const { open, server } = await prepare({ session: { credentials: { ...account, method: 'auto' } } });
    expect(await faultOf(open())).toMatchObject({ stage: 'auth', kind: 'unsupported' });
    expect(server.connections[0]?.commands).toEqual(['EHLO client.test', 'QUIT']);
  });

  test.each([...METHODS])('%s does not follow a server that asks for ever', async (method) => {
    const endless = () => '334 ';
    const { open } = await prepare({
      server: { auth: { methods: ALL, ...account }, hooks: { AUTH: endless, RESPONSE: endless } },
      session: { credentials: { ...account, method } },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'auth', kind: 'protocol' });
  });

  test('a temporary refusal keeps its reply', async () => {
    const { open } = await prepare({
      server: { auth: { methods: ALL, ...account }, hooks: { AUTH: () => '454 4.7.0 later' } },
      session: { credentials: { ...account, method: 'plain' } },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'auth', kind: 'reply', reply: { code: 454 } });
  });
});

describe('STARTTLS', () => {
  const credentials = { ...account, method: 'auto' as const };

  test('stripped from the offer: neither AUTH nor MAIL goes out in clear', async () => {
    const { open, server } = await prepare({
      server: { auth: { methods: ALL, ...account } },
      session: { tls: 'starttls', credentials },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'starttls', kind: 'unsupported' });
    await server.connections[0]?.closed;
    expect(server.connections[0]?.wire).toBe('EHLO client.test\r\nQUIT\r\n');
  });

  test.each(['454 4.7.0 no TLS now', '500 what'])(
    'refused with %s: nothing but QUIT follows',
    async (reply) => {
      const { open, server } = await prepare({
        server: { extensions: ['STARTTLS'], hooks: { STARTTLS: () => reply } },
        session: { tls: 'starttls', credentials },
      });
      expect(await faultOf(open())).toMatchObject({ stage: 'starttls', kind: 'reply' });
      await server.connections[0]?.closed;
      expect(server.connections[0]?.wire).toBe('EHLO client.test\r\nSTARTTLS\r\nQUIT\r\n');
    },
  );

  test.each([
    ['a whole reply', '250 AUTH PLAIN\r\n'],
    ['a part of a reply', '250-inj'],
    ['something else', '\x16\x03\x01'],
    ['bytes that are no reply', 'EHLO\r\n'],
  ])('with %s behind the 220 is a fault, before any handshake', async (_title, injected) => {
    const { open, server } = await prepare({
      server: { extensions: ['STARTTLS'], hooks: { STARTTLS: () => ({ raw: `220 go\r\n${injected}` }) } },
      session: { tls: 'starttls', credentials },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'starttls', kind: 'protocol' });
    expect(server.connections[0]?.wire).toBe('EHLO client.test\r\nSTARTTLS\r\n');
  });

  test('a server that promises TLS and hangs up is a fault of the handshake', async () => {
    const { open } = await prepare({
      server: { extensions: ['STARTTLS'], hooks: { STARTTLS: () => ({ close: true, say: '220 go\r\n' }) } },
      session: { tls: 'starttls', credentials },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'tls', kind: 'broken' });
  });
});

describe.skipIf(ca === undefined)('TLS (needs the openssl command)', () => {
  const modes: TlsMode[] = ['starttls', 'implicit'];

  test.each(modes)('%s protects AUTH and the message', async (tls) => {
    const { server, session } = await openTestSession({
      ca,
      server: { tls, auth: { methods: ALL, ...account } },
      session: { credentials: { ...account, method: 'auto' } },
    });
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
    await session.quit();
    const [connection] = server.connections;
    expect(Buffer.concat(connection?.receivedInClear ?? []).toString()).toBe(
      tls === 'starttls' ? 'EHLO client.test\r\nSTARTTLS\r\n' : '',
    );
    expect(connection?.commands.some((line) => line.startsWith('AUTH PLAIN '))).toBe(true);
  });

  test('only what was offered inside TLS counts', async () => {
    const { open } = await prepare({
      ca,
      server: {
        tls: 'starttls',
        hooks: {
          EHLO: (connection) => (connection.secure ? '250 bare' : '250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN'),
        },
      },
      session: { credentials: { ...account, method: 'auto' } },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'auth', kind: 'unsupported' });
  });

  test('an untrusted certificate is a fault of the handshake, with nothing sent after it', async () => {
    const { open, server } = await prepare({ ca, trust: false, server: { tls: 'starttls' } });
    expect(await faultOf(open())).toMatchObject({ stage: 'tls', kind: 'broken' });
    expect(server.connections[0]?.commands).toEqual(['EHLO client.test', 'STARTTLS']);
  });
});
