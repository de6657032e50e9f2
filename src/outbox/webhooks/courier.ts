/**
 * Carries the events of this shard's log to the account's webhooks. It is kicked when something was logged,
 * by the alarm and when a webhook changed, and runs beside the pump, never inside of `alarm()`.
 * - At least once: a delivery's row is written after its answer. A restart goes on from the saved cursor and
 *   passes over what has a row.
 * - Which endpoint may get the next request is the lanes' matter (`lane.ts`), when a failed one is tried again
 *   that of `retry-plan.ts`.
 */
import type { SealingKey } from '../../crypto/seal.ts';
import type { Settings } from '../../env.ts';
import { logError, logEvent } from '../../log.ts';
import type { EventLog } from '../ledger/event-log.ts';
import { type Delivery, FAILED, PENDING, SUCCESS, type WebhookTable } from '../ledger/webhook-table.ts';
import { openAttempts, sealAttempts } from './attempt-log.ts';
import { wireTypeOf } from './event-entry.ts';
import { isAfter, positionAt } from './event-id.ts';
import { type EventPayload, eventPayload, type LoggedEvent } from './event-payload.ts';
import { type Job, Lane, lanesThatMayStart } from './lane.ts';
import { type AttemptResult, type NextStep, planNext } from './retry-plan.ts';
import { type ActiveWebhook, sendToEndpoint } from './webhook-request.ts';

const ROWS_PER_READ = 32;
/** A rare type may be far on: others get their turn in between. */
const READS_PER_TURN = 20;
const LONGEST_WAIT_MS = 30_000;
/** An answer as quick as this is what the others need of an endpoint. */
const QUICK_MS = 1000;

export interface CourierContext {
  readonly accountId: string;
  readonly shard: number;
  readonly log: EventLog;
  readonly table: WebhookTable;
  readonly settings: Settings;
  /** The account's webhooks and keys. Throws where D1 does not answer. */
  readonly read: () => Promise<CourierState>;
  /** The event with the sealed parts of its message. */
  readonly withMessage: (job: Job) => LoggedEvent;
  /** The endpoint answered that it is gone. */
  readonly disable: (webhookId: string) => Promise<void>;
  readonly onRest: () => void;
}

export interface CourierState {
  readonly keys: readonly SealingKey[];
  readonly webhooks: readonly ActiveWebhook[];
}

export class Courier {
  private readonly context: CourierContext;
  private readonly lanes = new Map<string, Lane>();
  private readonly webhooks = new Map<string, ActiveWebhook>();
  private state: CourierState | undefined;
  private isPassing = false;
  private isKicked = false;
  private isTesting = false;
  private wake: (() => void) | undefined;
  private turn = 0;
  private readAgainAtMs: number | undefined;

  constructor(context: CourierContext) {
    this.context = context;
  }

  /** A pass that looks and finds nothing is no work: an alarm that found it would come again at the watchdog's pace. */
  get isRunning(): boolean {
    if ([...this.lanes.values()].some((lane) => lane.inFlight.size > 0)) return true;
    return (
      this.isPassing && (this.state === undefined || this.enabledLanes().some((lane) => this.hasMore(lane)))
    );
  }

  private hasMore(lane: Lane): boolean {
    return lane.ready.length > 0 || isAfter(this.context.log.head, lane.readAt);
  }

  /** When there is something to do again, while nothing is under way. */
  get nextAtMs(): number | undefined {
    const times = this.dueTimes();
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  private dueTimes(): number[] {
    const times = this.enabledLanes().flatMap((lane) => {
      const hasMore = this.hasMore(lane);
      const atMs = Math.min(
        lane.retryAtMs ?? Number.POSITIVE_INFINITY,
        // Whatever may go now was started before the rest; what is left waits for the end of a pause.
        hasMore && lane.pausedUntilMs > 0 ? lane.pausedUntilMs : Number.POSITIVE_INFINITY,
      );
      return Number.isFinite(atMs) ? [Math.max(atMs, lane.pausedUntilMs)] : [];
    });
    return this.readAgainAtMs === undefined ? times : [...times, this.readAgainAtMs];
  }

  isInFlight(webhookId: string, place: { seq: number; index: number }): boolean {
    return this.lanes.get(webhookId)?.isInFlight(place) ?? false;
  }

  /** There may be work. Returns at once. */
  kick(): void {
    this.isKicked = true;
    this.wake?.();
    if (!this.isPassing) void this.pass();
  }

  /** One request outside of the log, now. Undefined where there is no such webhook, or a test is under way. */
  async test(webhookId: string, payload: EventPayload): Promise<AttemptResult | undefined> {
    const { settings, read } = this.context;
    const webhook = (await read()).webhooks.find(({ id }) => id === webhookId);
    if (!webhook || this.isTesting) return undefined;
    this.isTesting = true;
    try {
      return await sendToEndpoint(webhook, payload, settings.WEBHOOK_TIMEOUT_MS);
    } finally {
      this.isTesting = false;
    }
  }

  /** An event once more, whether or not the webhook had it. */
  replayOne(webhookId: string, place: { seq: number; index: number }): void {
    const { table } = this.context;
    const known = table.find(webhookId, place);
    const generation = known?.generation ?? this.lanes.get(webhookId)?.generation ?? 0;
    const again = { status: PENDING, tries: 0, nextAtMs: Date.now(), generation };
    table.write({ webhookId, ...place, attempts: known?.attempts, ...again });
    const lane = this.lanes.get(webhookId);
    if (lane) this.findRetry(lane);
    this.kick();
  }

  /** Everything that was logged since then, once more. */
  async replaySince(webhookId: string, sinceMs: number): Promise<boolean> {
    await this.readWebhooks();
    const lane = this.lanes.get(webhookId);
    if (!lane) return false;
    lane.generation++;
    lane.moveTo(positionAt(sinceMs));
    this.saveCursor(lane);
    this.kick();
    return true;
  }

  private async pass(): Promise<void> {
    this.isPassing = true;
    try {
      for (;;) {
        this.isKicked = false;
        await this.readWebhooks();
        const isCut = this.startWhatMay();
        if (isCut) await new Promise((resolve) => setTimeout(resolve, 0));
        else if (!this.isRunningRequests() && !this.isKicked) break;
        else if (!this.isKicked) await this.nextChange();
      }
    } catch (error) {
      // D1 is away, as a rule: the events wait in the log.
      logError('webhooks_unavailable', error, { account_id: this.context.accountId });
      this.readAgainAtMs = Date.now() + this.context.settings.WATCHDOG_MS;
    }
    this.isPassing = false;
    this.context.onRest();
  }

  private async readWebhooks(): Promise<void> {
    const state = await this.context.read();
    this.readAgainAtMs = undefined;
    if (state === this.state) return;
    const { table } = this.context;
    if (!this.state) for (const cursor of table.listCursors()) this.open(new Lane(cursor));
    this.state = state;
    this.webhooks.clear();
    for (const webhook of state.webhooks) this.webhooks.set(webhook.id, webhook);
    for (const { webhookId, inFlight } of this.lanes.values()) {
      if (this.webhooks.has(webhookId) || inFlight.size > 0) continue;
      table.forget(webhookId);
      this.lanes.delete(webhookId);
    }
    for (const webhook of this.webhooks.values()) this.bringUpToDate(webhook);
  }

  private bringUpToDate({ id, activeSinceMs, isEnabled }: ActiveWebhook): void {
    let lane = this.lanes.get(id);
    if (!lane) {
      lane = new Lane({ webhookId: id, ...positionAt(activeSinceMs), generation: 0, activeSinceMs });
      this.open(lane);
      this.saveCursor(lane);
    }
    if (lane.activeSinceMs !== activeSinceMs) {
      // What happened while it was disabled is not for it.
      lane.skipTo(positionAt(activeSinceMs));
      lane.activeSinceMs = activeSinceMs;
      lane.pausedUntilMs = 0;
      this.saveCursor(lane);
    }
    if (!isEnabled) this.giveUpRetries(lane);
  }

  private open(lane: Lane): void {
    this.lanes.set(lane.webhookId, lane);
    this.findRetry(lane);
    if (lane.retryAtMs !== undefined) lane.state = 'troubled';
  }

  /** True where it stopped in between to let others have a turn. */
  private startWhatMay(): boolean {
    const budget = { reads: READS_PER_TURN };
    for (;;) {
      const nowMs = Date.now();
      let job: Job | undefined;
      for (const lane of lanesThatMayStart(this.enabledLanes(), nowMs)) {
        job = this.nextJob(lane, nowMs, budget);
        if (!job) continue;
        lane.start(job, nowMs, ++this.turn);
        void this.deliver(lane, job);
        break;
      }
      if (!job) return budget.reads <= 0;
    }
  }

  private nextJob(lane: Lane, nowMs: number, budget: { reads: number }): Job | undefined {
    lane.isRetryTurn = !lane.isRetryTurn;
    const retry = () => this.nextRetry(lane, nowMs);
    const logged = () => this.nextLogged(lane, budget);
    return lane.isRetryTurn ? (retry() ?? logged()) : (logged() ?? retry());
  }

  private nextLogged(lane: Lane, budget: { reads: number }): Job | undefined {
    const { log, table } = this.context;
    const types = this.webhooks.get(lane.webhookId)?.types;
    while (lane.ready.length === 0 && budget.reads > 0 && isAfter(log.head, lane.readAt)) {
      budget.reads--;
      const page = log.read(lane.readAt, ROWS_PER_READ);
      const jobs = page.entries.flatMap((logged) => {
        if (types && !types.has(wireTypeOf(logged.entry))) return [];
        const previous = table.find(lane.webhookId, logged);
        return previous && previous.generation >= lane.generation
          ? []
          : [{ ...logged, previous, isFromLog: true }];
      });
      // At the end, so that nothing is read again until there is more.
      lane.add(jobs, page.hasMore ? page.position : log.head, page.entries.length);
      if (lane.isSaveDue) this.saveCursor(lane);
    }
    return lane.ready.shift();
  }

  private nextRetry(lane: Lane, nowMs: number): Job | undefined {
    const { log, table } = this.context;
    while (lane.retryAtMs !== undefined && lane.retryAtMs <= nowMs) {
      const retry = this.findRetry(lane);
      if (!retry || retry.atMs > nowMs) return undefined;
      const entry = log.find(retry);
      const previous = table.find(lane.webhookId, retry);
      if (entry && previous) {
        const { seq, index } = retry;
        return { seq, index, entry, previous, isFromLog: false };
      }
      table.dropRetry(lane.webhookId, retry);
    }
    return undefined;
  }

  /** The first retry that is not in flight. */
  private findRetry(lane: Lane) {
    const retries = this.context.table.listRetries(lane.webhookId, lane.inFlight.size + 1);
    const first = retries.find((retry) => !lane.isInFlight(retry));
    lane.retryAtMs = first?.atMs;
    return first;
  }

  private async deliver(lane: Lane, job: Job): Promise<void> {
    const { accountId, shard, settings, withMessage } = this.context;
    const { generation } = lane;
    try {
      this.findRetry(lane);
      const webhook = this.webhooks.get(lane.webhookId);
      const keys = this.state?.keys ?? [];
      const payload = webhook && eventPayload({ accountId, shard, keys }, withMessage(job));
      if (!webhook || !payload) return this.dropUnreadable(job);
      const result = await sendToEndpoint(webhook, payload, settings.WEBHOOK_TIMEOUT_MS);
      await this.record(lane, job, { result, generation });
    } catch (error) {
      logError('webhook_failed', error, { account_id: accountId });
      this.dropUnreadable(job);
    } finally {
      lane.settle(job);
      this.findRetry(lane);
      this.kick();
    }
  }

  private async record(
    lane: Lane,
    job: Job,
    { result, generation }: { readonly result: AttemptResult; readonly generation: number },
  ): Promise<void> {
    const { accountId, settings, table, disable } = this.context;
    // Somebody may have ordered a replay meanwhile: its attempts come on top of these.
    const latest = table.find(lane.webhookId, job);
    const tries = (job.isFromLog ? 0 : (job.previous?.tries ?? 0)) + 1;
    const next = planNext(result, tries, { delaysMs: settings.WEBHOOK_RETRY_MS, random: Math.random() });
    this.judge(lane, result, next);
    const keys = this.state?.keys ?? [];
    const key = keys.at(-1);
    const place = { accountId, webhookId: lane.webhookId, seq: job.seq, index: job.index };
    const attempt = { atMs: result.atMs, status: result.status ?? 0, response: result.response };
    const attempts = key
      ? sealAttempts(key, place, [...openAttempts(keys, place, latest?.attempts), attempt])
      : latest?.attempts;
    const status = { success: SUCCESS, failed: FAILED, pending: PENDING }[next.outcome];
    const { webhookId } = lane;
    const { seq, index } = job;
    const outcome = lane.isOrderedAgain(job)
      ? { generation: lane.generation, status: PENDING, tries: 0, nextAtMs: Date.now() }
      : { generation, status, tries, nextAtMs: next.nextAtMs };
    table.write({ webhookId, seq, index, attempts, ...outcome });
    if (!next.isGone) return;
    this.forgetWebhook(webhookId);
    logEvent('webhook_disabled', { account_id: accountId, status: result.status });
    await disable(webhookId);
  }

  private judge(lane: Lane, result: AttemptResult, next: NextStep): void {
    const isWell = next.outcome === 'success' && result.tookMs < QUICK_MS;
    lane.state = isWell ? 'well' : 'troubled';
    lane.pausedUntilMs = Math.max(lane.pausedUntilMs, next.pausedUntilMs ?? 0);
  }

  /** Past its retention, or it does not open. A retry of it would find the same again. */
  private dropUnreadable(job: Job): void {
    if (job.previous?.nextAtMs === undefined) return;
    this.context.table.write({ ...job.previous, status: FAILED, nextAtMs: undefined });
  }

  /** Until D1 says so too: nothing more is started. */
  private forgetWebhook(webhookId: string): void {
    const webhook = this.webhooks.get(webhookId);
    if (webhook) this.webhooks.set(webhookId, { ...webhook, isEnabled: false });
  }

  /** A disabled webhook is not waited for; what failed can be replayed. */
  private giveUpRetries(lane: Lane): void {
    const { table } = this.context;
    for (const retry of table.listRetries(lane.webhookId, Number.MAX_SAFE_INTEGER)) {
      const delivery: Delivery | undefined = table.find(lane.webhookId, retry);
      if (delivery) table.write({ ...delivery, status: FAILED, nextAtMs: undefined });
      else table.dropRetry(lane.webhookId, retry);
    }
    lane.retryAtMs = undefined;
  }

  private enabledLanes(): Lane[] {
    return [...this.lanes.values()].filter((lane) => this.webhooks.get(lane.webhookId)?.isEnabled);
  }

  private isRunningRequests(): boolean {
    return [...this.lanes.values()].some((lane) => lane.inFlight.size > 0);
  }

  private saveCursor(lane: Lane): void {
    const { webhookId, generation, activeSinceMs, cursor } = lane;
    this.context.table.saveCursor({ webhookId, ...cursor, generation, activeSinceMs });
    lane.markSaved();
  }

  /** Until a request is answered, somebody kicks, or something is due. */
  private async nextChange(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const nowMs = Date.now();
    // What is due already waits for a request that is under way.
    const waits = this.dueTimes().flatMap((atMs) => (atMs > nowMs ? [atMs - nowMs] : []));
    const timer = setTimeout(resolve, Math.min(LONGEST_WAIT_MS, ...waits));
    this.wake = resolve;
    await promise;
    clearTimeout(timer);
    this.wake = undefined;
  }
}
