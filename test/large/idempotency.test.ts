/** Many keys, each used by many requests at once: one message for each. */
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const KEYS = 1000;
const REQUESTS_PER_KEY = 20;

let relay: RelayUnderTest;
let server: ScriptedServer;

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,
    direct: true,
    settings: { KEY_MESSAGES_PER_SECOND: '1000000', SESSION_IDLE_MS: '200' },
  });
  server = await startScriptedServer({ pipelining: true });
});

afterAll(async () => {
  await relay.stop();
  await server.close();
});

/** `fetch` would open a connection for each request. */
function post(client: ApiClient, agent: Agent, key: string): Promise<{ status: number; id: string }> {
  const body = JSON.stringify({ from: 'a@example.com', to: 'b@example.net', subject: key, text: 'x' });
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${client.token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'idempotency-key': key,
    };
    const sent = request(`${client.url.origin}/v1/emails`, { method: 'POST', agent, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () => {
        const { id } = JSON.parse(Buffer.concat(pieces).toString());
        resolve({ status: response.statusCode ?? 0, id });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('20 requests at once with each of 1,000 keys make 1,000 messages, and 1,000 mails', async () => {
  const { client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } });
  const agent = new Agent({ keepAlive: true, maxSockets: 100 });
  const ids = new Map<string, Set<string>>();
  for (let from = 0; from < KEYS; from += 50) {
    const keys = Array.from({ length: 50 }, (_, index) => `key ${from + index}`);
    await Promise.all(
      keys.flatMap((key) =>
        Array.from({ length: REQUESTS_PER_KEY }, async () => {
          const { status, id } = await post(client, agent, key);
          expect(status).toBe(200);
          ids.set(key, (ids.get(key) ?? new Set()).add(id));
        }),
      ),
    );
  }
  agent.destroy();
  expect([...ids.values()].every((of) => of.size === 1)).toBe(true);
  expect(new Set([...ids.values()].flatMap((of) => [...of])).size).toBe(KEYS);
  await server.waitForMessages(KEYS);
  await client.until('/v1/account', (body) => body.statistics.backlog === 0, 60_000);
  expect(server.messages).toHaveLength(KEYS);
});
