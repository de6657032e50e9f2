/** How many events one Outbox carries to one endpoint that answers at once. What the figure means is in README.md. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf } from './figures.ts';
import { FROM, SMALL_TEXT, SUBJECT, TO } from './messages.ts';
import { startBenchServer } from './smtp-server.ts';

const EVENTS = 1000;
const BATCH = 100;
const RUNS = 3;
const MAIL = { from: FROM, to: TO, subject: SUBJECT, text: SMALL_TEXT };

/** The events are there already, so that nothing but their delivery is measured. */
export async function measureWebhook(): Promise<Figures> {
  const smtp = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const relay = await startBenchRelay({ entry: 'accept-worker.ts', port: smtp.port });
  const { client } = relay.account;
  try {
    for (let sent = 0; sent < EVENTS; sent += BATCH) {
      await client.post(
        '/v1/emails/batch',
        Array.from({ length: BATCH }, () => MAIL),
      );
    }
    await smtp.waitForMessages(EVENTS);
    const runs: number[] = [];
    for (let run = 0; run < RUNS; run++) runs.push(await perSecond(client));
    return { 'webhook.per_second': figureOf(runs, { unit: 'events/s', goal: 'none' }) };
  } finally {
    await relay.relay.stop();
    await smtp.stop();
  }
}

/** By a new webhook, which is sent everything from the beginning. */
async function perSecond(client: Awaited<ReturnType<typeof startBenchRelay>>['account']['client']) {
  const { promise: isDone, resolve } = Promise.withResolvers<void>();
  let received = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.end();
      if (++received === EVENTS) resolve();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const startedMs = performance.now();
  const { body } = await client.post('/v1/webhooks', { endpoint, events: ['email.delivered'] });
  await isDone;
  const seconds = (performance.now() - startedMs) / 1000;
  await client.call('DELETE', `/v1/webhooks/${body.id}`);
  server.closeAllConnections();
  server.close();
  return EVENTS / seconds;
}
