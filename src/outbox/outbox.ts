/**
 * The Outbox: one Durable Object for each account and shard. It owns the ledger and the SMTP sockets of its
 * account, so that the record of a dot and the bytes on the wire are ordered by one thread.
 *
 * `alarm()` is only a watchdog: it kicks the pump, arms itself again and returns. It never throws.
 */
import { DurableObject } from 'cloudflare:workers';
import { releaseBytes } from '../crypto/release-bytes.ts';
import type { MessageRoute } from '../delivery/choose-relay.ts';
import { applyResolution } from '../delivery/ending.ts';
import { type ExplainedChoice, explainChoice } from '../delivery/explain-choice.ts';
import { type Env, type Settings, settingsOf } from '../env.ts';
import { logError, logEvent } from '../log.ts';
import { relayGateOf } from '../relay-gate/client.ts';
import { insertAudit } from '../store/audit-log.ts';
import { Bookkeeper } from './bookkeeper.ts';
import {
  type AcceptRequest,
  type AcceptResult,
  type CancelOutcome,
  type ClaimRequest,
  type ClaimResult,
  type LedgerMessage,
  type MessagePage,
  type MessageToAccept,
  type OutboxApi,
  type OutboxStatistics,
  outboxOf,
  type PageRequest,
  type RateState,
  type RelayUse,
  type RescheduleOutcome,
  type Resolution,
  type StagedPiece,
} from './client.ts';
import { GroupCommit } from './group-commit.ts';
import { deleteClaim, fenceIds, findClaimedIds, writeClaim } from './ledger/claims.ts';
import { LedgerDatabase } from './ledger/database.ts';
import { Ledger } from './ledger/ledger.ts';
import { DAY_MS } from './ledger/partitions.ts';
import { Pump, type PumpContext } from './pump.ts';
import type { QuotaPart } from './quota-grants.ts';
import { type LeaseAnswer, type LeaseRequest, type QuotaDemand, QuotaKeeper } from './quota-keeper.ts';
import { Registration } from './registration.ts';
import { DEFAULT_RELAY_ID, SendingStateReader } from './sending-state.ts';
import { CLAIM_SHARD, shardOf, shareOf } from './shards.ts';
import { Simulator } from './simulator.ts';
import { TokenBuckets } from './token-bucket.ts';
import type { UsageState } from './usage.ts';
import type { EventPage, EventQuery, WebhookEvent } from './webhooks/event-desk.ts';
import type { AccountEntry } from './webhooks/event-entry.ts';
import type { EventPosition } from './webhooks/event-id.ts';
import { EventOffice } from './webhooks/event-office.ts';
import type { EventPayload } from './webhooks/event-payload.ts';
import type { AttemptResult } from './webhooks/retry-plan.ts';

interface Submitted {
  readonly request: AcceptRequest;
  readonly demand: QuotaDemand | undefined;
}

/** Needs more of the quota than this object knows to be there. */
interface QuotaShort {
  readonly outcome: 'quota_short';
  readonly rate: RateState;
}

const SWEEP_EVERY_MS = 60 * 60 * 1000;

export class Outbox extends DurableObject<Env> implements OutboxApi {
  private readonly settings: Settings;
  private readonly database: LedgerDatabase;
  private readonly ledger: Ledger;
  private readonly buckets: TokenBuckets;
  private readonly queue: GroupCommit<Submitted, AcceptResult | QuotaShort>;
  private readonly registration: Registration;
  private readonly events: EventOffice;
  private readonly quota: QuotaKeeper;
  /** Of the last request; all of them are of one account. */
  private accountId = '';
  private pump: Pump | undefined;
  private simulator: Simulator | undefined;
  private books: Bookkeeper | undefined;
  private bytesInHand = 0;
  private alarmAtMs: number | undefined;
  private sweepAtMs = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.settings = settingsOf(env);
    this.database = new LedgerDatabase(ctx.storage);
    this.ledger = new Ledger(this.database, this.settings.LIST_SEGMENT_TERMS);
    this.events = new EventOffice(env, this.database, this.ledger, () => this.arm());
    this.buckets = new TokenBuckets(this.settings.KEY_MESSAGES_PER_SECOND);
    this.queue = new GroupCommit(
      (submitted) => this.acceptNow(submitted),
      () => {
        this.quota.save();
        return this.sync();
      },
    );
    this.quota = this.quotaKeeper();
    this.registration = new Registration(env, this.database);
    const accountId = this.database.readMeta('account_id');
    if (accountId) this.pump = this.pumpFor(accountId);
  }

  /** Of what was written in this turn. With it goes the log of what it means. */
  private async sync(): Promise<void> {
    await this.events.sync(this.ctx.storage);
    this.arm();
  }

  async accept(request: AcceptRequest): Promise<AcceptResult> {
    const bytes = sizeOf(request);
    if (this.bytesInHand > 0 && this.bytesInHand + bytes > this.settings.OUTBOX_IN_FLIGHT_LIMIT_BYTES) {
      const { rate } = this.buckets.take(request.keyId, 0, Date.now(), request.shards);
      return { outcome: 'overloaded', rate };
    }
    this.bytesInHand += bytes;
    try {
      return await this.acceptWithinQuota(request);
    } finally {
      // On disk by now, or refused: the copy that came with the call is nobody else's.
      for (const message of request.messages) message.attachments.forEach(releaseBytes);
      this.bytesInHand -= bytes;
    }
  }

  async claim({ accountId, keyId, claim, ids, shards }: ClaimRequest): Promise<ClaimResult> {
    const nowMs = Date.now();
    const { rate } = this.buckets.take(keyId, 0, nowMs, shards);
    const found = this.ledger.findClaim(claim, { nowMs, keptForDays: this.settings.IDEMPOTENCY_DAYS });
    if (found.kind === 'new') {
      this.belongTo(accountId, CLAIM_SHARD);
      writeClaim(this.database, { ...claim, ids }, nowMs);
      this.arm();
    }
    await this.ctx.storage.sync();
    return { ...found, rate };
  }

  async releaseClaim(keyHash: string, ids: readonly string[]): Promise<void> {
    deleteClaim(this.database, keyHash, ids);
    await this.ctx.storage.sync();
  }

  async fenceClaimed(accountId: string, ids: readonly string[]): Promise<'accepted' | 'fenced'> {
    this.belongTo(accountId, shardOf(ids) ?? CLAIM_SHARD);
    const result = fenceIds(this.database, this.ledger.messages, { ids, nowMs: Date.now() });
    this.arm();
    await this.ctx.storage.sync();
    return result;
  }

  async stagePiece(accountId: string, staged: StagedPiece): Promise<'staged' | 'lost' | 'full'> {
    this.belongTo(accountId, shardOf([staged.id]) ?? CLAIM_SHARD);
    const result = this.ledger.messages.staging.put(staged, Date.now());
    releaseBytes(staged.piece);
    this.arm();
    return result;
  }

  async readStagedPiece(id: string, index: number): Promise<Uint8Array | undefined> {
    return this.ledger.messages.staging.read(id, index);
  }

  async discardStaged(id: string): Promise<void> {
    this.ledger.messages.staging.discard(id);
  }

  async findMessage(id: string): Promise<LedgerMessage | undefined> {
    return this.ledger.messages.findPublic(id);
  }

  async findHead(id: string): Promise<readonly Uint8Array[] | undefined> {
    return this.ledger.messages.findHead(id);
  }

  async findAttachmentPiece(id: string, index: number): Promise<Uint8Array | undefined> {
    return this.ledger.messages.findAttachmentPiece(id, index);
  }

  async listMessages(page: PageRequest): Promise<MessagePage> {
    return this.ledger.list(page, Date.now());
  }

  async findMessages(ids: readonly string[]): Promise<readonly LedgerMessage[]> {
    return ids.flatMap((id) => this.ledger.messages.findPublic(id) ?? []);
  }

  async cancelMessage(id: string): Promise<CancelOutcome> {
    const outcome = this.ledger.cancel(id, Date.now());
    await this.sync();
    return outcome;
  }

  async rescheduleMessage(id: string, scheduledAtMs: number): Promise<RescheduleOutcome> {
    const outcome = this.ledger.reschedule(id, scheduledAtMs, Date.now());
    this.kick();
    await this.sync();
    return outcome;
  }

  async resolveDelivery(
    id: string,
    n: number,
    resolution: Resolution,
  ): Promise<'resolved' | 'not_found' | 'not_in_doubt'> {
    const item = this.ledger.messages.find(id);
    if (!item?.progress.deliveries[n] || !this.books) return 'not_found';
    if (this.ledger.isInHand(item)) return 'not_in_doubt';
    const step = applyResolution(item.progress, n, resolution, Date.now());
    if (!step) return 'not_in_doubt';
    await this.books.commit([{ item, step, ...(item.dot ? { dot: item.dot } : {}) }]);
    this.kick();
    return 'resolved';
  }

  async recordAccountEvents(accountId: string, entries: readonly AccountEntry[]): Promise<void> {
    this.belongTo(accountId, CLAIM_SHARD);
    await this.events.record(entries, this.ctx.storage);
    this.arm();
  }

  async readEvents(query: EventQuery): Promise<EventPage> {
    return this.events.desk.read(query);
  }

  async waitForEvents(after: EventPosition, waitMs: number): Promise<void> {
    await this.events.desk.wait(after, waitMs);
  }

  async listWebhookEvents(webhookId: string, page: { before: EventPosition; limit: number }) {
    return this.events.desk.listOfWebhook(webhookId, page, this.events.courier);
  }

  async findWebhookEvent(webhookId: string, place: EventPosition): Promise<WebhookEvent | undefined> {
    return this.events.desk.findOfWebhook(webhookId, place, this.events.courier);
  }

  async replayEvent(webhookId: string, place: EventPosition): Promise<boolean> {
    return this.events.replay(webhookId, place);
  }

  async replayEventsSince(webhookId: string, sinceMs: number): Promise<void> {
    await this.events.replaySince(webhookId, sinceMs);
  }

  async testWebhook(
    accountId: string,
    webhookId: string,
    payload: EventPayload,
  ): Promise<AttemptResult | undefined> {
    this.belongTo(accountId, CLAIM_SHARD);
    return this.events.test(webhookId, payload);
  }

  async leaseQuota(accountId: string, request: LeaseRequest): Promise<LeaseAnswer> {
    this.accountId = accountId;
    return this.quota.lease(request);
  }

  async trimQuota(part: QuotaPart): Promise<UsageState> {
    return this.quota.trim(part);
  }

  async forgetQuotaParts(): Promise<void> {
    await this.quota.forget();
  }

  async findRelayUse(relayId: string): Promise<RelayUse> {
    return this.pump?.useOf(relayId) ?? { openSessions: 0, breaker: 'closed', deliveredLastMinute: 0 };
  }

  async explainRoute(accountId: string, route: MessageRoute): Promise<ExplainedChoice> {
    const { relays } = await new SendingStateReader(this.env, accountId).read();
    const isClosed = ({ id }: { id: string }) => this.pump?.useOf(id).breaker === 'open';
    return explainChoice(relays, route, { isClosed, random: Math.random });
  }

  async readStatistics(): Promise<OutboxStatistics> {
    const { backlog, possibleDuplicates } = this.ledger;
    return { backlog, possibleDuplicates, usage: this.quota.state() };
  }

  async refresh(): Promise<void> {
    this.pump?.refresh();
    this.kick();
  }

  async wake(): Promise<void> {
    // The alarm that is remembered here may be the one that was lost.
    this.alarmAtMs = (await this.ctx.storage.getAlarm()) ?? undefined;
    this.registration.ensure();
    this.kick();
    this.arm();
  }

  async ping(): Promise<void> {
    this.database.first('SELECT 1');
  }

  override async alarm(): Promise<void> {
    this.alarmAtMs = undefined;
    try {
      this.sweep(Date.now());
      this.ledger.messages.staging.sweep(Date.now() - this.settings.STAGING_KEPT_MS);
      this.registration.ensure();
      this.kick();
    } catch (error) {
      logError('alarm_failed', error);
    }
    this.arm();
  }

  private async acceptWithinQuota(request: AcceptRequest): Promise<AcceptResult> {
    this.accountId = request.accountId;
    const demand = demandOf(request);
    try {
      for (;;) {
        const result = await this.queue.submit({ request, demand });
        if (result.outcome !== 'quota_short') return result;
        const period = demand && (await this.quota.ask(demand));
        if (period) return { outcome: 'quota_exceeded', period, rate: result.rate };
      }
    } finally {
      if (demand) this.quota.release(demand);
    }
  }

  private sweep(nowMs: number): void {
    if (nowMs < this.sweepAtMs) return;
    this.sweepAtMs = nowMs + SWEEP_EVERY_MS;
    this.ledger.sweep(nowMs, {
      bodies: this.settings.BODY_RETENTION_DAYS,
      metadata: this.settings.METADATA_RETENTION_DAYS,
      claims: this.settings.IDEMPOTENCY_DAYS,
    });
  }

  /** One request, synchronously: everything is checked before the idempotency key is claimed. */
  private acceptNow({ request, demand }: Submitted): AcceptResult | QuotaShort {
    const nowMs = Date.now();
    const { messages, keyId, accountId, shards = 1 } = request;
    const ids = messages.map((message) => message.id);
    const claimed = this.findClaimed(request, ids, nowMs);
    const fits = claimed.kind !== 'new' || !demand || this.quota.fits(demand);
    const wanted = claimed.kind === 'new' && fits ? messages.length : 0;
    const { ok, rate, retryAfterSeconds } = this.buckets.take(keyId, wanted, nowMs, shards);
    if (claimed.kind === 'same') return { outcome: 'replayed', ids: claimed.ids, rate };
    if (claimed.kind === 'different') return { outcome: 'idempotency_mismatch', ids: claimed.ids, rate };
    if (claimed.kind === 'fenced') return { outcome: 'fenced', rate };
    if (!fits) return { outcome: 'quota_short', rate };
    if (messages.some((message) => !this.hasContent(message))) return { outcome: 'staging_lost', rate };
    if (!ok) return { outcome: 'rate_limited', rate, retryAfterSeconds };
    if (this.ledger.backlog + messages.length > shareOf(this.settings.BACKLOG_LIMIT, shards))
      return { outcome: 'backlog_full', rate };
    this.belongTo(accountId, shardOf(ids) ?? CLAIM_SHARD);
    this.quota.count(recipientsIn(this.ledger.accept(request, nowMs)), demand);
    this.kick();
    this.arm();
    return { outcome: 'accepted', ids, rate };
  }

  private quotaKeeper(): QuotaKeeper {
    const { database } = this;
    const shardNamed = (shard: number) => outboxOf(this.env, this.accountId, shard);
    return new QuotaKeeper({
      readMeta: (name) => database.readMeta(name),
      writeMeta: (name, value) => database.writeMeta(name, value),
      sync: () => this.ctx.storage.sync(),
      askLead: (request) => shardNamed(CLAIM_SHARD).leaseQuota(this.accountId, request),
      trim: (shard, part) => shardNamed(shard).trimQuota(part),
      now: () => Date.now(),
    });
  }

  private hasContent({ id, stagedPieces }: MessageToAccept): boolean {
    return stagedPieces === undefined || this.ledger.messages.staging.isComplete(id, stagedPieces);
  }

  private findClaimed({ claim, isClaimed }: AcceptRequest, ids: readonly string[], nowMs: number) {
    if (claim) return this.ledger.findClaim(claim, { nowMs, keptForDays: this.settings.IDEMPOTENCY_DAYS });
    if (isClaimed) return findClaimedIds(this.database, this.ledger.messages, { ids, nowMs });
    return { kind: 'new' as const };
  }

  /** The first call that writes anything tells whose object this is. */
  private belongTo(accountId: string, shard: number): void {
    if (!this.pump) {
      this.database.writeMeta('account_id', accountId);
      this.database.writeMeta('shard', String(shard));
      this.pump = this.pumpFor(accountId);
    }
    this.registration.ensure();
  }

  private pumpFor(accountId: string): Pump {
    const state = new SendingStateReader(this.env, accountId);
    const { ledger, settings } = this;
    const shard = Number(this.database.readMeta('shard') ?? '0');
    this.events.open({ accountId, shard }, state);
    this.books = new Bookkeeper(ledger, { accountId, state }, () => this.sync());
    const context: PumpContext = {
      accountId,
      holder: this.ctx.id.toString(),
      gateOf: (relayId) =>
        relayGateOf(this.env, relayId === DEFAULT_RELAY_ID ? relayId : `${accountId}/${relayId}`),
      ledger,
      books: this.books,
      state,
      settings,
      onRest: () => this.arm(),
      onRelayFault: (relay, reason, code) => {
        logEvent('relay_closed', { account_id: accountId, relay_id: relay.id, code: reason, status: code });
        this.events.recordPause(relay.id, { reason, code: code ?? null }, this.ctx.storage);
        const entry = {
          actor: 'outbox',
          action: 'relay.paused',
          target: relay.id,
          details: { reason, code: code ?? null },
        };
        this.ctx.waitUntil(
          insertAudit(state.scope, entry).catch((error: unknown) =>
            logError('audit_failed', error, { account_id: accountId }),
          ),
        );
      },
      onRelayOpened: (relay) => this.events.recordResumption(relay.id, this.ctx.storage),
    };
    this.simulator = new Simulator(context);
    return new Pump(context);
  }

  private kick(): void {
    this.pump?.kick();
    this.simulator?.kick();
    this.events.courier?.kick();
  }

  /** Sets the alarm where it would otherwise come too late. Each `setAlarm` is a row written, so it is never moved back. */
  private arm(): void {
    const atMs = this.nextAlarmAt();
    if (atMs === undefined || (this.alarmAtMs !== undefined && this.alarmAtMs <= atMs)) return;
    this.alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }

  private nextAlarmAt(): number | undefined {
    const workAtMs = this.nextWorkAt();
    const oldestMs = this.ledger.messages.staging.oldestSeenMs;
    if (oldestMs === undefined) return workAtMs;
    const sweepAtMs = oldestMs + this.settings.STAGING_KEPT_MS;
    return Math.min(sweepAtMs, workAtMs ?? sweepAtMs);
  }

  private nextWorkAt(): number | undefined {
    const nowMs = Date.now();
    const times = [this.nextLiveAt(nowMs), this.nextTestAt(nowMs)].filter((atMs) => atMs !== undefined);
    // Retention is looked after every day, however far ahead the next message is scheduled.
    if (times.length > 0 || this.ledger.hasHistory) times.push(nowMs + DAY_MS);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  private nextLiveAt(nowMs: number): number | undefined {
    const watchdogAtMs = nowMs + this.settings.WATCHDOG_MS;
    const { courier } = this.events;
    const times = [
      this.nextMailAlarmAt(nowMs, watchdogAtMs),
      courier?.isRunning ? watchdogAtMs : courier?.nextAtMs,
    ].filter((atMs) => atMs !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  private nextMailAlarmAt(nowMs: number, watchdogAtMs: number): number | undefined {
    if (!this.pump) return undefined;
    if (this.pump.isRunning) return watchdogAtMs;
    const dueAtMs = this.ledger.queue.nextDueAt();
    const opensAtMs = this.pump.relayOpensAt;
    if (this.pump.hasWork) return Math.min(watchdogAtMs, opensAtMs ?? watchdogAtMs);
    return dueAtMs === undefined ? undefined : Math.max(dueAtMs, nowMs);
  }

  private nextTestAt(nowMs: number): number | undefined {
    const dueAtMs = this.ledger.tests.nextDueAt();
    const isWaiting = dueAtMs !== undefined && dueAtMs > nowMs;
    if (dueAtMs === undefined && !this.simulator?.isRunning) return undefined;
    return isWaiting ? dueAtMs : nowMs + this.settings.WATCHDOG_MS;
  }
}

/** undefined where the account has no quota. */
function demandOf({ messages, shards = 1, quota }: AcceptRequest): QuotaDemand | undefined {
  if (!quota) return undefined;
  const shard = shardOf(messages.map((message) => message.id)) ?? CLAIM_SHARD;
  return { shard, shards, quota, recipients: recipientsIn(messages) };
}

/** Test mail goes to nobody, and counts for nothing. */
function recipientsIn(messages: readonly { recipientCount: number; isTest?: boolean }[]): number {
  return messages.reduce((sum, { recipientCount, isTest }) => sum + (isTest ? 0 : recipientCount), 0);
}

function sizeOf(request: AcceptRequest): number {
  let bytes = 0;
  for (const { summary, head, attachments } of request.messages) {
    bytes += summary.byteLength;
    for (const piece of head) bytes += piece.byteLength;
    for (const piece of attachments) bytes += piece.byteLength;
  }
  return bytes;
}
