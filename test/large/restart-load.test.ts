/** `kill -9` under load, again and again: what is in doubt is at most one message for each session that was open. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inParallel, openFaultAccount, pause } from '../faults/fault-client.ts';
import type { LedgerView } from '../faults/reconcile.ts';
import { type RelayServer, startRelayServer } from '../faults/relay-server.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const SESSIONS = 4;
const KILLS = 5;
const MESSAGES_PER_KILL = 200;

let server: RelayServer;
let smtp: ScriptedServer;

beforeAll(async () => {
  const settings = {
    RETRY_FIRST_MS: '100',
    RETRY_MAX_MS: '300',
    WATCHDOG_MS: '300',
    SESSION_IDLE_MS: '300',
    KEY_MESSAGES_PER_SECOND: '100000',
    // Not a limit of the relay: its gate would lend only one session for a while after each kill.
    SESSIONS_PER_RELAY: String(SESSIONS),
  };
  server = await startRelayServer({ settings, env: {} });
  // Far enough away that every session has something on its way whenever it is cut.
  smtp = await startScriptedServer({ pipelining: true, oneWayDelayMs: 10 });
}, 60_000);

afterAll(async () => {
  await server.stop();
  await smtp.close();
});

async function openConnections(): Promise<number> {
  const states = smtp.connections.map(({ closed }) =>
    Promise.race([closed.then(() => 0), new Promise<number>((resolve) => setImmediate(resolve, 1))]),
  );
  return (await Promise.all(states)).reduce((sum, isOpen) => sum + isOpen, 0);
}

test('leaves at most one doubt for each open session, and no copy beyond the doubts', async () => {
  const client = await openFaultAccount(server, {
    host: '127.0.0.1',
    port: smtp.port,
    tls: 'none',
  });
  const ids: string[] = [];
  let known = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    for (let sent = 0; sent < MESSAGES_PER_KILL; sent += 100) {
      const batch = Array.from({ length: 100 }, (_, index) => ({
        from: 'sender@example.com',
        to: 'one@example.net',
        subject: `k${kill}n${sent + index}`,
        text: 'A text',
      }));
      const answer = await client.call('POST', '/v1/emails/batch', batch, {
        'idempotency-key': `k${kill}b${sent}`,
      });
      ids.push(...answer.data.map(({ id }: { id: string }) => id));
    }
    await smtp.waitForMessages(smtp.messages.length + 40);
    const open = await openConnections();
    await server.kill();
    await server.start();
    // Everything of before the kill is settled, and so every doubt that it left is on record.
    const isDone = async () => (await client.call('GET', '/v1/account')).statistics;
    let statistics = await isDone();
    while (statistics.backlog > 0) {
      await pause(100);
      statistics = await isDone();
    }
    const doubts = statistics.possible_duplicates - known;
    known = statistics.possible_duplicates;
    expect(open).toBeGreaterThan(0);
    expect(open).toBeLessThanOrEqual(SESSIONS);
    expect(doubts).toBeLessThanOrEqual(SESSIONS);
  }
  const views: LedgerView[] = [];
  await inParallel(ids, 8, async (id) => {
    views.push((await client.call('GET', `/v1/emails/${id}`)) as LedgerView);
  });
  const copies = new Map<string, number>();
  for (const { data } of smtp.messages) {
    const messageId = /^Message-ID: <(\S+)>/im.exec(data.toString())?.[1] ?? '';
    copies.set(messageId, (copies.get(messageId) ?? 0) + 1);
  }
  expect(views).toHaveLength(KILLS * MESSAGES_PER_KILL);
  for (const { message_id, deliveries, possible_duplicates, timeline } of views) {
    expect(deliveries.map(({ status }) => status)).toEqual(['delivered']);
    expect(timeline.filter(({ type }) => type === 'in_doubt')).toHaveLength(possible_duplicates);
    const count = copies.get(message_id.replace(/[<>]/g, '')) ?? 0;
    expect(count).toBeGreaterThanOrEqual(1);
    expect(count).toBeLessThanOrEqual(1 + possible_duplicates);
  }
  // With work on every session at each kill, some of it was at its dot.
  expect(known).toBeGreaterThan(0);
}, 180_000);
