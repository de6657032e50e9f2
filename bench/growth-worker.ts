/** An object with a ledger and nothing else, which goes through whole lives of messages on it. */
import { DurableObject } from 'cloudflare:workers';
import { newProgress, type Progress } from '../src/delivery/progress.ts';
import { newMessageIds } from '../src/ids.ts';
import { LedgerDatabase } from '../src/outbox/ledger/database.ts';
import { Ledger } from '../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../src/outbox/ledger/message-row.ts';

interface GrowthEnv {
  readonly LEDGER: DurableObjectNamespace<LedgerBench>;
}

const SUMMARY = new Uint8Array(120).fill(7);
const HEAD = new Uint8Array(400).fill(7);
/** So many share a sync, as under load. */
const AT_ONCE = 20;
/** As in `bookkeeper.ts`. */
const COMMITS_PER_LOW_WATER = 500;

export class LedgerBench extends DurableObject<GrowthEnv> {
  private readonly ledger: Ledger;
  private commits = 0;

  constructor(ctx: DurableObjectState, env: GrowthEnv) {
    super(ctx, env);
    this.ledger = new Ledger(new LedgerDatabase(ctx.storage));
  }

  /** Messages that were accepted together and are delivered. Only the last step of each is written. */
  async fill(count: number): Promise<void> {
    for (let filled = 0; filled < count; filled += AT_ONCE) {
      this.accept(AT_ONCE);
      this.ledger.commit(this.takeAll().map((item) => changeOf(item, 'delivered')));
    }
    this.ledger.queue.saveLowWater();
  }

  /** Each accepted, taken, at its dot and delivered on its own, with a transaction for every step. */
  async live(count: number): Promise<void> {
    const { ledger } = this;
    for (let lived = 0; lived < count; lived += AT_ONCE) {
      for (let one = 0; one < AT_ONCE; one++) this.accept(1);
      await this.ctx.storage.sync();
      const atDot = this.takeAll().flatMap((item) => this.commit(item, 'sending'));
      await this.ctx.storage.sync();
      for (const item of atDot) this.commit(item, 'delivered');
      await this.ctx.storage.sync();
    }
    if (ledger.backlog !== 0) throw new Error('a message was left over');
  }

  private accept(count: number): void {
    const nowMs = Date.now();
    const messages = newMessageIds(count, 0, nowMs).map((id) => ({
      id,
      recipientCount: 1,
      summary: SUMMARY,
      head: [HEAD],
      attachments: [],
    }));
    this.ledger.accept({ accountId: 'acc_bench', keyId: 'key_bench', messages }, nowMs);
  }

  private takeAll(): LedgerItem[] {
    const items: LedgerItem[] = [];
    for (;;) {
      const item = this.ledger.queue.take(Date.now());
      if (!item) return items;
      items.push(item);
    }
  }

  private commit(item: LedgerItem, status: 'sending' | 'delivered'): LedgerItem[] {
    this.commits++;
    if (this.commits % COMMITS_PER_LOW_WATER === 0) this.ledger.queue.saveLowWater();
    return this.ledger.commit([changeOf(item, status)]);
  }
}

function changeOf(item: LedgerItem, status: 'sending' | 'delivered') {
  return {
    item,
    progress: progressOf(item, status),
    replies: undefined,
    dot:
      status === 'sending'
        ? { relayId: 'rly_bench', recipients: [0], sha256: '0'.repeat(64), pending: true }
        : undefined,
  };
}

function progressOf({ acceptedAtMs }: LedgerItem, status: 'sending' | 'delivered'): Progress {
  const progress = newProgress(1, acceptedAtMs);
  const delivery = { status, attempts: 1, relayId: 'rly_bench', code: 250, updatedAtMs: acceptedAtMs };
  return { ...progress, deliveries: [delivery] };
}

/** `/fill?ledger=a&count=1000` and `/live?…`. The clock stands still inside, so the caller measures. */
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const ledger = env.LEDGER.get(env.LEDGER.idFromName(searchParams.get('ledger') ?? ''));
    const count = Number(searchParams.get('count'));
    await (pathname === '/fill' ? ledger.fill(count) : ledger.live(count));
    return new Response('done');
  },
} satisfies ExportedHandler<GrowthEnv>;
