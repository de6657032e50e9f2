/** From the HTTP request to the upstream's 250. What each figure means is in README.md. */
import { startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf, millisecondsOf, pairs, RUNS, ratios } from './figures.ts';
import { FROM, SUBJECT, TEXT_10_KB, TO } from './messages.ts';
import { sendWithNodemailer } from './nodemailer-pool.ts';
import { startBenchServer } from './smtp-server.ts';
import { findWorkerdCpu } from './workerd-cpu.ts';

const MESSAGES = 800;
const BATCH = 100;
/** What its pool has by default. */
const NODEMAILER_CONNECTIONS = 5;

export async function measurePath(): Promise<Figures> {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const { relay, account } = await startBenchRelay({ entry: '../src/worker.ts', port: server.port });
  const cpu = await findWorkerdCpu();
  const cpuMs: number[] = [];
  let expected = 0;
  const perSecond = async (work: () => Promise<unknown>) => {
    expected += MESSAGES;
    const elapsedMs = await millisecondsOf(async () => {
      await work();
      await server.waitForMessages(expected);
    });
    return (MESSAGES * 1000) / elapsedMs;
  };
  const mail = { from: FROM, to: TO, subject: SUBJECT, text: TEXT_10_KB };
  const batch = JSON.stringify(Array.from({ length: BATCH }, () => mail));
  const ours = async () => {
    const beforeMs = await cpu?.milliseconds();
    const found = await perSecond(async () => {
      for (let sent = 0; sent < MESSAGES; sent += BATCH) {
        const { status } = await account.client.post('/v1/emails/batch', batch);
        if (status !== 200) throw new Error(`a batch was answered ${status}`);
      }
    });
    const afterMs = await cpu?.milliseconds();
    if (beforeMs !== undefined && afterMs !== undefined) cpuMs.push((afterMs - beforeMs) / MESSAGES);
    return found;
  };
  const order = { port: server.port, messages: MESSAGES, connections: NODEMAILER_CONNECTIONS };
  const theirs = () => perSecond(() => sendWithNodemailer(order));
  try {
    await ours();
    await theirs();
    cpuMs.length = 0;
    const found = await pairs(RUNS, ours, theirs);
    if (!cpu) console.error('path: SKIPPED path.cpu_ms_per_message, the CPU time of workerd cannot be read');
    return {
      ...(cpu && { 'path.cpu_ms_per_message': figureOf(cpuMs, { unit: 'ms', goal: 'none' }) }),
      'path.messages_per_second': figureOf(found.ours, { unit: 'messages/s', goal: 'none' }),
      'path.vs_nodemailer_pooled': figureOf(ratios(found.ours, found.theirs), {
        unit: 'ratio',
        goal: 'none',
      }),
    };
  } finally {
    await relay.stop();
    await server.stop();
  }
}
