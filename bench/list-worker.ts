/** The Worker as it is, with an Outbox that can be filled with delivered mail without sending any. */
import { app } from '../src/app.ts';
import { newProgress } from '../src/delivery/progress.ts';
import type { Env } from '../src/env.ts';
import { newMessageIds } from '../src/ids.ts';
import { fixedTermsOf, type MessageToAccept, recipientsOf, sealMessage } from '../src/outbox/client.ts';
import type { Ledger } from '../src/outbox/ledger/ledger.ts';
import { Outbox as RealOutbox } from '../src/outbox/outbox.ts';
import { findAccountState } from '../src/services/account-state.ts';
import { operatorContext } from '../src/services/service-context.ts';

export { RelayGate } from '../src/relay-gate/relay-gate.ts';

const AT_ONCE = 500;
/** Between two messages, by their ids. */
const STEP_MS = 20;

/** A part of a ledger: which of its messages are rare, and which are not. */
export interface Filling {
  readonly from: number;
  readonly to: number;
  readonly total: number;
  /** As many messages for one certain recipient, and as many that failed, whatever the total. */
  readonly rare: number;
}

export class Outbox extends RealOutbox {
  async fill(messages: readonly MessageToAccept[], failed: ReadonlySet<string>): Promise<void> {
    const { ledger } = this as unknown as { ledger: Ledger };
    ledger.accept({ accountId: 'acc_bench', keyId: 'key_bench', messages }, Date.now());
    for (let item = ledger.queue.take(Date.now()); item; item = ledger.queue.take(Date.now())) {
      const progress = newProgress(item.progress.deliveries.length, item.acceptedAtMs);
      const status = failed.has(item.id) ? ('failed' as const) : ('delivered' as const);
      const delivery = {
        status,
        attempts: 1,
        relayId: 'rly_bench',
        code: 250,
        updatedAtMs: item.acceptedAtMs,
      };
      const deliveries = progress.deliveries.map(() => delivery);
      ledger.commit([{ item, progress: { ...progress, deliveries }, replies: undefined, dot: undefined }]);
    }
    ledger.queue.saveLowWater();
    await this.ctx.storage.sync();
  }
}

async function fill(env: Env, accountId: string, filling: Filling): Promise<void> {
  const { scope } = operatorContext(env, accountId, 'req_bench');
  const [key] = (await findAccountState(env, scope))?.dataKeys ?? [];
  if (!key) throw new Error('the account has no key');
  const outbox = env.OUTBOX.get(env.OUTBOX.idFromName(`${accountId}/0`)) as unknown as Outbox;
  const { from, to, total, rare } = filling;
  const every = Math.floor(total / rare);
  for (let start = from; start < to; start += AT_ONCE) {
    const failed = new Set<string>();
    const building = Array.from({ length: Math.min(AT_ONCE, to - start) }, (_, index) => {
      const number = start + index;
      const [id = ''] = newMessageIds(1, 0, Date.now() - (total - number) * STEP_MS);
      if (number % every === 1) failed.add(id);
      return messageOf(
        key,
        { accountId, id },
        number % every === 0 ? 'rare' : `user${number}`,
        number % 10 === 0,
      );
    });
    await outbox.fill(await Promise.all(building), failed);
  }
}

async function messageOf(
  key: Parameters<typeof sealMessage>[0],
  identity: { accountId: string; id: string },
  local: string,
  isTagged: boolean,
): Promise<MessageToAccept> {
  const mailbox = (name: string) => ({
    address: `${name}@example.com`,
    local: name,
    domain: 'example.com',
    smtpUtf8: false,
  });
  const summary = {
    from: mailbox('sender'),
    to: [mailbox(local)],
    cc: [],
    bcc: [],
    replyTo: [],
    subject: 'A subject of ordinary length',
    tags: [{ name: 'campaign', value: isTagged ? 'spring' : 'autumn' }],
    envelopeFrom: 'sender@example.com',
  };
  const head = { text: 'x'.repeat(400), headers: [], attachments: [] };
  const { fingerprint: _, ...sealed } = await sealMessage(key, identity, { summary, head, attachments: [] });
  const recipients = recipientsOf(summary);
  return {
    id: identity.id,
    recipientCount: recipients.length,
    terms: fixedTermsOf(
      key,
      recipients.map(({ address }) => address),
      summary.tags,
    ),
    ...sealed,
  };
}

/** `POST /bench/fill?account=…` with a `Filling`; everything else is the real API. */
export default {
  async fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== '/bench/fill') return app.fetch(request, env, context);
    await fill(env, searchParams.get('account') ?? '', await request.json());
    return new Response('done');
  },
} satisfies ExportedHandler<Env>;
