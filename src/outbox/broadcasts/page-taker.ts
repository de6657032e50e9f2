/**
 * One page of a broadcast: planned, made, and handed to one of the shards, or given up. The plan is durable before anything
 * of the page is accepted, and its shard takes the number of a page once. So whatever happens in between, the page is
 * repeated, and nobody is skipped or mailed twice (decision 0011).
 */
import type { AcceptRequest, AcceptResult } from '../client.ts';
import type { BroadcastJob, BroadcastJobs, BroadcastRefusal } from './broadcast-api.ts';
import type { BroadcastPartApi } from './part-api.ts';
import type { PagePlan, RunTable, StoredRun } from './run-table.ts';
import { ShardRooms } from './shard-rooms.ts';

/** The cost of a page by itself is small beside that of its messages, and it is a small part of what may wait. */
const PAGE_RECIPIENTS = 200;
/** The ledger takes no id that is further off than a day. */
const PLAN_KEPT_MS = 60 * 60 * 1000;

export interface PageTakerContext {
  readonly accountId: string;
  readonly table: RunTable;
  readonly jobs: () => BroadcastJobs;
  readonly jobOf: (broadcastId: string) => BroadcastJob;
  readonly partOf: (shard: number) => BroadcastPartApi;
  readonly accept: (shard: number, request: AcceptRequest) => Promise<AcceptResult>;
  /** Resolves once what was written in this turn is durable. */
  readonly sync: () => Promise<void>;
}

export class PageTaker {
  private readonly context: PageTakerContext;
  private readonly rooms: ShardRooms;
  /** Smaller pages, while the quota has no room for whole ones. */
  private readonly limits = new Map<string, number>();

  /** A shard that was full is asked again after `askAgainMs`. */
  constructor(context: PageTakerContext, askAgainMs: number) {
    this.context = context;
    this.rooms = new ShardRooms(context.partOf, askAgainMs);
  }

  /** The next page, or as much as can be done of it. `over`: nobody is left. */
  async takeNext(run: StoredRun): Promise<BroadcastRefusal | 'over' | undefined> {
    const plan = run.plan ? await this.keptPlan(run.id, run.plan) : await this.planOn(run);
    if (!plan || plan === 'over' || 'kind' in plan) return plan;
    return this.take(run.id, plan);
  }

  /** It is over. */
  forget(id: string): void {
    this.limits.delete(id);
  }

  /** One that is too old for the ledger is given up, unless its page was accepted. */
  private async keptPlan(id: string, plan: PagePlan): Promise<PagePlan | undefined> {
    if (Date.now() - plan.atMs < PLAN_KEPT_MS) return plan;
    return (await this.giveUp(id, plan)) === 'accepted' ? plan : undefined;
  }

  private async planOn(run: StoredRun): Promise<PagePlan | BroadcastRefusal | 'over' | undefined> {
    const { jobs, jobOf, table, sync } = this.context;
    const wanted = this.limits.get(run.id) ?? PAGE_RECIPIENTS;
    const room = await this.rooms.find(Math.max(run.shards, 1), wanted);
    if (!room) return { kind: 'hindered', hindrance: 'backlog' };
    const limit = Math.min(wanted, room.free);
    const { after } = run;
    const page = await jobs().planPage(jobOf(run.id), { limit, ...(after === undefined ? {} : { after }) });
    if ('kind' in page) return page;
    const { range, shards, quota } = page;
    if (!range) return 'over';
    const changed = table.change(run.id, ({ status, page: number, shards: before }) => {
      if (status !== 'sending') return {};
      // An account has no fewer shards than it had; should it, what lies beyond them is not to be found.
      const shard = room.shard < shards ? room.shard : 0;
      const plan = { number: number + 1, range, shard, atMs: Date.now(), shards, ...(quota && { quota }) };
      return { plan, page: plan.number, shards: Math.max(before, shards) };
    });
    await sync();
    return changed?.status === 'sending' ? changed.plan : undefined;
  }

  private async take(id: string, plan: PagePlan): Promise<BroadcastRefusal | undefined> {
    const { accountId, jobs, jobOf, table, accept } = this.context;
    const { range, shard, atMs, shards, quota, number } = plan;
    const page = await jobs().composePage(jobOf(id), { range, shard, atMs });
    if ('kind' in page && page.kind === 'too_large') return this.divide(id, plan, page.recipients);
    if ('kind' in page) {
      await this.giveUp(id, plan);
      return page;
    }
    // Paused or canceled meanwhile: the page is not taken, or once it goes on.
    if (table.find(id)?.status !== 'sending') return undefined;
    const { messages, skipped } = page;
    if (messages.length > 0) {
      const result = await accept(shard, {
        accountId,
        keyId: id,
        messages,
        shards,
        page: { broadcastId: id, page: number },
        ...(quota && { quota }),
      });
      if (result.outcome !== 'accepted' && result.outcome !== 'replayed')
        return this.heed(id, plan, { outcome: result.outcome, size: messages.length });
      this.rooms.use(shard, messages.length);
    }
    this.growPages(id);
    this.moveBehind(id, plan, skipped);
    return undefined;
  }

  private moveBehind(id: string, { number, range }: PagePlan, skipped: number): void {
    this.context.table.change(id, (run) =>
      run.plan?.number === number
        ? { plan: undefined, after: range.upTo, skipped: run.skipped + skipped }
        : {},
    );
  }

  /** The same people in smaller pages, unless they have their messages. */
  private async divide(id: string, plan: PagePlan, recipients: number): Promise<undefined> {
    if (recipients <= 1) throw new Error('one message of a broadcast is too large for a page');
    if ((await this.giveUp(id, plan)) === 'accepted') this.moveBehind(id, plan, 0);
    else this.limits.set(id, Math.min(PAGE_RECIPIENTS, Math.floor(recipients / 2)));
  }

  /** The page was not accepted. Another one is planned, once that has a chance. */
  private async heed(
    id: string,
    plan: PagePlan,
    { outcome, size }: { readonly outcome: AcceptResult['outcome']; readonly size: number },
  ): Promise<BroadcastRefusal | undefined> {
    await this.giveUp(id, plan);
    switch (outcome) {
      case 'fenced':
        return undefined;
      case 'quota_exceeded':
        // What is left of it is used up, by smaller pages.
        this.limits.set(id, Math.max(1, Math.floor(size / 2)));
        return size > 1 ? undefined : { kind: 'hindered', hindrance: 'quota' };
      case 'backlog_full':
      case 'overloaded':
        this.rooms.close(plan.shard);
        return { kind: 'hindered', hindrance: 'backlog' };
      default:
        throw new Error(`a page of a broadcast was answered ${outcome}`);
    }
  }

  /** Its number cannot be accepted from here on, unless it was: then the plan stays. */
  private async giveUp(id: string, plan: PagePlan): Promise<'accepted' | 'fenced'> {
    const { table, partOf } = this.context;
    const outcome = await partOf(plan.shard).fence({ broadcastId: id, page: plan.number });
    if (outcome === 'fenced') {
      table.change(id, (run) => (run.plan?.number === plan.number ? { plan: undefined } : {}));
    }
    return outcome;
  }

  private growPages(id: string): void {
    const limit = this.limits.get(id);
    if (limit === undefined) return;
    if (limit * 2 >= PAGE_RECIPIENTS) this.limits.delete(id);
    else this.limits.set(id, limit * 2);
  }
}
