/** Cancel at every position of the SMTP dialogue: once it answered 200, no copy is stored, then or later. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiAnswer, openAccount, type TestAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import type { ServerConnection } from '../support/scripted-smtp-connection.ts';
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
  type Verb,
} from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
const settings = { RETRY_FIRST_MS: '100', RETRY_MAX_MS: '200', WATCHDOG_MS: '300', SESSION_IDLE_MS: '200' };
const ENDS = ['delivered', 'failed', 'expired', 'canceled'];

let relay: RelayUnderTest;
const servers: ScriptedServer[] = [];

beforeAll(async () => {
  relay = await startRelay({ quiet: true, settings });
});

afterAll(async () => {
  await relay.stop();
  for (const server of servers) await server.close();
});

async function start(
  options: ScriptedServerOptions,
): Promise<{ server: ScriptedServer; account: TestAccount }> {
  const server = await startScriptedServer({ pipelining: true, ...options });
  servers.push(server);
  return { server, account: await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } }) };
}

/** A server that says nothing at the verb's first turn until the cancel was answered. */
async function cancelAt(verb: Verb, options: ScriptedServerOptions = {}, body: object = email) {
  const id = Promise.withResolvers<string>();
  const answer = Promise.withResolvers<ApiAnswer>();
  let isFirst = true;
  let account: TestAccount | undefined;
  const hook = (connection: ServerConnection) => {
    if (!isFirst) return undefined;
    isFirst = false;
    connection.hold(answer.promise);
    void id.promise
      .then((known) => account?.client.post(`/v1/emails/${known}/cancel`))
      .then((said) => said && answer.resolve(said));
    return undefined;
  };
  const started = await start({ ...options, hooks: { [verb]: hook } });
  account = started.account;
  const sent = await account.client.post('/v1/emails', body);
  expect(sent.status).toBe(200);
  id.resolve(sent.body.id);
  return { ...started, id: sent.body.id, canceled: await answer.promise };
}

/** Another message after it: whatever would still leave has left. */
async function sendAnother(server: ScriptedServer, { client }: TestAccount): Promise<void> {
  const { body } = await client.post('/v1/emails', { ...email, subject: 'Another' });
  await client.until(`/v1/emails/${body.id}`, (found) => found.last_event === 'delivered');
  expect(server.messages.at(-1)?.data.toString()).toContain('Subject: Another');
}

describe('a cancel while the server was asked', () => {
  test.each([
    ['BANNER', true],
    ['EHLO', true],
    ['MAIL', true],
    ['RCPT', true],
    ['DATA', true],
    ['MAIL', false],
    ['RCPT', false],
    ['DATA', false],
  ] as const)('%s (pipelining %s) is answered 200, and no copy is stored', async (verb, pipelining) => {
    const { server, account, id, canceled } = await cancelAt(verb, { pipelining });
    expect(canceled.status).toBe(200);
    expect(canceled.body).toMatchObject({ object: 'email', id, last_event: 'canceled' });
    await sendAnother(server, account);
    expect(server.messages).toHaveLength(1);
    const { body } = await account.client.get(`/v1/emails/${id}`);
    expect(body.deliveries).toMatchObject([{ status: 'canceled', next_attempt_at: null }]);
    expect(body.timeline.at(-1)).toMatchObject({ type: 'canceled', recipients: ['one@example.net'] });
  });

  test('a piece of a long body never lets the dot follow a 200', async () => {
    const content = Buffer.alloc(3_000_000, 'x').toString('base64');
    const long = { ...email, attachments: [{ filename: 'a.bin', content }] };
    const { server, account, id, canceled } = await cancelAt('BODY', { bodyHookAfter: 1000 }, long);
    // The body goes on while the cancel is under way, so it may have come to its end.
    if (canceled.status === 200) {
      await sendAnother(server, account);
      expect(server.messages).toHaveLength(1);
      expect(server.connections.length).toBeGreaterThan(1);
    } else {
      expect(canceled.body.code).toBe('send_in_progress');
      await account.client.until(`/v1/emails/${id}`, (found) => found.last_event === 'delivered');
    }
  });

  test('for its verdict on the dot is answered 409, and then says that it was delivered', async () => {
    const { server, account, id, canceled } = await cancelAt('DOT');
    expect([canceled.status, canceled.body.code]).toEqual([409, 'send_in_progress']);
    await account.client.until(`/v1/emails/${id}`, (found) => found.last_event === 'delivered');
    const late = await account.client.post(`/v1/emails/${id}/cancel`);
    expect([late.status, late.body.code]).toEqual([409, 'already_sent']);
    expect(late.body.message).toContain('1 delivered');
    expect(server.messages).toHaveLength(1);
  });
});

describe('a cancel', () => {
  test('of a message that waits for its relay is final, and can be repeated', async () => {
    const { server, account } = await start({ hooks: { BANNER: () => '421 4.3.2 closed' } });
    const { body } = await account.client.post('/v1/emails', email);
    await account.client.until(`/v1/emails/${body.id}`, (found) => found.timeline.length > 1);
    for (let time = 0; time < 2; time++) {
      const answer = await account.client.post(`/v1/emails/${body.id}/cancel`);
      expect([answer.status, answer.body.last_event]).toEqual([200, 'canceled']);
      expect(answer.body.timeline.filter(({ type }: { type: string }) => type === 'canceled')).toHaveLength(
        1,
      );
    }
    expect(server.messages).toHaveLength(0);
  });

  test('leaves what was delivered as it is, and stops the rest', async () => {
    const busy = (_connection: unknown, _verb: Verb, argument: string) =>
      argument.includes('later@') ? '450 4.2.1 busy' : undefined;
    const server = await startScriptedServer({ pipelining: true, hooks: { RCPT: busy } });
    servers.push(server);
    const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
    const to = ['one@example.net', 'later@example.net'];
    const { body } = await client.post('/v1/emails', { ...email, to });
    await client.until(`/v1/emails/${body.id}`, (found) => found.deliveries[0].status === 'delivered');
    // The next attempt may be at its dot at this moment, if only for nothing.
    let answer = await client.post(`/v1/emails/${body.id}/cancel`);
    while (answer.status === 409) answer = await client.post(`/v1/emails/${body.id}/cancel`);
    expect(answer.body.deliveries.map(({ status }: { status: string }) => status)).toEqual([
      'delivered',
      'canceled',
    ]);
    await sendAnother(server, { id: '', client });
    expect(server.messages.filter(({ recipients }) => recipients.includes('later@example.net'))).toEqual([]);
  });

  test('of a copy that may have arrived stops the second one, and says so', async () => {
    const { server, account } = await start({ hooks: { DOT: () => ({ close: true, store: true }) } });
    const { body } = await account.client.post('/v1/emails', email);
    await account.client.until(`/v1/emails/${body.id}`, (found) => found.possible_duplicates > 0);
    const answer = await account.client.post(`/v1/emails/${body.id}/cancel`);
    if (answer.status === 200) {
      const stored = server.messages.length;
      expect(answer.body.deliveries).toMatchObject([{ status: 'canceled', reason: 'may_have_arrived' }]);
      const again = await account.client.until(`/v1/emails/${body.id}`, ({ deliveries }) =>
        deliveries.every(({ status }: { status: string }) => ENDS.includes(status)),
      );
      expect(again.possible_duplicates).toBe(stored);
      expect(server.messages).toHaveLength(stored);
    } else expect(answer.body.code).toBe('send_in_progress');
  });

  test('that races with the delivery of many never lets a copy follow a 200', async () => {
    const { server, account } = await start({ oneWayDelayMs: 3 });
    const { client } = account;
    const batch = Array.from({ length: 100 }, (_, index) => ({ ...email, subject: `Number ${index}.` }));
    const sent = await client.post('/v1/emails/batch', batch);
    const ids: string[] = sent.body.data.map(({ id }: { id: string }) => id);
    const answers = await Promise.all(
      ids.map(async (id) => ({ id, status: (await client.post(`/v1/emails/${id}/cancel`)).status })),
    );
    let delivered = 0;
    for (const [index, { id, status }] of answers.entries()) {
      const found = await client.until(`/v1/emails/${id}`, ({ deliveries }) =>
        ENDS.includes(deliveries[0].status),
      );
      const copies = server.messages.filter(({ data }) => data.includes(`Subject: Number ${index}.`));
      expect(copies).toHaveLength(found.last_event === 'delivered' ? 1 : 0);
      expect(found.last_event).toBe(status === 200 ? 'canceled' : 'delivered');
      delivered += copies.length;
    }
    await sendAnother(server, account);
    expect(server.messages).toHaveLength(delivered + 1);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
  });
});

describe('mail to somebody who is erased', () => {
  const ANN = 'ann@example.net';
  const BOB = 'bob@example.net';
  const MARK = 'erased-0@erased.invalid';

  async function statesOf({ client }: TestAccount, id: string): Promise<unknown> {
    const { body } = await client.get(`/v1/emails/${id}`);
    return body.deliveries.map(({ recipient, status }: Record<string, string>) => [recipient, status]);
  }

  /** A server that says nothing at the verb's first turn until she was erased. */
  async function eraseAt(verb: Verb, to: readonly string[]) {
    const erased = Promise.withResolvers<ApiAnswer>();
    let isFirst = true;
    const hook = (connection: ServerConnection) => {
      if (!isFirst) return undefined;
      isFirst = false;
      connection.hold(erased.promise);
      void account.client.call('DELETE', `/v1/contacts/${ANN}`).then(erased.resolve);
      return undefined;
    };
    const { server, account } = await start({ hooks: { [verb]: hook } });
    await account.client.post('/v1/contacts', { email: ANN });
    const { body } = await account.client.post('/v1/emails', { ...email, to });
    expect((await erased.promise).status).toBe(200);
    return { server, account, id: body.id };
  }

  test('and others, scheduled, goes to the others without her name on it', async () => {
    const { server, account } = await start({});
    const { client } = account;
    await client.post('/v1/contacts', { email: ANN });
    const { body } = await client.post('/v1/emails', {
      ...email,
      to: [`Ann <${ANN}>`, BOB],
      cc: ANN,
      scheduled_at: 'in 2 hours',
    });
    expect((await client.call('DELETE', `/v1/contacts/${ANN}`)).status).toBe(200);
    expect(await statesOf(account, body.id)).toEqual([
      [MARK, 'canceled'],
      [BOB, 'scheduled'],
    ]);
    await client.call('PATCH', `/v1/emails/${body.id}`, { scheduled_at: new Date().toISOString() });
    await client.until(`/v1/emails/${body.id}`, ({ last_event }) => last_event === 'delivered');
    expect(server.messages.map(({ recipients }) => recipients)).toEqual([[BOB]]);
    const data = server.messages[0]?.data.toString() ?? '';
    expect(data).toMatch(/^To: bob@example\.net\r$/m);
    expect(data).not.toMatch(/ann|erased|^Cc:/im);
  });

  test('and others, at RCPT, goes to the others alone', async () => {
    const { server, account, id } = await eraseAt('RCPT', [ANN, BOB]);
    await account.client.until(`/v1/emails/${id}`, ({ deliveries }) => deliveries[1].status === 'delivered');
    expect(await statesOf(account, id)).toEqual([
      [MARK, 'canceled'],
      [BOB, 'delivered'],
    ]);
    expect(server.messages.map(({ recipients }) => recipients)).toEqual([[BOB]]);
  });

  test('at its dot, says so after the verdict', async () => {
    const { account, id } = await eraseAt('DOT', [ANN]);
    await account.client.until(`/v1/emails/${id}`, ({ to }) => to[0] === MARK);
    expect(await statesOf(account, id)).toEqual([[MARK, 'delivered']]);
  });
});
