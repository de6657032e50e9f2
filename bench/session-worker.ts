/**
 * A Worker that sends messages in both ways that `session.ts` compares: `/ours` through this project's SMTP
 * session and delivery loop, without a ledger; `/worker-mailer` through that package, as its users do.
 */
import { DurableObject } from 'cloudflare:workers';
import { WorkerMailer } from 'worker-mailer';
import type { Step } from '../src/delivery/attempt.ts';
import { newProgress } from '../src/delivery/progress.ts';
import { parseMailbox } from '../src/mime/address.ts';
import { compose } from '../src/mime/compose.ts';
import type { Decision } from '../src/outbox/bookkeeper.ts';
import { type Desk, deliverOver } from '../src/outbox/deliver.ts';
import type { LedgerItem } from '../src/outbox/ledger/message-row.ts';
import type { PreparedMessage } from '../src/outbox/prepare.ts';
import { openRelaySession } from '../src/smtp/connection.ts';
import { FROM, SUBJECT, TEXT_10_KB, TO } from './messages.ts';

interface BenchEnv {
  readonly SENDER: DurableObjectNamespace<SenderBench>;
}

export interface SendOrder {
  readonly port: number;
  readonly messages: number;
  readonly sessions: number;
}

const TIMEOUTS = {
  connectMs: 10_000,
  bannerMs: 10_000,
  commandMs: 10_000,
  dataMs: 10_000,
  bodyWriteMs: 10_000,
  dotMs: 10_000,
};

export class SenderBench extends DurableObject<BenchEnv> {
  /** Resolves at the last verdict. The sessions say QUIT after it. */
  async send({ port, messages, sessions }: SendOrder): Promise<void> {
    let toPrepare = messages;
    let undelivered = messages;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const desk: Desk = {
      relayId: 'bench',
      next: async () => (toPrepare-- > 0 ? prepare() : undefined),
      waitForWork: (session) => session.quit(),
      maySend: async () => true,
      commit: async (decisions) => {
        undelivered -= decisions.filter(({ step }) => isDelivered(step)).length;
        if (undelivered === 0) resolve();
        return decisions.map(written);
      },
      isRevoked: () => false,
      release: () => reject(new Error('a session gave a message back')),
      closeRelay: () => ({ untilMs: 0, failover: false }),
      policyOf: () => 'retry',
      countDelivered: () => {},
      contextOf: (item) => ({
        relayId: 'bench',
        acceptedAtMs: item.acceptedAtMs,
        nowMs: Date.now(),
        random: 0,
        retry: { firstMs: 1000, maxMs: 1000, forMs: 1000 },
      }),
      isTooOld: () => false,
    };
    const runs = Array.from({ length: sessions }, async () => {
      const address = { host: '127.0.0.1', port, tls: 'none' as const };
      const session = await openRelaySession(address, {
        ehloName: 'bench.test',
        tls: 'none',
        timeouts: TIMEOUTS,
      });
      await deliverOver(session, desk);
    });
    Promise.all(runs).then(() => reject(new Error(`${undelivered} messages were not delivered`)), reject);
    await promise;
  }
}

async function prepare(): Promise<PreparedMessage> {
  const id = crypto.randomUUID();
  const acceptedAtMs = Date.now();
  const [from, to] = [FROM, TO].map((text) => {
    const parsed = parseMailbox(text);
    if (!parsed.ok) throw new Error(parsed.reason);
    return parsed.mailbox;
  });
  if (!from || !to) throw new Error('an address is missing');
  const source = { from, to: [to], cc: [], replyTo: [], subject: SUBJECT, text: TEXT_10_KB };
  const composed = await compose(
    {
      ...source,
      headers: [],
      attachments: [],
      messageId: `${id}@example.com`,
      dateMs: acceptedAtMs,
      boundarySeed: id.replaceAll('-', ''),
    },
    () => {
      throw new Error('there are no attachments');
    },
  );
  return {
    item: itemOf(id, acceptedAtMs),
    recipients: [0],
    envelope: {
      from: from.address,
      recipients: [to.address],
      sizeBytes: composed.sizeBytes,
      eightBit: composed.eightBit,
      smtpUtf8: false,
    },
    streamed: false,
    body: composed.pieces,
    sha256: () => id,
  };
}

function itemOf(id: string, acceptedAtMs: number): LedgerItem {
  return {
    id,
    acceptedAtMs,
    phase: 1,
    summary: new Uint8Array(),
    firstPiece: 0,
    headPieces: 0,
    attachmentPieces: 0,
    progress: newProgress(1, acceptedAtMs),
    replies: undefined,
    dot: undefined,
    dueAtMs: undefined,
  };
}

function written({ item, step, dot }: Decision): LedgerItem {
  return { ...item, progress: step.progress, dot };
}

function isDelivered({ progress }: Step): boolean {
  return progress.deliveries.every(({ status }) => status === 'delivered');
}

async function sendWithWorkerMailer({ port, messages }: SendOrder): Promise<void> {
  for (let sent = 0; sent < messages; sent++) {
    await WorkerMailer.send(
      { host: '127.0.0.1', port, startTls: false },
      { from: { name: 'Bench', email: 'bench@example.com' }, to: TO, subject: SUBJECT, text: TEXT_10_KB },
    );
  }
}

export default {
  async fetch(request, env) {
    const order = (await request.json()) as SendOrder;
    if (new URL(request.url).pathname === '/worker-mailer') await sendWithWorkerMailer(order);
    else await env.SENDER.get(env.SENDER.idFromName('bench')).send(order);
    return new Response('sent');
  },
} satisfies ExportedHandler<BenchEnv>;
