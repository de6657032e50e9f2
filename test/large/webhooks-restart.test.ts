/** A real `wrangler dev` process, killed the hard way while events are logged and carried. */
import { afterEach, expect, test } from 'vitest';
import { openAccount } from '../support/api-client.ts';
import { type DevServer, startDevServer } from '../support/dev-server.ts';
import { startScriptedServer } from '../support/scripted-smtp-server.ts';
import { startReceiver } from '../support/webhook-receiver.ts';

const MESSAGES = 60;
const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
const settings = {
  WATCHDOG_MS: '1000',
  RETRY_FIRST_MS: '200',
  SESSION_IDLE_MS: '200',
  WEBHOOK_RETRY_MS: '0,100,100,100,100,100',
};

const running: DevServer[] = [];

afterEach(async () => {
  for (const server of running.splice(0)) await server.kill();
});

test('kill -9 while mail is sent and events are carried loses no event, and a retry comes after the restart', {
  timeout: 300_000,
}, async () => {
  const smtp = await startScriptedServer({ pipelining: true });
  // The first event is refused until the restart: its retry must be remembered.
  let isRestarted = false;
  let refused = '';
  const receiver = await startReceiver((_n, { event }) =>
    event.data.email_id === refused && !isRestarted ? 500 : 200,
  );
  const first = await startDevServer({ settings: { ...settings, WEBHOOK_RETRY_MS: '0,5000,100,100' } });
  running.push(first);
  const { client } = await openAccount(first.url, first.adminToken, { relay: { port: smtp.port } });
  const hook = await client.post('/v1/webhooks', { endpoint: receiver.url, events: ['email.delivered'] });
  expect(hook.status).toBe(201);
  const sent: string[] = [];
  refused = (await client.post('/v1/emails', email)).body.id;
  await receiver.waitFor(1, ({ event }) => event.data.email_id === refused);
  for (let n = 0; n < MESSAGES / 20; n++) {
    const batch = await client.post(
      '/v1/emails/batch',
      Array.from({ length: 20 }, () => email),
    );
    sent.push(...batch.body.data.map(({ id }: { id: string }) => id));
  }
  // In the middle of it: some are told, others not yet.
  await receiver.waitFor(10);
  await first.kill();
  expect(receiver.received.length).toBeLessThan(MESSAGES);
  isRestarted = true;
  running.push(await startDevServer({ persistTo: first.persistTo, port: first.port, settings }));

  const idsTold = () => new Set(receiver.received.map(({ event }) => event.data.email_id));
  await receiver.waitFor(1, () => [...sent, refused].every((id) => idsTold().has(id)));
  await receiver.waitFor(2, ({ event }) => event.data.email_id === refused);
  // One event, one id, however often it was carried.
  const ids = new Map(receiver.received.map(({ event, headers }) => [event.id, headers['webhook-id']]));
  expect(receiver.received.every(({ event, headers }) => ids.get(event.id) === headers['webhook-id'])).toBe(
    true,
  );

  // The log says of every message just what its timeline says, and that it was sent.
  const logged = new Map<string, string[]>();
  let after = '';
  do {
    const { body } = await client.get(`/v1/events?limit=100${after}`);
    for (const { type, data } of body.data) {
      if (!data.email_id) continue;
      logged.set(data.email_id, [...(logged.get(data.email_id) ?? []), type]);
    }
    after = body.has_more ? `&after=${body.next}` : '';
  } while (after !== '');
  for (const id of [...sent, refused]) {
    const { timeline } = (await client.get(`/v1/emails/${id}`)).body;
    const expected = timeline.slice(1).map(({ type }: { type: string }) => `email.${type}`);
    expect(logged.get(id)).toEqual(['email.sent', ...expected]);
  }
  await smtp.close();
});
