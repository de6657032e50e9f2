/** Rows written over the whole life of messages. What each figure means is in README.md. */
import { type BenchRelay, startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf, millisecondsOf } from './figures.ts';
import type { RowCount } from './ledger-worker.ts';
import { FROM, SMALL_TEXT, SUBJECT, TO } from './messages.ts';
import { importReaders } from './readers.ts';
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
  const batched = await rowsPerMessage((relay) => sendBatches(relay));
  const broadcast = await rowsPerMessage(sendBroadcast, (relay) => importReaders(relay, MESSAGES));
  const erased = await eraseRecipient();
  return {
    'ledger.rows_per_message': figureOf([alone], { unit: 'rows', goal: '<= 6' }),
    'ledger.rows_per_message_batch100': figureOf([batched], { unit: 'rows', goal: '<= 6' }),
    'ledger.rows_per_message_broadcast': figureOf([broadcast], { unit: 'rows', goal: '<= 6' }),
    'ledger.rows_per_erased_email': figureOf([erased.rows], { unit: 'rows', goal: 'none' }),
    'ledger.erase_ms_per_email': figureOf([erased.ms], { unit: 'ms', goal: 'none' }),
  };
}

async function sendBroadcast({ account }: BenchRelay, listId: string): Promise<void> {
  const { from, subject, text } = MAIL;
  const broadcast = { segment_id: listId, from, subject, text, send: true };
  const made = await account.client.post('/v1/broadcasts', broadcast);
  if (made.status !== 201) throw new Error(`no broadcast: ${JSON.stringify(made.body)}`);
}

async function sendBatches({ account }: BenchRelay, mail: object = MAIL): Promise<void> {
  const batch = Array.from({ length: BATCH }, () => mail);
  for (let number = 0; number < MESSAGES / BATCH; number++) {
    const headers = { 'idempotency-key': `key-${number}` };
    const sent = await account.client.post('/v1/emails/batch', batch, headers);
    if (sent.status !== 200) throw new Error(`not accepted: ${JSON.stringify(sent.body)}`);
  }
}

/** What is left of somebody's mail when he is erased: how many rows that writes, and how long the request takes. */
async function eraseRecipient(): Promise<{ readonly rows: number; readonly ms: number }> {
  return withCountingRelay(async (relay, { ask, server }) => {
    const { client } = relay.account;
    const email = 'reader@example.net';
    await client.post('/v1/contacts', { email });
    await sendBatches(relay, { ...MAIL, to: email });
    await server.waitForMessages(MESSAGES);
    await server.roundTrips();
    const before = (await ask('rows')) as RowCount;
    const ms = await millisecondsOf(async () => {
      const { status } = await client.call('DELETE', `/v1/contacts/${email}`);
      if (status !== 200) throw new Error(`not erased: ${status}`);
    });
    const after = (await ask('rows')) as RowCount;
    return { rows: (after.statements - before.statements) / MESSAGES, ms: ms / MESSAGES };
  });
}

type Ask = (what: string) => Promise<unknown>;
type BenchServer = Awaited<ReturnType<typeof startBenchServer>>;

async function withCountingRelay<T>(
  use: (relay: BenchRelay, counting: { readonly ask: Ask; readonly server: BenchServer }) => Promise<T>,
): Promise<T> {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const relay = await startBenchRelay({
    entry: 'ledger-worker.ts',
    port: server.port,
    // The pump is to come to rest, which writes too.
    settings: { SESSION_IDLE_MS: '200' },
  });
  const ask: Ask = async (what) => {
    const response = await fetch(new URL(`/bench/${what}?account=${relay.account.id}`, relay.relay.url));
    return response.json();
  };
  try {
    return await use(relay, { ask, server });
  } finally {
    await relay.relay.stop();
    await server.stop();
  }
}

/** Of an account that starts without mail and ends without: a count, so one run says it all. */
function rowsPerMessage(
  accept: (relay: BenchRelay, prepared: string) => Promise<void>,
  prepare?: (relay: BenchRelay) => Promise<string>,
): Promise<number> {
  return withCountingRelay(async (relay, { ask, server }) => {
    const prepared = await prepare?.(relay);
    // What prepares is not counted; without it, the schema is.
    const before = prepare ? ((await ask('rows')) as RowCount) : { statements: 0, alarms: 0 };
    await accept(relay, prepared ?? '');
    await server.waitForMessages(MESSAGES);
    // Answered once the idle session is closed.
    await server.roundTrips();
    const delivered = (await ask('rows')) as RowCount;
    const swept = (await ask('sweep')) as RowCount;
    if ((await ask('empty')) !== true) throw new Error('the sweep left something behind');
    const rows = swept.statements - before.statements;
    const alarms = swept.alarms - before.alarms;
    console.error(
      `rows of ${MESSAGES} messages: ${delivered.statements - before.statements} to delivery, ` +
        `${swept.statements - delivered.statements} by the sweep, ${alarms} alarms`,
    );
    return (rows + alarms) / MESSAGES;
  });
}
