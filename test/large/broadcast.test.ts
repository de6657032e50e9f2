/**
 * A broadcast to 50,000 over two `kill -9`: nobody is left out, nobody gets two. What was at its final dot when the
 * process died is held, and settled by what the SMTP server says it has.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RelayServer, startRelayServer } from '../faults/relay-server.ts';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN } from '../support/relay-under-test.ts';

const CONTACTS = 50_000;
const SHARDS = 2;
const SESSIONS = 4;
/** Killed as soon as so many arrived. */
const KILLS = [15_000, 35_000];
/** So long a server takes to store a message: most sessions are at a dot when the process dies. */
const STORING_MS = 5;

interface Email {
  readonly id: string;
  readonly to: readonly [string];
  readonly last_event: string;
}

/** Whom the SMTP server has mail for, and how many copies. */
const stored = new Map<string, number>();
let server: RelayServer;
let smtp: SMTPServer;
let onStored = () => {};

beforeAll(async () => {
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    onData(stream, session, done) {
      stream.resume();
      stream.on('end', () => {
        for (const { address } of session.envelope.rcptTo)
          stored.set(address, (stored.get(address) ?? 0) + 1);
        onStored();
        setTimeout(done, STORING_MS);
      });
    },
  });
  // Connections that die with the process.
  smtp.on('error', () => {});
  smtp.server.on('connection', (socket) => socket.setNoDelay(true));
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  const settings = {
    RETRY_FIRST_MS: '100',
    RETRY_MAX_MS: '300',
    WATCHDOG_MS: '300',
    SESSIONS_PER_RELAY: String(SESSIONS),
  };
  server = await startRelayServer({ settings, env: {} });
}, 60_000);

afterAll(async () => {
  await server.stop();
  await new Promise<void>((resolve) => smtp.close(resolve));
});

test(`reaches each of ${CONTACTS} contacts exactly once over two kills in the middle`, async () => {
  const client = await accountWithContacts();
  const list = await fill(client());
  const broadcast = {
    segment_id: list,
    from: 'News <news@example.com>',
    subject: 'News for {{{contact.first_name}}}',
    html: '<p>Hello {{contact.first_name}}</p>',
    send: true,
  };
  const begunAtMs = performance.now();
  const { status, body } = await client().post('/v1/broadcasts', broadcast);
  expect([status, body]).toEqual([201, body]);
  const path = `/v1/broadcasts/${body.id}`;

  for (const wanted of KILLS) {
    await storedAtLeast(wanted);
    await server.kill();
    expect(stored.size).toBeLessThan(CONTACTS);
    await server.start();
  }
  const isSettled = ({ status, progress: { delivered, in_doubt } }: Progressing) =>
    status === 'sent' && delivered + in_doubt === CONTACTS;
  const before = await client().until(path, isSettled, 240_000);
  const seconds = (performance.now() - begunAtMs) / 1000;
  console.log(
    `broadcast: ${CONTACTS} in ${seconds.toFixed(1)} s with two kills, ${Math.round(CONTACTS / seconds)} per second, ` +
      `${before.progress.in_doubt} in doubt`,
  );

  const doubts = await emailsOf(client(), body.id, '&status=in_doubt');
  expect(doubts).toHaveLength(before.progress.in_doubt);
  // With every session at work at each kill, some of it was at its dot; and no more than one message of each was.
  expect(doubts.length).toBeGreaterThan(0);
  expect(doubts.length).toBeLessThanOrEqual(KILLS.length * SHARDS * SESSIONS);
  for (const { id, to } of doubts) {
    const resolution = stored.has(to[0]) ? 'delivered' : 'resend';
    const answer = await client().post(`/v1/emails/${id}/deliveries/0/resolve`, { resolution });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
  }
  const after = await client().until(path, ({ progress }) => progress.delivered === CONTACTS, 30_000);
  expect(after).toMatchObject({
    status: 'sent',
    progress: {
      total: CONTACTS,
      queued: CONTACTS,
      delivered: CONTACTS,
      failed: 0,
      suppressed: 0,
      canceled: 0,
      in_doubt: 0,
      skipped: 0,
    },
  });

  const emails = await emailsOf(client(), body.id);
  expect(emails.filter(({ last_event }) => last_event !== 'delivered')).toEqual([]);
  expect(new Set(emails.map(({ to }) => to[0])).size).toBe(CONTACTS);
  expect(emails).toHaveLength(CONTACTS);
  expect(stored.size).toBe(CONTACTS);
  expect([...stored].filter(([, copies]) => copies !== 1)).toEqual([]);
}, 480_000);

interface Progressing {
  readonly status: string;
  readonly progress: { readonly delivered: number; readonly in_doubt: number };
}

/** A client for where the relay listens by then: after a restart it is at another port. */
async function accountWithContacts(): Promise<() => ApiClient> {
  const relay = { port: (smtp.server.address() as AddressInfo).port };
  const account = await openAccount(server.url, ADMIN_TOKEN, { relay });
  const operator = new ApiClient(server.url, ADMIN_TOKEN);
  const raised = await operator.call('PATCH', `/v1/admin/accounts/${account.id}`, { shards: SHARDS });
  expect(raised.status).toBe(200);
  const held = await account.client.call('PATCH', '/v1/account', { in_doubt_policy: 'hold' });
  expect(held.status).toBe(200);
  return () => new ApiClient(server.url, account.client.token);
}

async function fill(client: ApiClient): Promise<string> {
  const list = await client.post('/v1/lists', { name: 'Everybody' });
  const lines = Array.from({ length: CONTACTS }, (_, n) => `reader${n}@example.net,Reader ${n}`);
  const form = new FormData();
  form.append('file', new Blob([['email,first_name', ...lines].join('\n')]));
  form.append('segments', JSON.stringify([{ id: list.body.id }]));
  const posted = await fetch(new URL('/v1/contacts/imports', client.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${client.token}` },
    body: form,
  });
  const { id } = (await posted.json()) as { id: string };
  const { counts } = await client.until(
    `/v1/contacts/imports/${id}`,
    ({ status }) => status === 'completed',
    240_000,
  );
  expect(counts).toMatchObject({ total: CONTACTS, created: CONTACTS });
  return list.body.id;
}

function storedAtLeast(count: number): Promise<void> {
  return new Promise((resolve) => {
    onStored = () => {
      if (stored.size >= count) resolve();
    };
    onStored();
  });
}

async function emailsOf(client: ApiClient, broadcastId: string, filter = ''): Promise<Email[]> {
  const emails: Email[] = [];
  for (let after = ''; ; after = `&after=${emails.at(-1)?.id}`) {
    const { status, body } = await client.get(
      `/v1/emails?broadcast_id=${broadcastId}&limit=100${filter}${after}`,
    );
    expect([status, body]).toEqual([200, body]);
    emails.push(...body.data);
    if (!body.has_more) return emails;
  }
}
