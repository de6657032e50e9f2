/**
 * The Outbox: one Durable Object for each account and shard. It owns the ledger and the SMTP sockets of its
 * account, so that the record of a dot and the bytes on the wire are ordered by one thread.
 *
 * `alarm()` is only a watchdog: it kicks the pump, arms itself again and returns. It never throws.
 */
import { DurableObject } from 'cloudflare:workers';
import { releaseBytes } from '../crypto/release-bytes.ts';
import type { MessageRoute } from '../delivery/choose-relay.ts';
import { type ExplainedChoice, explainChoice } from '../delivery/explain-choice.ts';
import { type Env, type Settings, settingsOf } from '../env.ts';
import { logError } from '../log.ts';
import { Acceptance } from './acceptance.ts';
import { Bookkeeper } from './bookkeeper.ts';
import { BroadcastDesk, BroadcastPartDesk } from './broadcasts/broadcast-desk.ts';
import { BroadcastOffice } from './broadcasts/broadcast-office.ts';
import type {
  AcceptRequest,
  AcceptResult,
  CancelOutcome,
  ClaimRequest,
  ClaimResult,
  LedgerMessage,
  MessagePage,
  OutboxApi,
  OutboxStatistics,
  PageRequest,
  RelayUse,
  RescheduleOutcome,
  Resolution,
  ResolveOutcome,
  StagedPiece,
} from './client.ts';
import { ErasureDesk } from './erasures/erasure-desk.ts';
import { ErasureOffice } from './erasures/erasure-office.ts';
import { ImportDesk } from './imports/import-desk.ts';
import { ImportOffice } from './imports/import-office.ts';
import type { OutboxJobs } from './jobs.ts';
import { deleteClaim, fenceIds } from './ledger/claims.ts';
import { LedgerDatabase } from './ledger/database.ts';
import { Ledger } from './ledger/ledger.ts';
import { nextAlarmAt } from './next-alarm.ts';
import { Pump, type PumpContext } from './pump.ts';
import type { QuotaPart } from './quota-grants.ts';
import type { LeaseAnswer, LeaseRequest } from './quota-keeper.ts';
import { Registration } from './registration.ts';
import { relayContext } from './relay-reports.ts';
import { RetentionKeeper } from './retention-keeper.ts';
import { SendingStateReader } from './sending-state.ts';
import { CLAIM_SHARD, shardOf } from './shards.ts';
import { Simulator } from './simulator.ts';
import type { UsageState } from './usage.ts';
import type { EventPage, EventQuery, WebhookEvent } from './webhooks/event-desk.ts';
import type { AccountEntry } from './webhooks/event-entry.ts';
import type { EventPosition } from './webhooks/event-id.ts';
import { EventOffice } from './webhooks/event-office.ts';
import type { EventPayload } from './webhooks/event-payload.ts';
import type { AttemptResult } from './webhooks/retry-plan.ts';

export class Outbox extends DurableObject<Env> implements OutboxApi {
  private readonly importOffice: ImportOffice;
  private readonly broadcasts: BroadcastOffice;
  private readonly erasureOffice: ErasureOffice;
  private readonly settings: Settings;
  private readonly database: LedgerDatabase;
  private readonly ledger: Ledger;
  private readonly registration: Registration;
  private readonly events: EventOffice;
  private readonly acceptance: Acceptance;
  private pump: Pump | undefined;
  private simulator: Simulator | undefined;
  private alarmAtMs: number | undefined;
  /** What is still under way in it finds no tables any more, and an alarm would make a new object of it. */
  private isErased = false;
  private readonly retention: RetentionKeeper;
  private state: SendingStateReader | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.settings = settingsOf(env);
    this.database = new LedgerDatabase(ctx.storage);
    this.ledger = new Ledger(this.database, this.settings.LIST_SEGMENT_TERMS);
    this.retention = new RetentionKeeper(this.database, this.ledger, this.settings);
    this.events = new EventOffice(env, this.database, this.ledger, () => this.arm());
    this.importOffice = new ImportOffice(this.database, this.settings, () => this.arm());
    this.registration = new Registration(env, this.database);
    this.acceptance = new Acceptance({
      env,
      storage: ctx.storage,
      database: this.database,
      ledger: this.ledger,
      // What it has to be woken for is known before: see `onAccepted`.
      sync: () => this.events.sync(ctx.storage),
      belongTo: (accountId, shard) => this.belongTo(accountId, shard),
      onAccepted: () => this.goOn(),
    });
    const { database, ledger, settings, acceptance } = this;
    const shared = { database, ledger, settings, sync: () => this.sync() };
    this.broadcasts = new BroadcastOffice({ ...shared, acceptance, onRest: () => this.arm() });
    this.erasureOffice = new ErasureOffice({ ...shared, onRest: () => this.goOn() });
    const accountId = this.database.readMeta('account_id');
    if (accountId) this.pump = this.pumpFor(accountId);
  }

  /** What it does through services, which it may not import: the entry overrides this. */
  protected get jobs(): OutboxJobs {
    throw new Error('the object was made without its jobs');
  }

  /** Of what was written in this turn. With it goes the log of what it means. */
  private async sync(): Promise<void> {
    await this.events.sync(this.ctx.storage);
    this.arm();
  }

  accept(request: AcceptRequest): Promise<AcceptResult> {
    return this.acceptance.accept(request);
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    const result = await this.acceptance.claim(request);
    this.arm();
    return result;
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

  importsOf(accountId: string): ImportDesk {
    return new ImportDesk(this.importOffice, () => this.leadFor(accountId));
  }

  broadcastsOf(accountId: string): BroadcastDesk {
    return new BroadcastDesk(this.broadcasts, () => this.leadFor(accountId));
  }

  broadcastPartsOf(accountId: string, shard: number): BroadcastPartDesk {
    return new BroadcastPartDesk(this.broadcasts.part, () => this.belongTo(accountId, shard));
  }

  erasures(): ErasureDesk {
    return new ErasureDesk(this.erasureOffice);
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

  async resolveDelivery(id: string, n: number, resolution: Resolution): Promise<ResolveOutcome> {
    const outcome = this.ledger.resolve(id, n, resolution, Date.now());
    this.broadcasts.noteProgress();
    this.kick();
    await this.sync();
    return outcome;
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
    this.acceptance.actFor(accountId);
    return this.acceptance.quota.lease(request);
  }

  async trimQuota(part: QuotaPart): Promise<UsageState> {
    return this.acceptance.quota.trim(part);
  }

  async forgetQuotaParts(): Promise<void> {
    await this.acceptance.quota.forget();
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
    return { backlog, possibleDuplicates, usage: this.acceptance.quota.state() };
  }

  async refresh(): Promise<void> {
    this.pump?.refresh();
    this.importOffice.refresh();
    this.broadcasts.refresh();
    this.kick();
    // What it keeps is looked after also where it has nothing to send.
    await this.state?.tell();
  }

  async wake(): Promise<void> {
    // The alarm that is remembered here may be the one that was lost.
    this.alarmAtMs = (await this.ctx.storage.getAlarm()) ?? undefined;
    this.registration.ensure();
    this.goOn();
  }

  async erase(): Promise<void> {
    this.isErased = true;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    // What is in memory knows tables that are not there any more. Whoever calls next gets a new object.
    setTimeout(() => this.ctx.abort('erased'));
  }

  async ping(): Promise<void> {
    this.database.first('SELECT 1');
  }

  override async alarm(): Promise<void> {
    this.alarmAtMs = undefined;
    try {
      void this.state?.tell();
      this.retention.sweep(Date.now());
      this.ledger.messages.staging.sweep(Date.now() - this.settings.STAGING_KEPT_MS);
      this.importOffice.sweep(Date.now(), this.retention.metadataDays);
      this.broadcasts.sweep(Date.now());
      this.registration.ensure();
      this.kick();
    } catch (error) {
      logError('alarm_failed', error);
    }
    this.arm();
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

  private leadFor(accountId: string): void {
    this.belongTo(accountId, CLAIM_SHARD);
    this.arm();
  }

  private pumpFor(accountId: string): Pump {
    const state = new SendingStateReader(this.env, accountId, (kept) => this.retention.learn(kept));
    this.state = state;
    const { ledger, settings } = this;
    const shard = Number(this.database.readMeta('shard') ?? '0');
    this.events.open({ accountId, shard }, state);
    this.erasureOffice.open({ accountId, shard }, state);
    const own = { accountId, env: this.env, jobs: () => this.jobs };
    this.importOffice.open(own, state);
    this.broadcasts.open(own, state);
    const books = new Bookkeeper(ledger, { accountId, state }, () => {
      this.broadcasts.noteProgress();
      return this.sync();
    });
    const context: PumpContext = {
      accountId,
      ledger,
      books,
      state,
      settings,
      onRest: () => this.arm(),
      ...relayContext({ ctx: this.ctx, env: this.env }, { accountId, state, events: this.events }),
    };
    this.simulator = new Simulator(context);
    return new Pump(context);
  }

  /** There is work, and something to be woken for. */
  private goOn(): void {
    this.kick();
    this.arm();
  }

  private kick(): void {
    this.pump?.kick();
    this.simulator?.kick();
    this.events.courier?.kick();
    this.importOffice.kick();
    this.broadcasts.kick();
    this.erasureOffice.kick();
  }

  /** Sets the alarm where it would otherwise come too late. Each `setAlarm` is a row written, so it is never moved back. */
  private arm(): void {
    if (this.isErased) return;
    const { ledger, settings, pump, simulator, broadcasts } = this;
    const { courier } = this.events;
    const { importOffice: imports, erasureOffice: erasures } = this;
    const working = { pump, simulator, courier, imports, broadcasts, erasures };
    const atMs = nextAlarmAt({ ledger, settings, ...working }, Date.now());
    if (atMs === undefined || (this.alarmAtMs !== undefined && this.alarmAtMs <= atMs)) return;
    this.alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }
}
