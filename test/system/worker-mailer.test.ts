/**
 * Why this project has an SMTP session of its own (docs/decisions/0001-own-smtp-session.md). Every test holds
 * a fault of worker-mailer 1.2.1 as it shows in workerd: one that fails says that a release mended it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type SendRuntime, startSendRuntime } from './worker-mailer/runtime.ts';
import type { SendRequest } from './worker-mailer/send-worker.ts';
import { type SmtpScript, type SmtpServer, startSmtpServer } from './worker-mailer/smtp-server.ts';

/** Far above the time limit the package is given, and the end of our patience. */
const PATIENCE_MS = 1_000;
const UNANSWERED = 'no answer';

let runtime: SendRuntime;
const servers: SmtpServer[] = [];

beforeAll(async () => {
  runtime = await startSendRuntime();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
afterAll(() => runtime.dispose());

async function listen(script: SmtpScript = {}): Promise<SmtpServer> {
  const server = await startSmtpServer(script);
  servers.push(server);
  return server;
}

interface Given {
  readonly options?: Partial<SendRequest['options']>;
  readonly message?: Partial<SendRequest['message']>;
}

function requestTo(server: SmtpServer, given: Given = {}): SendRequest {
  const message = { from: 'sender@a.test', to: 'one@b.test', subject: 'Hello', text: 'Hello.' };
  return {
    options: { host: '127.0.0.1', port: server.port, startTls: false, ...given.options },
    message: { ...message, ...given.message },
  };
}

test('the package under test says that it is worker-mailer 1.2.1', async () => {
  const path = join(import.meta.dirname, '../../node_modules/worker-mailer/package.json');
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ name: 'worker-mailer', version: '1.2.1' });
});

test('worker-mailer 1.2.1 still delivers a plain message, so what follows is not the fault of this set-up', async () => {
  const server = await listen();
  expect(await runtime.send(requestTo(server))).toEqual({ returned: 'undefined' });
  expect(server.messages).toHaveLength(1);
  expect(server.messages[0]).toContain('\r\nSubject: Hello\r\n');
});

test('worker-mailer 1.2.1 still writes a BCC header that every recipient can read', async () => {
  const server = await listen();
  await runtime.send(requestTo(server, { message: { bcc: 'hidden@c.test' } }));
  expect(server.commands).toContain('RCPT TO: <hidden@c.test>');
  expect(server.messages[0]).toContain('\r\nBCC: hidden@c.test\r\n');
});

test('worker-mailer 1.2.1 still lets a line break in the subject add a header', async () => {
  const server = await listen();
  await runtime.send(requestTo(server, { message: { subject: 'Hello\r\nX-Injected: yes' } }));
  const header = server.messages[0]?.split('\r\n\r\n')[0]?.split('\r\n');
  expect(header).toContain('Subject: Hello');
  expect(header).toContain('X-Injected: yes');
});

test('worker-mailer 1.2.1 still lets a line break in an address add an SMTP command', async () => {
  const server = await listen();
  const to = 'one@b.test>\r\nRCPT TO: <smuggled@c.test';
  await runtime.send(requestTo(server, { message: { to, headers: { To: 'one@b.test' } } }));
  expect(server.commands).toContain('RCPT TO: <smuggled@c.test>');
});

test('worker-mailer 1.2.1 still sends the password in clear text where STARTTLS was asked for and is not offered', async () => {
  const server = await listen({ capabilities: ['AUTH PLAIN'] });
  const credentials = { username: 'user', password: 'secret' };
  const answer = await runtime.send(
    requestTo(server, { options: { startTls: true, credentials, authType: 'plain' } }),
  );
  expect(answer).toEqual({ returned: 'undefined' });
  expect(server.commands).not.toContain('STARTTLS');
  expect(server.commands).toContain(`AUTH PLAIN ${btoa('\0user\0secret')}`);
  expect(server.messages).toHaveLength(1);
});

test('worker-mailer 1.2.1 still gives up on three recipients when one is refused, and says so in a text only', async () => {
  const server = await listen({
    reply: (line) => (line.includes('two@b.test') ? '550 5.1.1 no such user' : undefined),
  });
  const to = ['one@b.test', 'two@b.test', 'three@b.test'];
  expect(await runtime.send(requestTo(server, { message: { to } }))).toEqual({
    error: { text: 'Invalid RCPT TO: <two@b.test> 550 5.1.1 no such user\r\n', fields: [] },
  });
  expect(server.messages).toEqual([]);
  expect(server.commands).not.toContain('RCPT TO: <three@b.test>');
  expect(server.commands).not.toContain('DATA');
});

test('worker-mailer 1.2.1 still waits for the server 8 times for one message, though PIPELINING is offered', async () => {
  const server = await listen({ capabilities: ['PIPELINING', '8BITMIME', 'SIZE 1000000'] });
  await runtime.send(requestTo(server));
  expect(server.commands.map((line) => line.slice(0, 4))).toEqual(['EHLO', 'MAIL', 'RCPT', 'DATA', 'QUIT']);
  // The banner, one reply for each of the five commands and one for the message; the handshake of TCP is the eighth.
  expect(server.turns() + 1).toBe(8);
});

test('worker-mailer 1.2.1 still hangs, and its isolate with it, when the server closes the connection', async () => {
  const server = await listen({ endAfter: (line) => line.startsWith('MAIL') });
  const wedged = await startSendRuntime();
  try {
    expect(await wedged.alive()).toBe('alive');
    const sent = wedged.send(
      requestTo(server, { options: { socketTimeoutMs: 100, responseTimeoutMs: 100 } }),
    );
    // Stopping the runtime fails both requests, which is not an answer of the package.
    const outcome = sent.catch(() => UNANSWERED);
    await server.ended;
    expect(await Promise.race([outcome, after(PATIENCE_MS, UNANSWERED)])).toBe(UNANSWERED);
    const other = wedged.alive().catch(() => UNANSWERED);
    expect(await Promise.race([other, after(PATIENCE_MS, UNANSWERED)])).toBe(UNANSWERED);
  } finally {
    await wedged.dispose();
  }
});
