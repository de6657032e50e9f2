/** The process, killed the hard way: that of `wrangler dev`, and a workerd alone. */
import { afterEach, describe, expect, test } from 'vitest';
import { startRelayServer } from '../faults/relay-server.ts';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { startDevServer } from '../support/dev-server.ts';
import { ADMIN_TOKEN } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
const settings = { WATCHDOG_MS: '1000', RETRY_FIRST_MS: '200', SESSION_IDLE_MS: '200' };

/** How each of them is ended after the test. */
const running: (() => Promise<void>)[] = [];
const servers: ScriptedServer[] = [];

afterEach(async () => {
  for (const end of running.splice(0)) await end();
  for (const server of servers.splice(0)) await server.close();
});

describe('kill -9', () => {
  test('after the answer and before delivery: on restart the message is delivered once, without a request', async () => {
    // Says nothing until the first server is gone, so that nothing can be delivered before.
    let isOpen = false;
    const smtp = await startScriptedServer({
      pipelining: true,
      hooks: { BANNER: () => (isOpen ? undefined : { silent: true }) },
    });
    servers.push(smtp);
    const first = await startDevServer({ settings });
    running.push(() => first.kill());
    const { client } = await openAccount(first.url, first.adminToken, { relay: { port: smtp.port } });
    const sent = await client.post('/v1/emails', email);
    expect(sent.status).toBe(200);
    await first.kill();
    isOpen = true;

    const second = await startDevServer({ persistTo: first.persistTo, port: first.port, settings });
    running.push(() => second.kill());
    await smtp.waitForMessages(1);
    const found = await client.until(`/v1/emails/${sent.body.id}`, (body) => body.last_event === 'delivered');
    expect(found.possible_duplicates).toBe(0);
    expect(smtp.messages).toHaveLength(1);
  });

  test('between the final dot and its verdict leaves one recorded doubt, and the copy is the same', async () => {
    const { promise: dotSeen, resolve: seeDot } = Promise.withResolvers<void>();
    let dots = 0;
    const smtp = await startScriptedServer({
      pipelining: true,
      hooks: {
        DOT: () => {
          if (dots++ > 0) return undefined;
          seeDot();
          return { silent: true, store: true };
        },
      },
    });
    servers.push(smtp);
    const server = await startRelayServer({ settings, env: {} });
    running.push(() => server.stop());
    const { client: before } = await openAccount(server.url, ADMIN_TOKEN, { relay: { port: smtp.port } });
    const sent = await before.post('/v1/emails', email);
    await dotSeen;
    await server.kill();

    await server.start();
    const client = new ApiClient(server.url, before.token);
    await smtp.waitForMessages(2);
    const found = await client.until(`/v1/emails/${sent.body.id}`, (body) => body.last_event === 'delivered');
    expect(found.possible_duplicates).toBe(1);
    expect(found.timeline.map((event: { type: string }) => event.type)).toEqual([
      'queued',
      'in_doubt',
      'delivered',
    ]);
    expect(smtp.messages).toHaveLength(2);
    expect(smtp.messages[0]?.data.equals(smtp.messages[1]?.data ?? Buffer.alloc(0))).toBe(true);
  });
});
