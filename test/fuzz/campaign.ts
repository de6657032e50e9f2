/**
 * Fuzzes every operation of the API's description against the real Worker. What is asked follows from the
 * seed alone; which ids the requests carry depends on the answers, several of which are awaited at a time.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { ADMIN_TOKEN, startRelay } from '../support/relay-under-test.ts';
import { startScriptedServer } from '../support/scripted-smtp-server.ts';
import { ResponseValidator } from '../support/validate-response.ts';
import { Coverage } from './coverage.ts';
import { SECRET_MARK, TEXT_MARK } from './hostile.ts';
import { type Fault, faultOf } from './judge.ts';
import { type Operation, operationsOf } from './operations.ts';
import { type Plan, requestsTo } from './requests.ts';
import { Sending } from './send.ts';
import { ADDRESSES } from './tokens.ts';
import { SMTP_LOGIN, Values } from './values.ts';
import { type Sent, World } from './world.ts';

/** Requests that are under way at a time. */
const WIDTH = 12;
/** Plans of one operation that are made together: enough for fast-check to vary, few enough to keep. */
const CHUNK = 25;
/**
 * Some operations need several things to be there at once, and chance may never bring them together. After the campaign
 * such a one gets a part of each round for itself.
 */
const ROUND = 1000;
const SHRUNK_FINDINGS = 5;
const SHRINK_WITHIN_MS = 15_000;

export interface CampaignOptions {
  readonly seed: number;
  readonly requests: number;
  /** What is asked for once more where an operation never succeeded, or was never refused. */
  readonly maxRounds?: number;
  readonly onProgress?: (done: number) => void;
}

export interface Finding {
  readonly operation: Operation;
  readonly fault: Fault;
  readonly sent: Sent;
  /** The smallest request with the same kind of fault, where it is still to be had. */
  readonly shrunk: Sent | undefined;
}

export interface CampaignResult {
  readonly requests: number;
  readonly operations: number;
  readonly serverErrors: number;
  readonly invalidAnswers: number;
  /** The first of each kind and operation. */
  readonly findings: readonly Finding[];
  /** Operations that never succeeded, or were never refused. */
  readonly uncovered: readonly string[];
}

interface Draft {
  readonly operation: Operation;
  readonly arbitrary: fc.Arbitrary<Plan>;
  readonly plan: Plan;
  readonly seed: number;
  readonly index: number;
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const validator = new ResponseValidator();
  const operations = operationsOf(validator);
  const smtp = await startFickleSmtp();
  const sink = createServer((request, response) => request.resume().on('end', () => response.end()));
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  const leakedLines: string[] = [];
  const relay = await startRelay({
    direct: true,
    settings: settingsFor(smtp.port),
    onLog(line) {
      if (line.includes(TEXT_MARK) || line.includes(SECRET_MARK)) leakedLines.push(line);
    },
  });
  const sending = new Sending(relay.url, WIDTH);
  try {
    const sinkUrl = `http://127.0.0.1:${(sink.address() as AddressInfo).port}/hook`;
    const world = new World({ url: relay.url, adminToken: ADMIN_TOKEN, smtpPort: smtp.port, sinkUrl });
    const values = new Values({ validator, smtpPort: smtp.port, sinkUrl });
    const coverage = new Coverage();
    const faults: { draft: Draft; sent: Sent; fault: Fault }[] = [];
    await world.open();

    const judge = async ({ operation, plan }: Pick<Draft, 'operation' | 'plan'>) => {
      const sent = await world.made(plan);
      const secrets = world.secrets();
      try {
        const answer = await sending.send(sent);
        coverage.count(operation, answer);
        const fault = faultOf({ operation, sent, answer, secrets }, validator);
        if (!fault) world.learn(operation, plan, { sent, answer });
        return { sent, fault };
      } catch (error) {
        const fault: Fault = { kind: 'server error', text: `no answer: ${(error as Error).message}` };
        return { sent, fault };
      }
    };

    let done = 0;
    const run = async (drafts: Generator<Draft>) => {
      const work = async () => {
        for (const draft of drafts) {
          const { sent, fault } = await judge(draft);
          if (fault) faults.push({ draft, sent, fault });
          done++;
          if (done % 1000 === 0) options.onProgress?.(done);
        }
      };
      await Promise.all(Array.from({ length: WIDTH }, work));
    };
    await run(draftsOf(operations, values, options));
    for (let round = 1; round <= (options.maxRounds ?? 0); round++) {
      const uncovered = coverage.uncovered(operations);
      if (uncovered.length === 0) break;
      const seed = options.seed + 1_000_000 * round;
      const more = favouring(uncovered, operations);
      await run(draftsOf(more, values, { seed, requests: ROUND }));
    }

    const findings: Finding[] = [];
    for (const { draft, sent, fault } of firstOfEach(faults)) {
      let shrunk: Sent | undefined;
      if (findings.length < SHRUNK_FINDINGS) {
        const isRight = async (plan: Plan) => {
          const again = await judge({ operation: draft.operation, plan });
          if (again.fault?.kind === fault.kind) shrunk = again.sent;
          return again.fault?.kind !== fault.kind;
        };
        await fc.check(fc.asyncProperty(draft.arbitrary, isRight), {
          seed: draft.seed,
          path: String(draft.index),
          numRuns: 1,
          interruptAfterTimeLimit: SHRINK_WITHIN_MS,
        });
      }
      findings.push({ operation: draft.operation, fault, sent, shrunk });
    }
    const countOf = (kind: Fault['kind']) => faults.filter(({ fault }) => fault.kind === kind).length;
    return {
      requests: done,
      operations: operations.length,
      serverErrors: countOf('server error'),
      invalidAnswers: countOf('invalid answer'),
      findings,
      uncovered: [
        ...coverage.missing(operations),
        ...leakedLines.slice(0, 3).map((line) => `the log has content of a request: ${line}`),
      ],
    };
  } finally {
    sending.close();
    await relay.stop();
    await smtp.close();
    sink.closeAllConnections();
    await new Promise((resolve) => sink.close(resolve));
  }
}

/** Nothing here should be refused for want of room: that is another test's. What routes need is switched on. */
function settingsFor(smtpPort: number): Record<string, string> {
  const { username, secret } = SMTP_LOGIN;
  return {
    LOG_REQUESTS: 'all',
    KEY_MESSAGES_PER_SECOND: '100000',
    BACKLOG_LIMIT: '10000000',
    REQUEST_BODY_LIMIT_BYTES: String(1024 * 1024),
    ISOLATE_BODY_LIMIT_BYTES: String(64 * 1024 * 1024),
    CONNECT_TIMEOUT_MS: '2000',
    SESSION_IDLE_MS: '500',
    // Insists on STARTTLS, which the server does not have: mail of the deployment's own is accepted, and waits.
    RELAY_URL: `smtp://${username}:${secret}@127.0.0.1:${smtpPort}`,
    ALLOW_PRIVATE_WEBHOOKS: 'true',
    WEBHOOK_TIMEOUT_MS: '2000',
    REGISTRATION: 'open',
    SYSTEM_FROM: 'system@example.com',
  };
}

/** As many turns for the wanted ones together as for all the others, which make what those need. */
function favouring(wanted: readonly Operation[], operations: readonly Operation[]): Operation[] {
  return operations.flatMap((operation, at) => [
    operation,
    ...wanted.slice(at % wanted.length, (at % wanted.length) + 1),
  ]);
}

/** Every operation in turn; those with a body twice, since more can be wrong with them. */
function* draftsOf(
  operations: readonly Operation[],
  values: Values,
  options: CampaignOptions,
): Generator<Draft> {
  const streams = operations.flatMap((operation, at) => {
    const arbitrary = requestsTo(operation, values);
    const times = operation.bodies.length > 0 ? 2 : 1;
    return Array.from({ length: times }, (_, copy) =>
      draftStream(operation, arbitrary, options.seed + 1000 * at + copy),
    );
  });
  for (let count = 0; count < options.requests; count++) {
    const next = streams[count % streams.length]?.next();
    if (next && !next.done) yield next.value;
  }
}

function* draftStream(
  operation: Operation,
  arbitrary: fc.Arbitrary<Plan>,
  firstSeed: number,
): Generator<Draft> {
  for (let seed = firstSeed | 0; ; seed = (seed + 1_000_003) | 0) {
    const plans = fc.sample(arbitrary, { seed, numRuns: CHUNK });
    for (const [index, plan] of plans.entries()) yield { operation, arbitrary, plan, seed, index };
  }
}

function firstOfEach<T extends { draft: Draft; fault: Fault }>(faults: readonly T[]): T[] {
  const seen = new Map<string, T>();
  for (const one of faults) {
    const key = `${one.draft.operation.at} ${one.fault.kind}`;
    if (!seen.has(key)) seen.set(key, one);
  }
  return [...seen.values()];
}

/** Takes mail, or does what the recipient's name says. */
function startFickleSmtp() {
  const doubtful = new WeakSet<object>();
  return startScriptedServer({
    auth: { methods: ['PLAIN', 'LOGIN'], ...SMTP_LOGIN },
    hooks: {
      RCPT(connection, _verb, argument) {
        if (argument.includes(ADDRESSES.refused)) return '550 5.1.1 no such user';
        if (argument.includes(ADDRESSES.deferred)) return '450 4.2.1 busy';
        if (argument.includes(ADDRESSES.doubtful)) doubtful.add(connection);
        return undefined;
      },
      DOT: (connection) => (doubtful.has(connection) ? { reset: true, store: true } : undefined),
    },
  });
}
