/** A server that does not end a transaction whose dot it refused, as Postfix with restrictions at the end of data. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

let relay: RelayUnderTest;
let server: ScriptedServer;
const stuck = new Set<unknown>();
let dots = 0;

beforeAll(async () => {
  relay = await startRelay({ quiet: true, settings: { WATCHDOG_MS: '300' } });
  server = await startScriptedServer({
    pipelining: true,
    hooks: {
      MAIL: (connection) => (stuck.has(connection) ? '503 5.5.1 Error: nested MAIL command' : undefined),
      DOT: (connection) => {
        if (dots++ > 0) return undefined;
        stuck.add(connection);
        return '550 5.7.1 refused';
      },
    },
  });
});

afterAll(async () => {
  await relay.stop();
  await server.close();
});

test('a message behind a refused one does not pay for it: it goes through a session of its own', async () => {
  const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
  const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
  const { body } = await client.post('/v1/emails/batch', [email, email, email]);
  const ids: string[] = body.data.map((item: { id: string }) => item.id);
  await client.until('/v1/account', (account) => account.statistics.backlog === 0);
  const found = await Promise.all(ids.map(async (id) => (await client.get(`/v1/emails/${id}`)).body));
  expect(found.map(({ deliveries }) => deliveries[0].status)).toEqual(['failed', 'delivered', 'delivered']);
  expect(found.map(({ deliveries }) => deliveries[0].attempts)).toEqual([1, 1, 1]);
  expect(server.messages).toHaveLength(2);
});
