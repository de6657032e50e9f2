/** SMTP sessions beside worker-mailer and nodemailer. What each figure means is in README.md. */
import { join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { bundleWorker } from '../test/support/relay-under-test.ts';
import { type Figures, figureOf, pairs, RUNS, ratios } from './figures.ts';
import { sendWithNodemailer } from './nodemailer-pool.ts';
import type { SendOrder } from './session-worker.ts';
import { type BenchServer, startBenchServer } from './smtp-server.ts';

/** A round trip of 20 ms. */
const ONE_WAY_MS = 10;
const WARM_MESSAGES = 200;

type Send = (path: 'ours' | 'worker-mailer', order: SendOrder) => Promise<void>;

export async function measureSession(): Promise<Figures> {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: [
        {
          type: 'ESModule',
          path: 'session-worker.js',
          contents: await bundleWorker(join(import.meta.dirname, 'session-worker.ts')),
        },
      ],
      compatibilityDate: '2026-10-27',
      compatibilityFlags: ['nodejs_compat'],
      durableObjects: { SENDER: { className: 'SenderBench', useSQLite: true } },
      host: '127.0.0.1',
      port: 0,
      handleStructuredLogs: () => {},
      log: new Log(LogLevel.ERROR),
    }),
  );
  const url = await miniflare.ready;
  const send: Send = async (path, order) => {
    const response = await fetch(new URL(path, url), { method: 'POST', body: JSON.stringify(order) });
    if (!response.ok) throw new Error(`${path}: ${(await response.text()).slice(0, 500)}`);
  };
  try {
    return {
      'session.round_trips_warm': await warmRoundTrips(send),
      ...(await withPipelining(send)),
      ...(await withoutPipelining(send)),
    };
  } finally {
    await miniflare.dispose();
  }
}

/** What a session of one message costs goes off: greeting, first envelope, QUIT. */
async function warmRoundTrips(send: Send) {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const roundTrips = async (messages: number) => {
    const before = await server.roundTrips();
    await send('ours', { port: server.port, messages, sessions: 1 });
    return (await server.roundTrips()) - before;
  };
  const values: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const cold = await roundTrips(1);
    values.push(((await roundTrips(WARM_MESSAGES + 1)) - cold) / WARM_MESSAGES);
  }
  await server.stop();
  return figureOf(values, { unit: 'round trips', goal: '<= 1' });
}

async function withPipelining(send: Send): Promise<Figures> {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: ONE_WAY_MS });
  const { port } = server;
  // The first messages of each side compile its code.
  await send('ours', { port, messages: 20, sessions: 1 });
  await send('worker-mailer', { port, messages: 2, sessions: 1 });
  const mailer = await pairs(
    RUNS,
    paceOf(server, () => send('ours', { port, messages: 100, sessions: 1 })),
    paceOf(server, () => send('worker-mailer', { port, messages: 10, sessions: 1 })),
  );
  const pooled = await besideNodemailer(send, server, { messages: 60, sessions: 1 });
  await server.stop();
  return {
    'session.vs_worker_mailer_rtt20': figureOf(ratios(mailer.theirs, mailer.ours), {
      unit: 'ratio',
      goal: '>= 7.5',
    }),
    'session.vs_nodemailer_pooled_rtt20': figureOf(pooled, { unit: 'ratio', goal: '>= 1.9' }),
  };
}

async function withoutPipelining(send: Send): Promise<Figures> {
  const server = await startBenchServer({ pipelining: false, oneWayDelayMs: ONE_WAY_MS });
  const one = await besideNodemailer(send, server, { messages: 16, sessions: 1 });
  const four = await besideNodemailer(send, server, { messages: 64, sessions: 4 });
  await server.stop();
  // Both wait for four replies a message: there is nothing to win, only something to lose.
  const kind = { unit: 'ratio', goal: '>= 0.95' };
  return {
    'session.no_pipelining_1_vs_nodemailer': figureOf(one, kind),
    'session.no_pipelining_4_vs_nodemailer': figureOf(four, kind),
  };
}

interface Load {
  readonly messages: number;
  /** As many connections in nodemailer's pool. */
  readonly sessions: number;
}

/** The time of nodemailer's pool divided by ours. */
async function besideNodemailer(send: Send, server: BenchServer, load: Load): Promise<number[]> {
  const { port } = server;
  const { messages, sessions } = load;
  await sendWithNodemailer({ port, messages: 5, connections: 1 });
  const { ours, theirs } = await pairs(
    RUNS,
    paceOf(server, () => send('ours', { port, ...load })),
    paceOf(server, () => sendWithNodemailer({ port, messages, connections: sessions })),
  );
  return ratios(theirs, ours);
}

/** Milliseconds a message, from the first to the last one at the server: opening a session is not in it. */
function paceOf(server: BenchServer, work: () => Promise<void>): () => Promise<number> {
  return async () => {
    await server.pace();
    await work();
    return server.pace();
  };
}
