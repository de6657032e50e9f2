/** Two relays, and the first dies in the middle of a large run. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inParallel } from '../faults/fault-client.ts';
import { openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const COUNT = 5_000;
const BEFORE_DEATH = 1_000;

interface View {
  readonly id: string;
  readonly message_id: string;
  readonly possible_duplicates: number;
  readonly deliveries: readonly { readonly status: string; readonly relay: string }[];
  readonly timeline: readonly { type: string; relay: string | null; reason?: string | null }[];
}

let relay: RelayUnderTest;
let second: ScriptedServer;

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,
    direct: true,
    settings: { KEY_MESSAGES_PER_SECOND: '1000000', RETRY_FIRST_MS: '300', WATCHDOG_MS: '300' },
  });
  second = await startScriptedServer({ pipelining: true });
});

afterAll(async () => {
  await relay.stop();
  await second.close();
});

test(`of ${COUNT} messages each is delivered once, and its timeline tells by which relay and why`, async () => {
  const first = await startScriptedServer({ pipelining: true });
  const { client } = await openAccount(relay.url, ADMIN_TOKEN);
  const relayOn = async (port: number, priority: number) =>
    (await client.post('/v1/relays', { host: '127.0.0.1', port, tls: 'none', priority })).body.id as string;
  const [firstId, secondId] = [await relayOn(first.port, 1), await relayOn(second.port, 2)];
  const ids: string[] = [];
  const dies = first.waitForMessages(BEFORE_DEATH).then(() => first.close());
  for (let sent = 0; sent < COUNT; sent += 100) {
    const batch = Array.from({ length: 100 }, (_, index) => ({
      from: 'sender@example.com',
      to: 'one@example.net',
      subject: `Number ${sent + index}`,
      text: 'A text',
    }));
    const { body } = await client.post('/v1/emails/batch', batch);
    ids.push(...body.data.map(({ id }: { id: string }) => id));
  }
  await dies;
  await client.until('/v1/account', (body) => body.statistics.backlog === 0, 120_000);

  const copies = new Map<string, string[]>();
  for (const [relayId, { messages }] of [
    [firstId, first],
    [secondId, second],
  ] as const) {
    for (const { data } of messages) {
      const messageId = /^Message-ID: (\S+)/im.exec(data.toString('latin1', 0, 4000))?.[1] ?? '';
      copies.set(messageId, [...(copies.get(messageId) ?? []), relayId]);
    }
  }
  const views: View[] = [];
  await inParallel(ids, 16, async (id) => {
    views.push((await client.get(`/v1/emails/${id}`)).body);
  });
  expect(copies.size).toBe(COUNT);
  let [doubts, extra, bySecond, failovers] = [0, 0, 0, 0];
  for (const { message_id, possible_duplicates, deliveries, timeline } of views) {
    const [delivery] = deliveries;
    const got = copies.get(message_id) ?? copies.get(`<${message_id}>`) ?? [];
    expect(delivery?.status).toBe('delivered');
    expect(got.length).toBeLessThanOrEqual(1 + possible_duplicates);
    expect(got).toContain(delivery?.relay);
    const last = timeline.at(-1);
    expect(last).toMatchObject({ type: 'delivered', relay: delivery?.relay });
    // Whatever stands between acceptance and delivery says which relay it was, and why.
    for (const event of timeline.slice(1, -1)) {
      expect(event.relay).toBe(firstId);
      expect(event.reason).toMatch(/^[a-z_]+$/);
    }
    doubts += possible_duplicates;
    extra += got.length - 1;
    if (delivery?.relay === secondId) bySecond++;
    if (timeline.some(({ type }) => type === 'relay.failover')) failovers++;
  }
  expect(extra).toBeLessThanOrEqual(doubts);
  // At most one for each session that was open when it died.
  expect(doubts).toBeLessThanOrEqual(6);
  expect(bySecond).toBeGreaterThan(0);
  expect(bySecond).toBeLessThanOrEqual(COUNT - BEFORE_DEATH + doubts);
  expect(failovers).toBeGreaterThan(0);
}, 180_000);
