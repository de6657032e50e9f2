/** Events of real mail, carried to real HTTP servers, and read by the libraries that customers use. */
import { Resend } from 'resend';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAccount, type TestAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';
import { startReceiver } from '../support/webhook-receiver.ts';

const email = { from: 'Acme <a@example.com>', to: 'one@example.net', subject: 'A subject', text: 'Hi' };

let relay: RelayUnderTest;
let smtp: ScriptedServer;

beforeAll(async () => {
  smtp = await startScriptedServer({
    hooks: {
      RCPT: (_connection, _verb, argument) =>
        argument.includes('nobody') ? '550 5.1.1 <nobody@example.net> no such user' : undefined,
    },
  });
  relay = await startRelay({
    settings: { WEBHOOK_RETRY_MS: '0,100,200,400', WEBHOOK_TIMEOUT_MS: '60000' },
  });
});

afterAll(async () => {
  await relay.stop();
  await smtp.close();
});

function open(): Promise<TestAccount> {
  return openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } });
}

async function send(account: TestAccount, change: Record<string, unknown> = {}): Promise<string> {
  const sent = await account.client.post('/v1/emails', { ...email, ...change });
  expect(sent.status).toBe(200);
  return sent.body.id;
}

async function hook(account: TestAccount, body: Record<string, unknown>) {
  const created = await account.client.post('/v1/webhooks', body);
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  return created.body as { id: string; signing_secret: string };
}

function sdkOf(account: TestAccount): Resend {
  return new Resend(account.client.token, { baseUrl: new URL('/v1', relay.url).href });
}

describe('an event', () => {
  test('is signed so that three libraries accept it, and refuse it once it is altered', async () => {
    const account = await open();
    const receiver = await startReceiver();
    const { signing_secret: secret } = await hook(account, {
      endpoint: receiver.url,
      events: ['email.delivered'],
    });
    await send(account);
    const [received] = await receiver.waitFor(1);
    const { headers = {}, body = '' } = received ?? {};
    const verify = {
      resend: (payload: string) =>
        sdkOf(account).webhooks.verify({
          payload,
          headers: {
            id: headers['svix-id'] ?? '',
            timestamp: headers['svix-timestamp'] ?? '',
            signature: headers['svix-signature'] ?? '',
          },
          webhookSecret: secret,
        }),
      standardwebhooks: (payload: string) => new StandardWebhook(secret).verify(payload, headers),
      svix: (payload: string) => new SvixWebhook(secret).verify(payload, headers),
    };
    for (const accepts of Object.values(verify)) {
      expect(() => accepts(body)).not.toThrow();
      expect(() => accepts(body.replace('A subject', 'B subject'))).toThrow(/signature/i);
    }
    expect(verify.resend(body)).toEqual(received?.event);
    expect(headers['webhook-id']).toBe(headers['svix-id']);
    expect(headers['content-type']).toBe('application/json');
    expect(Buffer.byteLength(body)).toBeLessThan(20_000);
  });

  test('says what happened, in the shapes of the SDK', async () => {
    const account = await open();
    const receiver = await startReceiver();
    await hook(account, { endpoint: receiver.url });
    const tags = [{ name: 'kind', value: 'receipt' }];
    const id = await send(account, { to: ['one@example.net', 'nobody@example.net'], tags });
    await receiver.waitFor(3, ({ event }) => event.type.startsWith('email.'));
    const byType = new Map(receiver.received.map(({ event }) => [event.type, event]));
    const base = {
      email_id: id,
      created_at: expect.stringMatching(/Z$/),
      from: 'Acme <a@example.com>',
      to: ['one@example.net', 'nobody@example.net'],
      subject: 'A subject',
      message_id: `<${id}@example.com>`,
      tags: { kind: 'receipt' },
    };
    expect([...byType.keys()].sort()).toEqual([
      'domain.updated',
      'email.bounced',
      'email.delivered',
      'email.sent',
    ]);
    expect(byType.get('email.sent')).toMatchObject({
      type: 'email.sent',
      data: { ...base, recipients: ['one@example.net', 'nobody@example.net'] },
    });
    expect(byType.get('email.delivered')).toMatchObject({
      data: { ...base, recipients: ['one@example.net'] },
    });
    expect(byType.get('email.bounced')).toMatchObject({
      created_at: expect.stringMatching(/Z$/),
      data: {
        ...base,
        recipients: ['nobody@example.net'],
        code: 550,
        enhanced_code: '5.1.1',
        bounce: {
          type: 'Permanent',
          subType: 'NoEmail',
          message: expect.stringContaining('no such user'),
          diagnosticCode: [expect.stringMatching(/^smtp; 550 /)],
        },
      },
    });
    expect(byType.get('domain.updated')).toMatchObject({
      data: { name: 'example.com', status: 'verified', region: 'auto', records: [] },
    });
  });

  test('is tried again by the schedule under the same id until it is taken, and every attempt is kept', async () => {
    const account = await open();
    const replies = [
      500,
      { status: 302, headers: { location: 'http://127.0.0.1:1/' } },
      { status: 404, body: 'x'.repeat(1000) },
    ];
    const receiver = await startReceiver((n) => replies[n] ?? 204);
    const { id } = await hook(account, { endpoint: receiver.url, events: ['email.delivered'] });
    await send(account);
    await receiver.waitFor(4);
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    const [first] = receiver.received;
    const eventId: string = first?.event.id;
    const { events } = sdkOf(account).webhooks;
    const detail = await account.client.until(
      `/v1/webhooks/${id}/events/${eventId}`,
      (body) => body.status === 'success',
    );
    expect(detail).toEqual({
      object: 'webhook_event',
      id: eventId,
      type: 'email.delivered',
      created_at: first?.event.created_at,
      status: 'success',
      next_attempt_at: null,
      payload: first?.event,
    });
    const listed = await events.list({ webhookId: id });
    expect(listed.data?.data).toEqual([
      { id: eventId, type: 'email.delivered', created_at: first?.event.created_at, status: 'success' },
    ]);
    const attempts = (await events.attempts.list({ webhookId: id, eventId, limit: 3 })).data;
    expect(attempts?.has_more).toBe(true);
    expect(attempts?.data.map((attempt) => attempt.http_status_code)).toEqual([204, 404, 302]);
    expect(attempts?.data[1]?.response).toBe('x'.repeat(256));
    const after = attempts?.data.at(-1)?.id ?? '';
    const rest = (await events.attempts.list({ webhookId: id, eventId, after })).data;
    expect(rest?.data.map((attempt) => attempt.http_status_code)).toEqual([500]);
    const waits = receiver.received.map(({ atMs }) => atMs - (first?.atMs ?? 0));
    expect(waits.map((waited, n) => waited >= ([0, 100, 300, 700][n] ?? 0))).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  test('has failed once the schedule is at its end, and goes out again when it is replayed', async () => {
    const account = await open();
    const receiver = await startReceiver((n) => (n < 4 ? 500 : 200));
    const { id } = await hook(account, { endpoint: receiver.url, events: ['email.delivered'] });
    await send(account);
    const [first] = await receiver.waitFor(4);
    const eventId: string = first?.event.id;
    const path = `/v1/webhooks/${id}/events/${eventId}`;
    const failed = await account.client.until(path, (body) => body.status === 'failed');
    expect(failed.next_attempt_at).toBeNull();
    const replayed = await sdkOf(account).webhooks.events.replay({ webhookId: id, eventId });
    expect(replayed.data).toEqual({ object: 'webhook_event', id: eventId });
    await account.client.until(path, (body) => body.status === 'success');
    expect(receiver.received).toHaveLength(5);
    expect(receiver.received[4]?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    const attempts = await account.client.get(`${path}/attempts`);
    expect(attempts.body.data).toHaveLength(5);
  });

  test('to an endpoint that is not there is kept as an attempt without a status', async () => {
    const account = await open();
    const gone = await startReceiver();
    await gone.stop();
    const { id } = await hook(account, { endpoint: gone.url, events: ['email.sent'] });
    await send(account);
    const list = await account.client.until(
      `/v1/webhooks/${id}/events`,
      (body) => body.data[0]?.status === 'failed',
    );
    const attempts = await account.client.get(`/v1/webhooks/${id}/events/${list.data[0].id}/attempts`);
    expect(attempts.body.data[0]).toMatchObject({ http_status_code: 0, response: 'connection_failed' });
  });
});

describe('a webhook', () => {
  test('that answers 410 is disabled, and gets nothing more', async () => {
    const account = await open();
    const receiver = await startReceiver(() => 410);
    const other = await startReceiver();
    const { id } = await hook(account, { endpoint: receiver.url, events: ['email.delivered'] });
    await hook(account, { endpoint: other.url, events: ['email.delivered'] });
    await send(account);
    await receiver.waitFor(1);
    const disabled = await account.client.until(`/v1/webhooks/${id}`, (body) => body.status === 'disabled');
    expect(disabled.disabled_reason).toBe('gone');
    await send(account);
    await other.waitFor(2);
    expect(receiver.received).toHaveLength(1);
    const replay = await account.client.post(`/v1/webhooks/${id}/replay`, { since: '2026-01-01T00:00:00Z' });
    expect(replay.status).toBe(409);
    // Enabled again, it gets what happens from then on.
    receiver.answer = () => 200;
    const { webhooks } = sdkOf(account);
    expect((await webhooks.update(id, { status: 'enabled' })).data).toEqual({ object: 'webhook', id });
    const last = await send(account);
    const received = await receiver.waitFor(2);
    expect(received[1]?.event.data.email_id).toBe(last);
    expect((await webhooks.get(id)).data).toMatchObject({ status: 'enabled', disabled_reason: null });
  });

  test('is sent what happened before it was made, unless it asks not to be', async () => {
    const account = await open();
    const ids = [await send(account), await send(account)];
    for (const id of ids)
      await account.client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
    const [filled, fresh] = [await startReceiver(), await startReceiver()];
    await hook(account, { endpoint: fresh.url, events: ['email.delivered'], backfill: false });
    await hook(account, { endpoint: filled.url, events: ['email.delivered'] });
    const told = await filled.waitFor(2);
    expect(told.map(({ event }) => event.data.email_id).sort()).toEqual([...ids].sort());
    const last = await send(account);
    await filled.waitFor(3);
    expect((await fresh.waitFor(1)).map(({ event }) => event.data.email_id)).toEqual([last]);
  });

  test('gets everything since a time once more, under the old ids', async () => {
    const account = await open();
    const receiver = await startReceiver();
    const { id } = await hook(account, { endpoint: receiver.url, events: ['email.sent', 'email.delivered'] });
    for (let n = 0; n < 3; n++) await send(account);
    await receiver.waitFor(6);
    const before = receiver.received.map(({ headers }) => headers['webhook-id']).sort();
    const replay = await account.client.post(`/v1/webhooks/${id}/replay`, {
      since: new Date(Date.now() - 60_000).toISOString(),
    });
    expect(replay).toMatchObject({ status: 200, body: { object: 'webhook', id } });
    await receiver.waitFor(12);
    const again = receiver.received.slice(6).map(({ headers }) => headers['webhook-id']);
    expect(again.sort()).toEqual(before);
  });

  test('gets once more, too, what was under way when that was asked for', async () => {
    const account = await open();
    const asked = Promise.withResolvers<number>();
    const receiver = await startReceiver((n) => (n === 1 ? asked.promise : 200));
    const { id } = await hook(account, { endpoint: receiver.url, events: ['email.delivered'] });
    const events = `/v1/webhooks/${id}/events`;
    // An endpoint that answered well gets two at once: the replay goes on beside what is under way.
    await send(account);
    await account.client.until(events, ({ data }) => data[0]?.status === 'success');
    await send(account);
    await receiver.waitFor(2);
    const since = new Date(Date.now() - 60_000).toISOString();
    expect((await account.client.post(`/v1/webhooks/${id}/replay`, { since })).status).toBe(200);
    await receiver.waitFor(3);
    asked.resolve(200);
    await receiver.waitFor(4);
    const [first, second, ...again] = receiver.received.map(({ headers }) => headers['webhook-id']);
    expect(again).toEqual([first, second]);
    // The answers are written down after they came.
    await account.client.until(
      events,
      ({ data }) => data.length === 2 && data.every(({ status }: { status: string }) => status === 'success'),
    );
  });

  test('signs with both secrets while they are rotated, and then with the new one', async () => {
    const account = await open();
    const receiver = await startReceiver();
    const made = await hook(account, { endpoint: receiver.url, events: ['email.delivered'] });
    const rotated = await sdkOf(account).webhooks.rotateSigningSecret(made.id);
    const secret = rotated.data?.signing_secret ?? '';
    expect(secret).toMatch(/^whsec_/);
    expect(secret).not.toBe(made.signing_secret);
    await send(account);
    const [first] = await receiver.waitFor(1);
    for (const known of [made.signing_secret, secret]) {
      new StandardWebhook(known).verify(first?.body ?? '', first?.headers ?? {});
    }
    const again = await account.client.post(`/v1/webhooks/${made.id}/signing-secret/rotate`, {
      overlap_seconds: 0,
    });
    await send(account);
    const second = (await receiver.waitFor(2))[1];
    new StandardWebhook(again.body.signing_secret).verify(second?.body ?? '', second?.headers ?? {});
    for (const known of [made.signing_secret, secret]) {
      expect(() => new StandardWebhook(known).verify(second?.body ?? '', second?.headers ?? {})).toThrow();
    }
    expect((await sdkOf(account).webhooks.get(made.id)).data?.signing_secret).toBe(again.body.signing_secret);
  });

  test('is tried on request, with a signature, and the answer is shown', async () => {
    const account = await open();
    const receiver = await startReceiver(() => ({ status: 418, body: 'teapot' }));
    const { id, signing_secret: secret } = await hook(account, {
      endpoint: receiver.url,
      events: ['email.bounced'],
    });
    const tested = await account.client.post(`/v1/webhooks/${id}/test`);
    expect(tested).toMatchObject({
      status: 200,
      body: { object: 'webhook_test', webhook: id, http_status_code: 418, response: 'teapot' },
    });
    const [received] = await receiver.waitFor(1);
    new StandardWebhook(secret).verify(received?.body ?? '', received?.headers ?? {});
    expect(received?.event).toMatchObject({ type: 'webhook.test', data: { webhook_id: id } });
  });

  test('that is slow delays neither another one nor mail', async () => {
    const account = await open();
    let isOpen = true;
    const held: (() => void)[] = [];
    const slow = await startReceiver(async () => {
      if (isOpen) await new Promise<void>((resolve) => held.push(resolve));
      return 200;
    });
    const quick = await startReceiver();
    await hook(account, { endpoint: slow.url, events: ['email.delivered'] });
    await hook(account, { endpoint: quick.url, events: ['email.delivered'] });
    const ids: string[] = [];
    for (let n = 0; n < 30; n++) ids.push(await send(account));
    // All of it happens while the slow one has answered nothing.
    for (const id of ids)
      await account.client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
    const told = await quick.waitFor(30);
    expect(new Set(told.map(({ event }) => event.data.email_id))).toEqual(new Set(ids));
    expect(slow.received).toHaveLength(1);
    isOpen = false;
    for (const answer of held) answer();
    await slow.waitFor(30);
  });

  test('that asks for time with Retry-After gets nothing before', async () => {
    const account = await open();
    const receiver = await startReceiver((n) =>
      n === 0 ? { status: 429, headers: { 'retry-after': '1' } } : 200,
    );
    await hook(account, { endpoint: receiver.url, events: ['email.sent', 'email.delivered'] });
    await send(account);
    const [first, second] = await receiver.waitFor(3);
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(1000);
  });

  test('of one account never sees an event of another, while both are busy', async () => {
    const accounts = [await open(), await open()];
    const receivers = [await startReceiver(), await startReceiver()];
    const sent: string[][] = [[], []];
    for (const [n, account] of accounts.entries()) {
      await hook(account, { endpoint: receivers[n]?.url, events: ['email.sent', 'email.delivered'] });
    }
    const load = accounts.map(async (account, n) => {
      for (let batch = 0; batch < 10; batch++) {
        const mails = Array.from({ length: 20 }, () => ({ ...email, subject: `of account ${n}` }));
        const { body } = await account.client.post('/v1/emails/batch', mails);
        sent[n]?.push(...body.data.map(({ id }: { id: string }) => id));
      }
    });
    await Promise.all(load);
    for (const [n, receiver] of receivers.entries()) {
      const ids = () => new Set(receiver.received.map(({ headers }) => headers['webhook-id']));
      const told = await receiver.waitFor(1, () => ids().size >= 400);
      expect(new Set(told.map(({ event }) => event.data.email_id))).toEqual(new Set(sent[n]));
      expect(new Set(told.map(({ event }) => event.data.subject))).toEqual(new Set([`of account ${n}`]));
      expect(ids().size).toBe(400);
    }
    for (const [n, account] of accounts.entries()) {
      const page = await account.client.get('/v1/events?limit=100&types=email.sent');
      const ids = page.body.data.map(({ data }: { data: { email_id: string } }) => data.email_id);
      expect(ids.every((id: string) => sent[n]?.includes(id))).toBe(true);
    }
  });
});

describe('the list of events', () => {
  test('is read to its end a page at a time, each event once and in order', async () => {
    const account = await open();
    for (let n = 0; n < 12; n++) await send(account);
    await account.client.until('/v1/emails?limit=100', ({ data }) =>
      data.every(({ last_event }: { last_event: string }) => last_event === 'delivered'),
    );
    const ids: string[] = [];
    let after = '';
    for (let pages = 0; pages < 20; pages++) {
      const { status, body } = await account.client.get(`/v1/events?limit=5${after}`);
      expect(status).toBe(200);
      ids.push(...body.data.map(({ id }: { id: string }) => id));
      after = `&after=${body.next}`;
      if (!body.has_more) break;
    }
    expect(ids).toHaveLength(25);
    expect([...new Set(ids)].sort()).toEqual(ids);
    const rest = await account.client.get(`/v1/events?after=${ids[20]}`);
    expect(rest.body.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(21));
    const filtered = await account.client.get('/v1/events?types=email.delivered&limit=100');
    expect(new Set(filtered.body.data.map(({ type }: { type: string }) => type))).toEqual(
      new Set(['email.delivered']),
    );
    expect(filtered.body.data).toHaveLength(12);
  });

  test('is waited for: the answer comes with the next event', async () => {
    const account = await open();
    const head = await account.client.get('/v1/events?after=latest');
    expect(head.body).toMatchObject({ object: 'list', data: [], has_more: false });
    const waiting = account.client.get(`/v1/events?after=${head.body.next}&types=email.delivered&wait=25`);
    const id = await send(account);
    const { body } = await waiting;
    expect(body.data.map(({ data }: { data: { email_id: string } }) => data.email_id)).toEqual([id]);
    const empty = await account.client.get(`/v1/events?after=${body.next}&wait=1`);
    expect(empty.body).toMatchObject({ data: [], has_more: false });
  });
});

describe('an account with several shards', () => {
  test('has the events of all of them in its list and at its webhook', async () => {
    const account = await open();
    const operator = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const raised = await account.client.call(
      'PATCH',
      `/v1/admin/accounts/${account.id}`,
      { shards: 4 },
      operator,
    );
    expect(raised.status).toBe(200);
    const receiver = await startReceiver();
    const { id } = await hook(account, { endpoint: receiver.url, events: ['email.delivered'] });
    const sent: string[] = [];
    for (let n = 0; n < 24; n++) sent.push(await send(account));
    const told = await receiver.waitFor(24);
    expect(told.map(({ event }) => event.data.email_id).sort()).toEqual([...sent].sort());
    const read: string[] = [];
    let after = '';
    do {
      const { body } = await account.client.get(`/v1/events?types=email.delivered&limit=7${after}`);
      read.push(...body.data.map(({ id: eventId }: { id: string }) => eventId));
      after = body.has_more ? `&after=${body.next}` : '';
    } while (after !== '');
    expect([...read].sort()).toEqual(told.map(({ event }) => event.id).sort());
    const pages: string[] = [];
    let cursor: string | undefined;
    for (;;) {
      const { data } = await sdkOf(account).webhooks.events.list({
        webhookId: id,
        limit: 7,
        ...(cursor && { after: cursor }),
      });
      pages.push(...(data?.data ?? []).map((event) => event.id));
      if (!data?.has_more) break;
      cursor = data.data.at(-1)?.id;
    }
    expect(pages).toEqual([...read].sort().reverse());
  });
});
