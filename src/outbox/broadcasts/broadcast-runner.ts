/**
 * Runs the broadcasts of an account, page by page (`page-taker.ts`); of several each has a page in turn. It is kicked when
 * one is started and by the alarm, and runs beside the pump, never inside of `alarm()`; between pages others have a turn.
 */
import { logError, logEvent } from '../../log.ts';
import type { BroadcastHindrance, BroadcastRefusal } from './broadcast-api.ts';
import { PageTaker, type PageTakerContext } from './page-taker.ts';
import type { StoredRun } from './run-table.ts';

/** One alarm's part of the work: each has its own allowance of calls to D1. */
const PAGES_PER_PASS = 100;
const LONGEST_WAIT_MS = 15 * 60 * 1000;
/** Room may be made at any time, where it is not made in this object. */
const ROOM_POLL_MS = 1000;
/** Commits within so long are looked at together. */
const PROGRESS_MS = 25;

export interface RunnerContext extends PageTakerContext {
  readonly retryMs: number;
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
  private readonly pages: PageTaker;
  private readonly pollMs: number;
  private readonly waits = new Map<string, Wait>();
  private readonly counting = new Map<string, { readonly counted: number; readonly cursor?: string }>();
  private isPassing = false;
  private lastId = '';
  private timer: ReturnType<typeof setTimeout> | undefined;
  private progress: ReturnType<typeof setTimeout> | undefined;

  constructor(context: RunnerContext) {
    this.context = context;
    this.pollMs = Math.min(ROOM_POLL_MS, context.retryMs);
    this.pages = new PageTaker(context, this.pollMs);
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

  /** It was canceled: has the shards told that they take no more of it, as far as they can be reached. */
  async stop(id: string): Promise<void> {
    logEvent('broadcast_canceled', { account_id: this.context.accountId, broadcast_id: id });
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
    const { accountId, onRest } = this.context;
    this.isPassing = true;
    try {
      await this.takeTurns();
    } catch (error) {
      logError('broadcast_pass_interrupted', error, { account_id: accountId });
    } finally {
      this.isPassing = false;
    }
    this.setTimer();
    onRest();
  }

  private async takeTurns(): Promise<void> {
    for (let pages = 0; pages < PAGES_PER_PASS; pages++) {
      const run = this.next(Date.now());
      if (!run) break;
      this.lastId = run.id;
      await this.turnOf(run);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
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
    const outcome = await this.pages.takeNext(begun);
    if (outcome !== 'over') return outcome;
    this.end(run.id, { status: 'sent' });
    return undefined;
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

  private async fail(id: string, reason: string): Promise<void> {
    this.end(id, { status: 'failed', reason });
    await this.context.sync();
  }

  private end(id: string, how: { readonly status: 'sent' | 'failed'; readonly reason?: string }): void {
    const { table, accountId } = this.context;
    const before = table.find(id);
    if (before?.status !== 'sending') return;
    table.change(id, () => ({ ...how, plan: undefined, finishedAtMs: Date.now() }));
    this.pages.forget(id);
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
