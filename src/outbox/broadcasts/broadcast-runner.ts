/**
 * Takes the recipients of broadcasts from their lists in pages, and hands each page to one of the shards; of several
 * broadcasts each has a page in turn. It is kicked when one is started and by the alarm, and runs beside the pump, never
 * inside of `alarm()`; between pages others have a turn.
 *
 * A page is planned durably before anything of it is accepted, and its shard takes the number of a page once. So
 * whatever happens in between, the page is repeated, and nobody is skipped or mailed twice (decision 0011).
 */
import { logError, logEvent } from '../../log.ts';
import type { AcceptRequest, AcceptResult } from '../client.ts';
import type { BroadcastHindrance, BroadcastJob, BroadcastJobs, BroadcastRefusal } from './broadcast-api.ts';
import type { BroadcastPartApi } from './part-api.ts';
import type { PagePlan, RunTable, StoredRun } from './run-table.ts';
import { ShardRooms } from './shard-rooms.ts';

/** The cost of a page by itself is small beside that of its messages, and it is a small part of what may wait. */
export const PAGE_RECIPIENTS = 200;
/** One alarm's part of the work: each has its own allowance of calls to D1. */
const PAGES_PER_PASS = 100;
/** The ledger takes no id that is further off than a day. */
const PLAN_KEPT_MS = 60 * 60 * 1000;
const LONGEST_WAIT_MS = 15 * 60 * 1000;
/** Room may be made at any time, where it is not made in this object. */
const ROOM_POLL_MS = 1000;
/** Commits within so long are looked at together. */
const PROGRESS_MS = 25;

export interface RunnerContext {
  readonly accountId: string;
  readonly table: RunTable;
  readonly retryMs: number;
  readonly jobs: () => BroadcastJobs;
  readonly jobOf: (broadcastId: string) => BroadcastJob;
  readonly partOf: (shard: number) => BroadcastPartApi;
  readonly accept: (shard: number, request: AcceptRequest) => Promise<AcceptResult>;
  /** Resolves once what was written in this turn is durable. */
  readonly sync: () => Promise<void>;
  readonly onRest: () => void;
}

type Hindered = Extract<BroadcastRefusal, { readonly kind: 'hindered' }>;

interface Wait {
  readonly hindrance: BroadcastHindrance;
  readonly sinceMs: number;
  readonly untilMs: number;
}

export class BroadcastRunner {
  private readonly context: RunnerContext;
  private readonly rooms: ShardRooms;
  private readonly pollMs: number;
  private readonly waits = new Map<string, Wait>();
  private readonly counting = new Map<string, { readonly counted: number; readonly cursor?: string }>();
  /** Smaller pages, while the quota has no room for whole ones. */
  private readonly limits = new Map<string, number>();
  private isPassing = false;
  private lastId = '';
  private timer: ReturnType<typeof setTimeout> | undefined;
  private progress: ReturnType<typeof setTimeout> | undefined;

  constructor(context: RunnerContext) {
    this.context = context;
    this.pollMs = Math.min(ROOM_POLL_MS, context.retryMs);
    this.rooms = new ShardRooms(context.partOf, this.pollMs);
  }

  /** It comes back to its work by itself, unless the object ends. */
  get isRunning(): boolean {
    return this.isPassing || this.timer !== undefined;
  }

  /** Why nothing is taken for it at the moment. */
  hindranceOf(id: string): BroadcastHindrance | undefined {
    return this.waits.get(id)?.hindrance;
  }

  /** When there is something to do again, while nothing is under way. */
  get nextAtMs(): number | undefined {
    const times = this.context.table.open.map((run) => this.readyAt(run));
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  /** There may be work. Returns at once. */
  kick(): void {
    if (!this.isPassing && this.next(Date.now())) void this.pass();
  }

  /** Something in D1 changed, or the customer asks: what was waited for may be over. */
  refresh(): void {
    this.waits.clear();
  }

  /** The pump has sent something on its way: there may be room. Asked after each commit. */
  noteProgress(): void {
    if (this.waits.size === 0 || this.progress !== undefined) return;
    if (![...this.waits.values()].some(isBacklog)) return;
    this.progress = setTimeout(() => {
      this.progress = undefined;
      for (const [id, wait] of this.waits) if (isBacklog(wait)) this.waits.set(id, { ...wait, untilMs: 0 });
      this.kick();
    }, PROGRESS_MS);
  }

  /** Has the shards told that they take no more of a broadcast, as far as they can be reached. */
  async stop(id: string): Promise<void> {
    const refusal = await this.stopShards(id);
    if (refusal) this.wait(id, refusal.hindrance);
  }

  private async stopShards(id: string): Promise<Hindered | undefined> {
    const { table, partOf } = this.context;
    const shards = table.find(id)?.unstopped ?? [];
    const told = await Promise.allSettled(shards.map((shard) => partOf(shard).stop(id)));
    const unstopped = shards.filter((_, index) => told[index]?.status === 'rejected');
    table.change(id, () => ({ unstopped }));
    await this.context.sync();
    return unstopped.length > 0 ? { kind: 'hindered', hindrance: 'unavailable' } : undefined;
  }

  private async pass(): Promise<void> {
    this.isPassing = true;
    for (let pages = 0; pages < PAGES_PER_PASS; pages++) {
      const run = this.next(Date.now());
      if (!run) break;
      this.lastId = run.id;
      await this.turnOf(run);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    this.isPassing = false;
    this.setTimer();
    this.context.onRest();
  }

  private async turnOf(run: StoredRun): Promise<void> {
    try {
      const refusal = run.status === 'canceled' ? await this.stopShards(run.id) : await this.step(run);
      if (!refusal) this.waits.delete(run.id);
      else if (refusal.kind === 'hindered') this.wait(run.id, refusal.hindrance);
      else await this.fail(run.id, refusal.reason);
    } catch (error) {
      logError('broadcast_interrupted', error, { account_id: this.context.accountId, broadcast_id: run.id });
      this.wait(run.id, 'unavailable');
    }
  }

  /** One page, or as much as can be done of it. */
  private async step(run: StoredRun): Promise<BroadcastRefusal | undefined> {
    const begun = run.startedAtMs === undefined ? this.begin(run.id) : run;
    if (!begun) return undefined;
    if (begun.total === undefined) return this.countOn(run.id);
    const plan = begun.plan ? await this.keptPlan(run.id, begun.plan) : await this.planOn(begun);
    if (!plan || 'kind' in plan) return plan;
    return this.take(run.id, plan);
  }

  private begin(id: string): StoredRun | undefined {
    logEvent('broadcast_started', { account_id: this.context.accountId, broadcast_id: id });
    return this.context.table.change(id, () => ({ status: 'sending', startedAtMs: Date.now() }));
  }

  private async countOn(id: string): Promise<BroadcastRefusal | undefined> {
    const { jobs, jobOf, table } = this.context;
    const before = this.counting.get(id);
    const found = await jobs().countRecipients(jobOf(id), before?.cursor);
    if ('kind' in found) return found;
    const counted = (before?.counted ?? 0) + found.counted;
    if (found.cursor !== undefined) {
      this.counting.set(id, { counted, cursor: found.cursor });
      return undefined;
    }
    this.counting.delete(id);
    table.change(id, () => ({ total: counted }));
    return undefined;
  }

  /** One that is too old for the ledger is given up, unless its page was accepted. */
  private async keptPlan(id: string, plan: PagePlan): Promise<PagePlan | undefined> {
    if (Date.now() - plan.atMs < PLAN_KEPT_MS) return plan;
    return (await this.giveUp(id, plan)) === 'accepted' ? plan : undefined;
  }

  private async planOn(run: StoredRun): Promise<PagePlan | BroadcastRefusal | undefined> {
    const { jobs, jobOf, table, sync } = this.context;
    const wanted = this.limits.get(run.id) ?? PAGE_RECIPIENTS;
    const room = await this.rooms.find(Math.max(run.shards, 1), wanted);
    if (!room) return { kind: 'hindered', hindrance: 'backlog' };
    const limit = Math.min(wanted, room.free);
    const { after } = run;
    const page = await jobs().planPage(jobOf(run.id), { limit, ...(after === undefined ? {} : { after }) });
    if ('kind' in page) return page;
    const { range, shards, quota } = page;
    if (!range) {
      this.finish(run.id);
      return undefined;
    }
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
    table.change(id, (run) =>
      run.plan?.number === number
        ? { plan: undefined, after: range.upTo, skipped: run.skipped + skipped }
        : {},
    );
    return undefined;
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

  private finish(id: string): void {
    this.end(id, { status: 'sent' });
  }

  private async fail(id: string, reason: string): Promise<void> {
    this.end(id, { status: 'failed', reason });
    await this.context.sync();
  }

  private end(id: string, how: { readonly status: 'sent' | 'failed'; readonly reason?: string }): void {
    const { table, accountId } = this.context;
    const before = table.find(id);
    if (before?.status !== 'sending') return;
    table.change(id, () => ({ ...how, plan: undefined, finishedAtMs: Date.now() }));
    this.limits.delete(id);
    logEvent(`broadcast_${how.status}`, { account_id: accountId, broadcast_id: id });
  }

  private next(nowMs: number): StoredRun | undefined {
    const ready = this.context.table.open.filter((run) => this.readyAt(run) <= nowMs);
    return ready.find(({ id }) => id > this.lastId) ?? ready[0];
  }

  private readyAt({ id, status, scheduledAtMs = 0 }: StoredRun): number {
    return Math.max(this.waits.get(id)?.untilMs ?? 0, status === 'scheduled' ? scheduledAtMs : 0);
  }

  private wait(id: string, hindrance: BroadcastHindrance): void {
    const { accountId, retryMs } = this.context;
    const nowMs = Date.now();
    const before = this.waits.get(id);
    const isNews = before?.hindrance !== hindrance;
    const sinceMs = isNews ? nowMs : before.sinceMs;
    const [shortest, longest] = hindrance === 'backlog' ? [this.pollMs, retryMs] : [retryMs, LONGEST_WAIT_MS];
    const waitMs = Math.min(longest, Math.max(shortest, nowMs - sinceMs));
    this.waits.set(id, { hindrance, sinceMs, untilMs: nowMs + waitMs });
    // A backlog comes and goes with every page.
    if (isNews && hindrance !== 'backlog')
      logEvent('broadcast_hindered', { account_id: accountId, broadcast_id: id, code: hindrance });
  }

  /** For short waits. Whatever comes at once is left to the alarm, which has its own allowance of calls to D1. */
  private setTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const waitMs = (this.nextAtMs ?? 0) - Date.now();
    if (waitMs <= 0 || waitMs > this.context.retryMs) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.kick();
      if (!this.isPassing) this.setTimer();
    }, waitMs);
  }
}

function isBacklog({ hindrance }: Wait): boolean {
  return hindrance === 'backlog';
}
