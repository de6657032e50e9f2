/** HTTP accept to the server's 250, beside smtp-source → Postfix → smtp-sink. What each figure means is in README.md. */
import { startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf, millisecondsOf, pairs, RUNS, ratios } from './figures.ts';
import { LoadClient } from './load-client.ts';
import { FROM, SUBJECT, TEXT_10_KB, TO } from './messages.ts';
import { missingForPostfix, sendWithSmtpSource, startPostfix, startSmtpSink } from './postfix.ts';

const MESSAGES = 600;
const BATCH = 100;
/** One message at a time on each, on both sides. */
const SINGLE_CONNECTIONS = 32;
const BATCH_CONNECTIONS = 4;
const MESSAGES_PER_SECOND = { unit: 'messages/s', goal: 'none' };

/** More than elsewhere: four processes on two cores scatter. */
const PAIRS = RUNS + 4;

export async function measurePostfix(): Promise<Figures> {
  const missing = await missingForPostfix();
  if (missing) {
    console.error(`postfix: SKIPPED, ${missing}: no path.vs_postfix_single and no path.vs_postfix_batch`);
    return {};
  }
  const sink = await startSmtpSink();
  const postfix = await startPostfix(sink.port);
  const { relay, headers } = await startBenchRelay({ entry: '../src/worker.ts', port: sink.port });
  let expected = 0;
  const perSecond = (send: () => Promise<unknown>) => async () => {
    expected += MESSAGES;
    const elapsedMs = await millisecondsOf(async () => {
      await send();
      await sink.waitForMessages(expected);
    });
    return (MESSAGES * 1000) / elapsedMs;
  };
  const mail = { from: FROM, to: TO, subject: SUBJECT, text: TEXT_10_KB };
  const http = (path: string, body: unknown, connections: number) =>
    new LoadClient({ url: relay.url, path, headers, body: JSON.stringify(body), connections });
  const single = http('/v1/emails', mail, SINGLE_CONNECTIONS);
  const batch = http(
    '/v1/emails/batch',
    Array.from({ length: BATCH }, () => mail),
    BATCH_CONNECTIONS,
  );
  const source = { port: postfix.port, messages: MESSAGES, bytes: TEXT_10_KB.length };
  const sides = {
    single: perSecond(() => single.send(MESSAGES)),
    batch: perSecond(() => batch.send(MESSAGES / BATCH)),
    postfixSingle: perSecond(() =>
      sendWithSmtpSource({ ...source, sessions: SINGLE_CONNECTIONS, keepsSessions: false }),
    ),
    postfixBatch: perSecond(() =>
      sendWithSmtpSource({ ...source, sessions: BATCH_CONNECTIONS, keepsSessions: true }),
    ),
  };
  try {
    for (const warmUp of [sides.single, sides.batch, sides.postfixSingle]) await warmUp();
    const alone = await pairs(PAIRS, sides.single, sides.postfixSingle);
    const batched = await pairs(PAIRS, sides.batch, sides.postfixBatch);
    return {
      'path.vs_postfix_single': figureOf(ratios(alone.ours, alone.theirs), { unit: 'ratio', goal: '>= 1' }),
      'path.vs_postfix_batch': figureOf(ratios(batched.ours, batched.theirs), {
        unit: 'ratio',
        goal: '>= 3',
      }),
      'path.single_messages_per_second': figureOf(alone.ours, MESSAGES_PER_SECOND),
      'path.postfix_single_messages_per_second': figureOf(alone.theirs, MESSAGES_PER_SECOND),
      'path.batch100_messages_per_second': figureOf(batched.ours, MESSAGES_PER_SECOND),
      'path.postfix_batch_messages_per_second': figureOf(batched.theirs, MESSAGES_PER_SECOND),
    };
  } finally {
    await relay.stop();
    await postfix.stop();
    await sink.stop();
  }
}
