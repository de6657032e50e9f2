/** Accepting mail over HTTP, beside a bare echo. What each figure means is in README.md. */
import { startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf, pairs, RUNS, ratios } from './figures.ts';
import { freePort } from './free-port.ts';
import { LoadClient } from './load-client.ts';
import { FROM, SMALL_TEXT, SUBJECT, TEXT_10_KB, TO } from './messages.ts';

const CONNECTIONS = 32;
/** Until V8 has compiled what is run often. */
const WARM_UP_MS = 6000;
/** Long enough for each side to collect its own garbage: what one leaves is collected in the turn of the other. */
const RUN_MS = 4000;
const BATCH = 100;

export async function measureAccept(): Promise<Figures> {
  // Nothing is delivered meanwhile: the upstream refuses the connection, and the next attempt is far away.
  const { relay, headers } = await startBenchRelay({
    entry: 'accept-worker.ts',
    port: await freePort(),
    settings: { RETRY_FIRST_MS: '3600000', RETRY_MAX_MS: '3600000' },
  });
  const email = JSON.stringify({ from: FROM, to: TO, subject: SUBJECT, text: TEXT_10_KB });
  const small = { from: FROM, to: TO, subject: SUBJECT, text: SMALL_TEXT };
  const load = { url: relay.url, headers, connections: CONNECTIONS };
  const accept = new LoadClient({ ...load, path: '/v1/emails', body: email });
  const echo = new LoadClient({ ...load, path: '/echo', body: email });
  const bare = new LoadClient({ ...load, path: '/bare', body: email });
  const batch = new LoadClient({
    ...load,
    path: '/v1/emails/batch',
    body: JSON.stringify(Array.from({ length: BATCH }, () => small)),
    connections: 4,
  });
  try {
    for (const client of [accept, echo, bare, batch]) await client.perSecond(WARM_UP_MS);
    const { ours, theirs } = await pairs(
      RUNS + 2,
      () => accept.perSecond(RUN_MS),
      () => echo.perSecond(RUN_MS),
    );
    const toBare = await pairs(
      RUNS,
      () => accept.perSecond(RUN_MS),
      () => bare.perSecond(RUN_MS),
    );
    const batches: number[] = [];
    for (let run = 0; run < RUNS; run++) batches.push(BATCH * (await batch.perSecond(RUN_MS)));
    return {
      'accept.vs_echo': figureOf(ratios(ours, theirs), { unit: 'ratio', goal: '>= 0.2' }),
      'accept.vs_bare': figureOf(ratios(toBare.ours, toBare.theirs), { unit: 'ratio', goal: 'none' }),
      'accept.bare_requests_per_second': figureOf(toBare.theirs, { unit: 'messages/s', goal: 'none' }),
      'accept.batch100_messages_per_second': figureOf(batches, { unit: 'messages/s', goal: 'none' }),
      'accept.requests_per_second': figureOf(ours, { unit: 'messages/s', goal: 'none' }),
      'accept.echo_requests_per_second': figureOf(theirs, { unit: 'requests/s', goal: 'none' }),
    };
  } finally {
    await relay.stop();
  }
}
