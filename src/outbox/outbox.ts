/**
 * The Outbox: one Durable Object for each account and shard. It owns the ledger and the SMTP sockets of its
 * account, so that the record of a dot and the bytes on the wire are ordered by one thread.
 *
 * `alarm()` is only a watchdog: it kicks the pump, arms itself again and returns. It never throws.
 */
import { DurableObject } from 'cloudflare:workers';
import { releaseBytes } from '../crypto/release-bytes.ts';
import { applyResolution } from '../delivery/ending.ts';
import { type Env, type Settings, settingsOf } from '../env.ts';
import { logError, logEvent } from '../log.ts';
import { relayGateOf } from '../relay-gate/client.ts';
import { insertAudit } from '../store/audit-log.ts';
import { Bookkeeper } from './bookkeeper.ts';
import type {
  AcceptRequest,
  AcceptResult,
  ClaimRequest,
  ClaimResult,
  LedgerMessage,
  MessagePage,
  OutboxApi,
  OutboxStatistics,
  PageRequest,
  RelayUse,
  Resolution,
} from './client.ts';
import { GroupCommit } from './group-commit.ts';
import { deleteClaim, fenceIds, findClaimedIds, writeClaim } from './ledger/claims.ts';
import { LedgerDatabase } from './ledger/database.ts';
import { Ledger } from './ledger/ledger.ts';
import { DAY_MS } from './ledger/partitions.ts';
import { Pump } from './pump.ts';
import { Registration } from './registration.ts';
import { DEFAULT_RELAY_ID, SendingStateReader } from './sending-state.ts';
import { CLAIM_SHARD, shardOf, shareOf } from './shards.ts';
import { TokenBuckets } from './token-bucket.ts';

export class Outbox extends DurableObject<Env> implements OutboxApi {
  private readonly settings: Settings;
  private readonly database: LedgerDatabase;
  private readonly ledger: Ledger;
  private readonly buckets: TokenBuckets;
  private readonly queue: GroupCommit<AcceptRequest, AcceptResult>;
  private readonly registration: Registration;
  private pump: Pump | undefined;
  private books: Bookkeeper | undefined;
  private bytesInHand = 0;
  private alarmAtMs: number | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.settings = settingsOf(env);
    this.database = new LedgerDatabase(ctx.storage);
    this.ledger = new Ledger(this.database, this.settings.LIST_SEGMENT_TERMS);
    this.buckets = new TokenBuckets(this.settings.KEY_MESSAGES_PER_SECOND);
    this.queue = new GroupCommit(
      (request) => this.acceptNow(request),
      () => ctx.storage.sync(),
    );
    this.registration = new Registration(env, this.database);
    const accountId = this.database.readMeta('account_id');
    if (accountId) this.pump = this.pumpFor(accountId);
  }

  async accept(request: AcceptRequest): Promise<AcceptResult> {
    const bytes = sizeOf(request);
    if (this.bytesInHand > 0 && this.bytesInHand + bytes > this.settings.OUTBOX_IN_FLIGHT_LIMIT_BYTES) {
      const { rate } = this.buckets.take(request.keyId, 0, Date.now(), request.shards);
      return { outcome: 'overloaded', rate };
    }
    this.bytesInHand += bytes;
    try {
      return await this.queue.submit(request);
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

  async resolveDelivery(
    id: string,
    n: number,
    resolution: Resolution,
  ): Promise<'resolved' | 'not_found' | 'not_in_doubt'> {
    const item = this.ledger.messages.find(id);
    if (!item?.progress.deliveries[n] || !this.books) return 'not_found';
    if (this.ledger.queue.isInHand(id)) return 'not_in_doubt';
    const step = applyResolution(item.progress, n, resolution, Date.now());
    if (!step) return 'not_in_doubt';
    await this.books.commit([{ item, step, ...(item.dot ? { dot: item.dot } : {}) }]);
    this.pump?.kick();
    return 'resolved';
  }

  async findRelayUse(relayId: string): Promise<RelayUse> {
    return this.pump?.useOf(relayId) ?? { openSessions: 0, breaker: 'closed', deliveredLastMinute: 0 };
  }

  async readStatistics(): Promise<OutboxStatistics> {
    return { backlog: this.ledger.backlog, possibleDuplicates: this.ledger.possibleDuplicates };
  }

  async refresh(): Promise<void> {
    this.pump?.refresh();
    this.pump?.kick();
  }

  async wake(): Promise<void> {
    // The alarm that is remembered here may be the one that was lost.
    this.alarmAtMs = (await this.ctx.storage.getAlarm()) ?? undefined;
    this.registration.ensure();
    this.pump?.kick();
    this.arm();
  }

  async ping(): Promise<void> {
    this.database.first('SELECT 1');
  }

  override async alarm(): Promise<void> {
    this.alarmAtMs = undefined;
    try {
      this.ledger.sweep(Date.now(), {
        bodies: this.settings.BODY_RETENTION_DAYS,
        metadata: this.settings.METADATA_RETENTION_DAYS,
        claims: this.settings.IDEMPOTENCY_DAYS,
      });
      this.registration.ensure();
      this.pump?.kick();
    } catch (error) {
      logError('alarm_failed', error);
    }
    this.arm();
  }

  /** One request, synchronously: everything is checked before the idempotency key is claimed. */
  private acceptNow(request: AcceptRequest): AcceptResult {
    const nowMs = Date.now();
    const { messages, keyId, accountId, shards = 1 } = request;
    const ids = messages.map((message) => message.id);
    const claimed = this.findClaimed(request, ids, nowMs);
    const wanted = claimed.kind === 'new' ? messages.length : 0;
    const { ok, rate, retryAfterSeconds } = this.buckets.take(keyId, wanted, nowMs, shards);
    if (claimed.kind === 'same') return { outcome: 'replayed', ids: claimed.ids, rate };
    if (claimed.kind === 'different') return { outcome: 'idempotency_mismatch', ids: claimed.ids, rate };
    if (claimed.kind === 'fenced') return { outcome: 'fenced', rate };
    if (!ok) return { outcome: 'rate_limited', rate, retryAfterSeconds };
    if (this.ledger.backlog + messages.length > shareOf(this.settings.BACKLOG_LIMIT, shards))
      return { outcome: 'backlog_full', rate };
    const pump = this.belongTo(accountId, shardOf(ids) ?? CLAIM_SHARD);
    this.ledger.accept(request, nowMs);
    pump.kick();
    this.arm();
    return { outcome: 'accepted', ids, rate };
  }

  private findClaimed({ claim, isClaimed }: AcceptRequest, ids: readonly string[], nowMs: number) {
    if (claim) return this.ledger.findClaim(claim, { nowMs, keptForDays: this.settings.IDEMPOTENCY_DAYS });
    if (isClaimed) return findClaimedIds(this.database, this.ledger.messages, { ids, nowMs });
    return { kind: 'new' as const };
  }

  /** The first call that writes anything tells whose object this is. */
  private belongTo(accountId: string, shard: number): Pump {
    if (!this.pump) {
      this.database.writeMeta('account_id', accountId);
      this.database.writeMeta('shard', String(shard));
      this.pump = this.pumpFor(accountId);
    }
    this.registration.ensure();
    return this.pump;
  }

  private pumpFor(accountId: string): Pump {
    const state = new SendingStateReader(this.env, accountId);
    const { ledger, settings } = this;
    this.books = new Bookkeeper(ledger, { accountId, state }, () => this.ctx.storage.sync());
    return new Pump({
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
    });
  }

  /** Sets the alarm where it would otherwise come too late. Each `setAlarm` is a row written, so it is never moved back. */
  private arm(): void {
    const atMs = this.nextAlarmAt();
    if (atMs === undefined || (this.alarmAtMs !== undefined && this.alarmAtMs <= atMs)) return;
    this.alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }

  private nextAlarmAt(): number | undefined {
    const nowMs = Date.now();
    const watchdogAtMs = nowMs + this.settings.WATCHDOG_MS;
    if (!this.pump) return undefined;
    if (this.pump.isRunning) return watchdogAtMs;
    const dueAtMs = this.ledger.queue.nextDueAt();
    const opensAtMs = this.pump.relayOpensAt;
    if (this.pump.hasWork) return Math.min(watchdogAtMs, opensAtMs ?? watchdogAtMs);
    if (dueAtMs !== undefined) return Math.max(dueAtMs, nowMs);
    return this.ledger.hasHistory ? nowMs + DAY_MS : undefined;
  }
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
