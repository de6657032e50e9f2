/** The same client against servers that other people wrote. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as net from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { openSession } from '../../src/smtp/session.ts';
import type { AuthMethod, SessionOptions, TlsMode } from '../../src/smtp/types.ts';
import { connectNode } from '../support/node-transport.ts';
import { makeTestCa } from '../support/test-ca.ts';
import { bytesOf, envelopeTo, faultOf, PATIENT, sendOne } from './open-test-session.ts';

const ca = makeTestCa();
afterAll(() => ca?.dispose());

async function openTo(port: number, options: Partial<SessionOptions> & { tls: TlsMode }) {
  const transport = await connectNode(
    { host: 'localhost', port, tls: options.tls },
    ca ? { ca: ca.caPem } : {},
  );
  onTestFinished(() => transport.close());
  return openSession(transport, { ehloName: 'client.test', timeouts: PATIENT, ...options });
}

describe('npm smtp-server', () => {
  const account = { username: 'jürgen', secret: 'päss wörd' };

  async function start(options: SMTPServerOptions) {
    const received: string[] = [];
    const server = new SMTPServer({
      authMethods: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'],
      authOptional: true,
      disableReverseLookup: true,
      onAuth({ method, username, password, accessToken, validatePassword }, _session, done) {
        // CRAM-MD5 has no password to compare, only a way to check one.
        const right =
          method === 'CRAM-MD5'
            ? validatePassword(account.secret)
            : [password, accessToken].includes(account.secret);
        if (username === account.username && right) done(null, { user: 'me' });
        else done(new Error('Wrong.'));
      },
      onRcptTo({ address }, _session, done) {
        done(address.startsWith('gone') ? Object.assign(new Error('gone'), { responseCode: 550 }) : null);
      },
      onData(stream, _session, done) {
        const chunks: Uint8Array[] = [];
        stream.on('data', (chunk: Uint8Array) => chunks.push(chunk));
        stream.on('end', () => {
          received.push(Buffer.concat(chunks).toString());
          done(null, 'stored');
        });
      },
      ...options,
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const address = server.server.address();
    if (address === null || typeof address === 'string') throw new Error('The server has no port.');
    return { port: address.port, received };
  }

  test('takes several messages on one session, refused recipients between them', async () => {
    const { port, received } = await start({ disabledCommands: ['STARTTLS', 'AUTH'] });
    const session = await openTo(port, { tls: 'none' });
    expect(session.capabilities.pipelining).toBe(true);
    await sendOne(session, '.one\r\n');
    const refused = session.begin(envelopeTo('gone@y.example'));
    session.flush();
    await expect(refused.envelope).resolves.toMatchObject({ recipients: [{ code: 550 }], ready: false });
    const mixed = session.begin(envelopeTo('gone@y.example', 'a@y.example'));
    session.flush();
    await expect(mixed.envelope).resolves.toMatchObject({
      recipients: [{ code: 550 }, { code: 250 }],
      ready: true,
    });
    await mixed.write(bytesOf('two\r\n.\r\n..three'));
    const reply = mixed.finish();
    session.flush();
    await expect(reply).resolves.toMatchObject({ code: 250 });
    await session.quit();
    expect(await session.ended).toBeUndefined();
    expect(received).toEqual(['.one\r\n', 'two\r\n.\r\n..three\r\n']);
  });

  describe.skipIf(ca === undefined)('over TLS (needs the openssl command)', () => {
    const secure = { key: ca?.key, cert: ca?.cert } as { key: string; cert: string };
    const methods: Exclude<AuthMethod, 'auto'>[] = ['plain', 'login', 'cram-md5', 'xoauth2'];
    const cells = (['starttls', 'implicit'] as const).flatMap((tls) =>
      methods.map((method) => [tls, method] as const),
    );

    test.each(cells)(
      '%s and AUTH %s: in with the right secret, out with a wrong one',
      async (tls, method) => {
        const { port, received } = await start({ ...secure, secure: tls === 'implicit' });
        const session = await openTo(port, { tls, credentials: { ...account, method } });
        await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
        await session.quit();
        expect(received).toHaveLength(1);
        const refused = openTo(port, { tls, credentials: { ...account, secret: 'wrong', method } });
        expect(await faultOf(refused)).toMatchObject({ stage: 'auth', kind: 'reply', reply: { code: 535 } });
      },
    );
  });
});

function findSmtpSink(): string | undefined {
  if (existsSync('/usr/sbin/smtp-sink')) return '/usr/sbin/smtp-sink';
  try {
    return execFileSync('sh', ['-c', 'command -v smtp-sink'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

const smtpSink = findSmtpSink();

describe.skipIf(smtpSink === undefined)('Postfix smtp-sink (needs the smtp-sink command)', () => {
  async function start(...flags: string[]): Promise<number> {
    const port = await freePort();
    const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const sink: ChildProcess = spawn(smtpSink ?? '', [...user, ...flags, `127.0.0.1:${port}`, '10'], {
      stdio: 'ignore',
    });
    onTestFinished(() => void sink.kill());
    await accepting(port);
    return port;
  }

  const open = async (port: number) => {
    const transport = await connectNode({ host: '127.0.0.1', port, tls: 'none' });
    onTestFinished(() => transport.close());
    return openSession(transport, { ehloName: 'client.test', timeouts: PATIENT, tls: 'none' });
  };

  test('takes many messages on one pipelined session', async () => {
    const session = await open(await start());
    expect(session.capabilities.pipelining).toBe(true);
    for (let sent = 0; sent < 20; sent++) expect(await sendOne(session)).toMatchObject({ code: 250 });
    await session.quit();
    expect(await session.ended).toBeUndefined();
  });

  test('gets one command at a time where PIPELINING is off', async () => {
    const session = await open(await start('-p'));
    expect(session.capabilities.pipelining).toBe(false);
    for (let sent = 0; sent < 3; sent++) expect(await sendOne(session)).toMatchObject({ code: 250 });
    await session.quit();
  });

  test.each([
    ['-q', '.', { stage: 'dot', kind: 'closed' }],
    ['-q', 'RCPT', { stage: 'rcpt', kind: 'closed' }],
    ['-q', 'MAIL', { stage: 'mail', kind: 'closed' }],
  ])('%s %s is a fault at that place', async (flag, place, expected) => {
    const session = await open(await start(flag, place));
    expect(await faultOf(sendOne(session))).toMatchObject(expected);
  });

  test.each([
    ['-Q', 421],
    ['-r', 450],
    ['-f', 500],
  ])('%s . is the reply to the dot', async (flag, code) => {
    const session = await open(await start(flag, '.'));
    expect(await sendOne(session)).toMatchObject({ code });
  });

  test('the verdict of a refused RCPT is told, and the session goes on', async () => {
    const session = await open(await start('-f', 'RCPT'));
    for (let sent = 0; sent < 2; sent++) {
      const transaction = session.begin(envelopeTo('a@y.example'));
      session.flush();
      const verdict = await transaction.envelope;
      expect(verdict.recipients).toMatchObject([{ code: 500 }]);
      expect(verdict.ready).toBe(false);
      if (!session.alive) break;
    }
  });
});

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves once something accepts connections there. */
async function accepting(port: number): Promise<void> {
  for (;;) {
    const up = await new Promise<boolean>((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
