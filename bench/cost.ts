/** What a million messages cost at list price. The formula, and what each figure means, is in README.md. */
import { type BenchRelay, startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf, millisecondsOf } from './figures.ts';
import type { CallCount, RowCount } from './ledger-worker.ts';
import { FROM, SUBJECT, TEXT_10_KB, TO } from './messages.ts';
import { type BenchServer, startBenchServer } from './smtp-server.ts';
import { findWorkerdCpu } from './workerd-cpu.ts';

/** US dollars, Workers Paid, without the quotas that are included. */
const PRICE = {
  millionWorkerRequests: 0.3,
  millionCpuMs: 0.02,
  millionObjectRequests: 0.15,
  millionGigabyteSeconds: 12.5,
  millionRowsWritten: 1,
  millionRowsRead: 0.001,
};
const OBJECT_GIGABYTES = 0.128;
/** No statement on the way of a message reads more rows of D1. */
const D1_ROWS_PER_STATEMENT = 10;
const MONTH_MS = 30 * 24 * 60 * 60 * 1000;
const MILLION = 1_000_000;

const BURST_MESSAGES = 1500;
const BATCH = 100;
const TRICKLE_MESSAGES = 150;
/** The month passes so much faster: everything that depends on time is divided by it. */
const TRICKLE_SPEED = 20;

const MAIL = { from: FROM, to: TO, subject: SUBJECT, text: TEXT_10_KB };

/** Of one message, on average. */
interface Use extends CallCount {
  readonly rowsWritten: number;
  readonly rowsRead: number;
  readonly cpuMs: number;
  /** How long the object was awake. */
  readonly awakeMs: number;
}

export async function measureCost(): Promise<Figures> {
  const burst = await useOf(BURST_MESSAGES, {}, async ({ account }) => {
    const batch = Array.from({ length: BATCH }, () => MAIL);
    for (let sent = 0; sent < BURST_MESSAGES; sent += BATCH)
      await accepted(account, 'emails/batch', batch, sent);
  });
  const faster = (ms: number) => String(Math.round(ms / TRICKLE_SPEED));
  const settings = {
    SESSION_IDLE_MS: faster(15_000),
    SESSION_MAX_AGE_MS: faster(14 * 60_000),
    WATCHDOG_MS: faster(30_000),
    SENDING_STATE_TTL_MS: faster(10_000),
  };
  const trickle = await useOf(TRICKLE_MESSAGES, settings, async ({ account }) => {
    const startedMs = performance.now();
    for (let sent = 0; sent < TRICKLE_MESSAGES; sent++) {
      await accepted(account, 'emails', MAIL, sent);
      const nextMs = startedMs + ((sent + 1) * MONTH_MS) / MILLION / TRICKLE_SPEED;
      await new Promise((resolve) => setTimeout(resolve, nextMs - performance.now()));
    }
  });
  // Its open session keeps the object awake from one message to the next.
  const overAMonth = { ...trickle, awakeMs: MONTH_MS / MILLION };
  return {
    'cost.usd_per_million': figureOf([dollars('burst', burst)], { unit: 'USD', goal: '<= 7' }),
    'cost.usd_per_million_trickle': figureOf([dollars('trickle', overAMonth)], {
      unit: 'USD',
      goal: 'none',
    }),
  };
}

/** Prints what the sum is made of. */
function dollars(name: string, use: Use): number {
  const parts = {
    'rows written': use.rowsWritten * PRICE.millionRowsWritten,
    'object duration': (use.awakeMs / 1000) * OBJECT_GIGABYTES * PRICE.millionGigabyteSeconds,
    'Worker requests': use.workerRequests * PRICE.millionWorkerRequests,
    'object requests': use.objectRequests * PRICE.millionObjectRequests,
    CPU: use.cpuMs * PRICE.millionCpuMs,
    'rows read': (use.rowsRead + use.d1Statements * D1_ROWS_PER_STATEMENT) * PRICE.millionRowsRead,
  };
  const terms = Object.entries(parts).map(([part, usd]) => `${part} ${usd.toFixed(3)}`);
  console.error(`cost of a million, ${name}, USD: ${terms.join(', ')}`);
  return Object.values(parts).reduce((sum, usd) => sum + usd, 0);
}

/** After the first message, which makes tables and wakes things up. */
async function useOf(
  messages: number,
  settings: Readonly<Record<string, string>>,
  send: (relay: BenchRelay) => Promise<void>,
): Promise<Use> {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const relay = await startBenchRelay({ entry: 'ledger-worker.ts', port: server.port, settings });
  const cpu = await findWorkerdCpu();
  const readings = async () => ({
    rows: (await ask(relay, 'rows')) as RowCount,
    calls: (await ask(relay, 'calls')) as CallCount,
    cpuMs: (await cpu?.milliseconds()) ?? 0,
  });
  try {
    await accepted(relay.account, 'emails', MAIL, -1);
    await delivered(relay, server, 1);
    const before = await readings();
    const awakeMs = await millisecondsOf(async () => {
      await send(relay);
      await delivered(relay, server, messages + 1);
    });
    const after = await readings();
    const each = (then: number, now: number) => (now - then) / messages;
    return {
      rowsWritten: each(
        before.rows.statements + before.rows.alarms,
        after.rows.statements + after.rows.alarms,
      ),
      rowsRead: each(before.rows.rowsRead, after.rows.rowsRead),
      workerRequests: each(before.calls.workerRequests, after.calls.workerRequests),
      objectRequests: each(before.calls.objectRequests, after.calls.objectRequests),
      d1Statements: each(before.calls.d1Statements, after.calls.d1Statements),
      cpuMs: each(before.cpuMs, after.cpuMs),
      awakeMs: awakeMs / messages,
    };
  } finally {
    await relay.relay.stop();
    await server.stop();
  }
}

/** Until the last verdict is written, too. */
async function delivered(relay: BenchRelay, server: BenchServer, count: number): Promise<void> {
  await server.waitForMessages(count);
  while ((await ask(relay, 'backlog')) !== 0) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function ask({ relay, account }: BenchRelay, what: string): Promise<unknown> {
  const response = await fetch(new URL(`/bench/${what}?account=${account.id}`, relay.url));
  return response.json();
}

async function accepted(
  { client }: BenchRelay['account'],
  path: string,
  body: unknown,
  number: number,
): Promise<void> {
  const { status } = await client.post(`/v1/${path}`, body, { 'idempotency-key': `key-${number}` });
  if (status !== 200) throw new Error(`${path} was answered ${status}`);
}
