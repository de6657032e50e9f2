/** Rows written over the whole life of messages. What each figure means is in README.md. */
import { type BenchRelay, startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf } from './figures.ts';
import type { RowCount } from './ledger-worker.ts';
import { FROM, SMALL_TEXT, SUBJECT, TO } from './messages.ts';
import { startBenchServer } from './smtp-server.ts';

const MESSAGES = 500;
const BATCH = 100;
const MAIL = { from: FROM, to: TO, subject: SUBJECT, text: SMALL_TEXT };

export async function measureLedger(): Promise<Figures> {
  const alone = await rowsPerMessage(async ({ account }) => {
    for (let number = 0; number < MESSAGES; number++) {
      const sent = await account.client.post('/v1/emails', MAIL, { 'idempotency-key': `key-${number}` });
      if (sent.status !== 200) throw new Error(`not accepted: ${JSON.stringify(sent.body)}`);
    }
  });
  const batched = await rowsPerMessage(async ({ account }) => {
    const batch = Array.from({ length: BATCH }, () => MAIL);
    for (let number = 0; number < MESSAGES / BATCH; number++) {
      const headers = { 'idempotency-key': `key-${number}` };
      const sent = await account.client.post('/v1/emails/batch', batch, headers);
      if (sent.status !== 200) throw new Error(`not accepted: ${JSON.stringify(sent.body)}`);
    }
  });
  return {
    'ledger.rows_per_message': figureOf([alone], { unit: 'rows', goal: '<= 6' }),
    'ledger.rows_per_message_batch100': figureOf([batched], { unit: 'rows', goal: '<= 6' }),
  };
}

/** Of an account that starts with nothing and ends with nothing: a count, so one run says it all. */
async function rowsPerMessage(accept: (relay: BenchRelay) => Promise<void>): Promise<number> {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const relay = await startBenchRelay({
    entry: 'ledger-worker.ts',
    port: server.port,
    // The pump is to come to rest, which writes too.
    settings: { SESSION_IDLE_MS: '200' },
  });
  const ask = async (what: string): Promise<unknown> => {
    const response = await fetch(new URL(`/bench/${what}?account=${relay.account.id}`, relay.relay.url));
    return response.json();
  };
  try {
    await accept(relay);
    await server.waitForMessages(MESSAGES);
    // Answered once the idle session is closed.
    await server.roundTrips();
    const delivered = (await ask('rows')) as RowCount;
    const swept = (await ask('sweep')) as RowCount;
    if ((await ask('empty')) !== true) throw new Error('the sweep left something behind');
    const total = swept.statements + swept.alarms;
    console.error(
      `rows of ${MESSAGES} messages: ${delivered.statements} to delivery, ` +
        `${swept.statements - delivered.statements} by the sweep, ${swept.alarms} alarms`,
    );
    return total / MESSAGES;
  } finally {
    await relay.relay.stop();
    await server.stop();
  }
}
