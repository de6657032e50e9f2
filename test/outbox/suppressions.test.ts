/** What the account does not mail is not mailed, up to the moment of the dot. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', subject: 'A subject', text: 'A text' };

let relay: RelayUnderTest;
const servers: ScriptedServer[] = [];

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,
    // What was read from D1 is good for no time at all: every check sees what is there now.
    settings: { RETRY_FIRST_MS: '100', WATCHDOG_MS: '300', SENDING_STATE_TTL_MS: '1' },
  });
});

afterAll(async () => {
  await relay.stop();
  for (const server of servers) await server.close();
});

async function accountOn(options: ScriptedServerOptions = {}) {
  const server = await startScriptedServer({ pipelining: true, ...options });
  servers.push(server);
  const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
  return { server, client };
}

const statusesOf = (body: { deliveries: { status: string }[] }) =>
  body.deliveries.map((delivery) => delivery.status);
const isOver = (body: { deliveries: { status: string }[] }) =>
  statusesOf(body).every((status) => ['delivered', 'suppressed'].includes(status));

describe('a suppressed address', () => {
  test('gets no mail, and the other recipients do', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'Gone@example.net' });
    const to = ['one@example.net', 'gone@example.net', 'two@example.net'];
    const sent = await client.post('/v1/emails', { ...email, to });
    const found = await client.until(`/v1/emails/${sent.body.id}`, isOver);
    expect(statusesOf(found)).toEqual(['delivered', 'suppressed', 'delivered']);
    expect(found.timeline).toContainEqual(
      expect.objectContaining({ type: 'suppressed', recipients: ['gone@example.net'] }),
    );
    expect(server.messages.map((message) => message.recipients)).toEqual([
      ['one@example.net', 'two@example.net'],
    ]);
  });

  test('alone in a message leaves nothing to send', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'gone@example.net' });
    const sent = await client.post('/v1/emails', { ...email, to: 'gone@example.net' });
    const found = await client.until(`/v1/emails/${sent.body.id}`, isOver);
    expect([found.last_event, statusesOf(found)]).toEqual(['suppressed', ['suppressed']]);
    expect(server.messages).toEqual([]);
  });

  test('among many messages stops only its own', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'user-7@example.net' });
    const batch = Array.from({ length: 100 }, (_, index) => ({ ...email, to: `user-${index}@example.net` }));
    await client.post('/v1/emails/batch', batch);
    await server.waitForMessages(99);
    const { body } = await client.get('/v1/emails?limit=100');
    expect(body.data).toHaveLength(100);
    const got = server.messages.flatMap((message) => message.recipients);
    expect(got).not.toContain('user-7@example.net');
    expect(new Set(got).size).toBe(99);
  });

  test('that is suppressed between MAIL and the dot is not mailed', async () => {
    const stopped = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    let isStopped = false;
    const { server, client } = await accountOn({
      // Its answer to DATA comes to an end only when the test says so.
      hooks: {
        DATA: (connection) => {
          if (isStopped) return undefined;
          isStopped = true;
          asked.resolve();
          void stopped.promise.then(() => connection.say(' ahead\r\n'));
          return { raw: '354 go' };
        },
      },
    });
    const to = ['late@example.net', 'other@example.net'];
    // Another one, so that suppressions are looked up at all.
    await client.post('/v1/suppressions', { email: 'nobody@example.net' });
    const sent = await client.post('/v1/emails', { ...email, to });
    await asked.promise;
    await client.post('/v1/suppressions', { email: 'late@example.net' });
    stopped.resolve();
    const found = await client.until(`/v1/emails/${sent.body.id}`, isOver);
    expect(statusesOf(found)).toEqual(['suppressed', 'delivered']);
    expect(server.messages.map((message) => message.recipients)).toEqual([['other@example.net']]);
  });

  test('is mailed again once it was taken off the list', async () => {
    const { server, client } = await accountOn();
    await client.post('/v1/suppressions', { email: 'back@example.net' });
    await client.call('DELETE', '/v1/suppressions/back@example.net');
    await client.post('/v1/emails', { ...email, to: 'back@example.net' });
    await server.waitForMessages(1);
  });
});

describe('a broadcast on its way', () => {
  test('is not sent to whoever does not want it any more, or is not there, up to the dot', async () => {
    const stopped = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const { server, client } = await accountOn({
      hooks: {
        DATA: (connection) => {
          asked.resolve();
          void stopped.promise.then(() => connection.say(' ahead\r\n'));
          return { raw: '354 go' };
        },
      },
    });
    const made = async (path: string, body: object): Promise<string> => {
      const answer = await client.post(path, body);
      expect([path, answer.status]).toEqual([path, 201]);
      return answer.body.id;
    };
    const change = async (method: string, path: string, body?: object) =>
      expect([path, (await client.call(method, path, body)).status]).toEqual([path, 200]);
    const list = await made('/v1/lists', { name: 'Readers' });
    const topic = await made('/v1/topics', { name: 'News', default_subscription: 'opt_in' });
    const names = ['stays', 'ends', 'opts-out', 'suppressed', 'erased', 'again', 'moves', 'leaves'] as const;
    const at = (name: string) => `${name}@example.net`;
    for (const name of names) await made('/v1/contacts', { email: at(name), segments: [{ id: list }] });
    const id = await made('/v1/broadcasts', {
      segment_id: list,
      topic_id: topic,
      from: email.from,
      subject: email.subject,
      html: '<p>{{contact.email}}</p>',
      send: true,
    });
    await asked.promise;
    // Everybody's email is on the ledger, and nobody has it.
    await client.until(`/v1/broadcasts/${id}`, ({ status }) => status === 'sent');
    await change('PATCH', `/v1/contacts/${at('ends')}`, { unsubscribed: true });
    const optOut = [{ id: topic, subscription: 'opt_out' }];
    await change('PATCH', `/v1/contacts/${at('opts-out')}/topics`, optOut);
    await made('/v1/suppressions', { email: at('suppressed') });
    await change('DELETE', `/v1/contacts/${at('erased')}`);
    await change('DELETE', `/v1/contacts/${at('again')}`);
    await made('/v1/contacts', { email: at('again') });
    await change('PATCH', `/v1/contacts/${at('moves')}`, { email: at('elsewhere') });
    await change('DELETE', `/v1/contacts/${at('leaves')}/segments/${list}`);
    stopped.resolve();
    const { progress } = await client.until(
      `/v1/broadcasts/${id}`,
      ({ progress: { delivered, suppressed, canceled } }) =>
        delivered + suppressed + canceled === names.length,
    );
    // To those who were erased, it was canceled at once.
    expect(progress).toMatchObject({ total: 8, queued: 8, delivered: 2, suppressed: 4, canceled: 2 });
    // Who is taken off the list by hand has asked for nothing: the list was read before that.
    const mailed = server.messages.flatMap(({ recipients }) => recipients);
    expect(mailed.sort()).toEqual([at('leaves'), at('stays')]);
  });
});
