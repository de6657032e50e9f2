/**
 * The Outbox: one Durable Object for each account and shard. It owns the ledger and the SMTP sockets of its
 * account, so that the record of a dot and the bytes on the wire are ordered by one thread.
 *
 * `alarm()` is only a watchdog: it kicks the pump, arms itself again and returns. It never throws.
 */
import { DurableObject } from 'cloudflare:workers';
import { type Env, type Settings, settingsOf } from '../env.ts';
import { logError } from '../log.ts';
import { AcceptQueue } from './accept-queue.ts';
import type {
  AcceptRequest,
  AcceptResult,
  LedgerMessage,
  MessagePage,
  OutboxApi,
  PageRequest,
} from './client.ts';
import { LedgerDatabase } from './ledger/database.ts';
import { Ledger } from './ledger/ledger.ts';
import { DAY_MS } from './ledger/partitions.ts';
import { Pump } from './pump.ts';
import { SendingStateReader } from './sending-state.ts';
import { TokenBuckets } from './token-bucket.ts';

export class Outbox extends DurableObject<Env> implements OutboxApi {
  private readonly settings: Settings;
  private readonly database: LedgerDatabase;
  private readonly ledger: Ledger;
  private readonly buckets: TokenBuckets;
  private readonly queue: AcceptQueue<AcceptRequest, AcceptResult>;
  private pump: Pump | undefined;
  private bytesInHand = 0;
  private alarmAtMs: number | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.settings = settingsOf(env);
    this.database = new LedgerDatabase(ctx.storage);
    this.ledger = new Ledger(this.database);
    this.buckets = new TokenBuckets(this.settings.KEY_MESSAGES_PER_SECOND);
    this.queue = new AcceptQueue(
      (request) => this.acceptNow(request),
      () => ctx.storage.sync(),
    );
    const accountId = this.database.readMeta('account_id');
    if (accountId) this.pump = this.pumpFor(accountId);
  }

  async accept(request: AcceptRequest): Promise<AcceptResult> {
    const bytes = sizeOf(request);
    if (this.bytesInHand > 0 && this.bytesInHand + bytes > this.settings.OUTBOX_IN_FLIGHT_LIMIT_BYTES) {
      const { rate } = this.buckets.take(request.keyId, 0, Date.now());
      return { outcome: 'overloaded', rate };
    }
    this.bytesInHand += bytes;
    try {
      return await this.queue.submit(request);
    } finally {
      this.bytesInHand -= bytes;
    }
  }

  async findMessage(id: string): Promise<LedgerMessage | undefined> {
    return this.ledger.messages.findPublic(id);
  }

  async findHead(id: string): Promise<readonly Uint8Array[] | undefined> {
    return this.ledger.messages.findHead(id);
  }

  async listMessages(page: PageRequest): Promise<MessagePage> {
    return this.ledger.messages.list(page);
  }

  async refresh(): Promise<void> {
    this.pump?.refresh();
    this.startPump();
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
      this.startPump();
    } catch (error) {
      logError('alarm_failed', error);
    }
    this.arm();
  }

  /** One request, synchronously: everything is checked before the idempotency key is claimed. */
  private acceptNow(request: AcceptRequest): AcceptResult {
    const nowMs = Date.now();
    const { claim, messages, keyId, accountId } = request;
    const claimed = claim
      ? this.ledger.findClaim(claim, {
          nowMs,
          keptForDays: this.settings.IDEMPOTENCY_DAYS,
        })
      : { kind: 'new' as const };
    const wanted = claimed.kind === 'new' ? messages.length : 0;
    const { ok, rate, retryAfterSeconds } = this.buckets.take(keyId, wanted, nowMs);
    if (claimed.kind === 'same') return { outcome: 'replayed', ids: claimed.ids, rate };
    if (claimed.kind === 'different') return { outcome: 'idempotency_mismatch', rate };
    if (!ok) return { outcome: 'rate_limited', rate, retryAfterSeconds };
    if (this.ledger.backlog + messages.length > this.settings.BACKLOG_LIMIT)
      return { outcome: 'backlog_full', rate };
    if (!this.pump) {
      this.database.writeMeta('account_id', accountId);
      this.pump = this.pumpFor(accountId);
    }
    this.ledger.accept(request, nowMs);
    this.arm();
    this.startPump();
    return { outcome: 'accepted', ids: messages.map((message) => message.id), rate };
  }

  private pumpFor(accountId: string): Pump {
    return new Pump({
      accountId,
      ledger: this.ledger,
      state: new SendingStateReader(this.env, accountId),
      settings: this.settings,
      sync: () => this.ctx.storage.sync(),
    });
  }

  private startPump(): void {
    if (!this.pump) return;
    const wasRunning = this.pump.isRunning;
    const rest = this.pump.kick();
    if (!wasRunning) void rest.then(() => this.arm());
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
    if (this.ledger.queue.hasWork(nowMs)) return Math.min(watchdogAtMs, opensAtMs ?? watchdogAtMs);
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
