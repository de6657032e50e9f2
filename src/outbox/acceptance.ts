/**
 * How messages get onto the ledger: idempotency key, quota, content, send limit and backlog are checked before
 * anything is written, and nothing is answered before it is durable. Requests that arrive during a commit share the next.
 */
import { releaseBytes } from '../crypto/release-bytes.ts';
import { type Env, settingsOf } from '../env.ts';
import {
  type AcceptRequest,
  type AcceptResult,
  type ClaimRequest,
  type ClaimResult,
  type MessageToAccept,
  outboxOf,
  type RateState,
} from './client.ts';
import { Crowd } from './gathering.ts';
import { GroupCommit } from './group-commit.ts';
import { findClaimedIds, writeClaim } from './ledger/claims.ts';
import type { LedgerDatabase } from './ledger/database.ts';
import type { Ledger } from './ledger/ledger.ts';
import { type QuotaDemand, QuotaKeeper } from './quota-keeper.ts';
import { CLAIM_SHARD, shardOf, shareOf } from './shards.ts';
import { TokenBuckets } from './token-bucket.ts';

interface Submitted {
  readonly request: AcceptRequest;
  readonly demand: QuotaDemand | undefined;
}

/** Needs more of the quota than this object knows to be there. */
interface QuotaShort {
  readonly outcome: 'quota_short';
  readonly rate: RateState;
}

export interface AcceptanceContext {
  readonly env: Env;
  readonly storage: DurableObjectStorage;
  readonly database: LedgerDatabase;
  readonly ledger: Ledger;
  /** Resolves once what was written in this turn is durable, and what it means is logged. */
  readonly sync: () => Promise<void>;
  /** Before anything is written for an account. */
  readonly belongTo: (accountId: string, shard: number) => void;
  /** There is work. */
  readonly onAccepted: () => void;
}

export class Acceptance {
  readonly quota: QuotaKeeper;
  private readonly context: AcceptanceContext;
  private readonly buckets: TokenBuckets;
  private readonly queue: GroupCommit<Submitted, AcceptResult | QuotaShort>;
  /** Of the last request; all of them are of one account. */
  private accountId = '';
  private bytesInHand = 0;
  /** In the commit that is being written. */
  private hasAccepted = false;

  constructor(context: AcceptanceContext) {
    this.context = context;
    this.buckets = new TokenBuckets(settingsOf(context.env).KEY_MESSAGES_PER_SECOND);
    this.quota = this.quotaKeeper();
    this.queue = new GroupCommit(
      (submitted) => this.acceptNow(submitted),
      () => {
        this.quota.save();
        // Once for all that share the commit, and in its turn: the alarm is set with what it is for, or not at all.
        if (this.hasAccepted) context.onAccepted();
        this.hasAccepted = false;
        return context.sync();
      },
      new Crowd(),
    );
  }

  async accept(request: AcceptRequest): Promise<AcceptResult> {
    const { OUTBOX_IN_FLIGHT_LIMIT_BYTES } = settingsOf(this.context.env);
    const bytes = sizeOf(request);
    if (this.bytesInHand > 0 && this.bytesInHand + bytes > OUTBOX_IN_FLIGHT_LIMIT_BYTES) {
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
    const { database, ledger, storage, belongTo } = this.context;
    const nowMs = Date.now();
    const { rate } = this.buckets.take(keyId, 0, nowMs, shards);
    const found = ledger.findClaim(claim, { nowMs, keptForDays: this.claimDays });
    if (found.kind === 'new') {
      belongTo(accountId, CLAIM_SHARD);
      writeClaim(database, { ...claim, ids }, nowMs);
    }
    await storage.sync();
    return { ...found, rate };
  }

  /** Before the quota is asked on behalf of an account. */
  actFor(accountId: string): void {
    this.accountId = accountId;
  }

  private get claimDays(): number {
    return settingsOf(this.context.env).IDEMPOTENCY_DAYS;
  }

  private async acceptWithinQuota(request: AcceptRequest): Promise<AcceptResult> {
    this.actFor(request.accountId);
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

  /** One request, synchronously: everything is checked before the idempotency key is claimed. */
  private acceptNow({ request, demand }: Submitted): AcceptResult | QuotaShort {
    const { env, ledger, belongTo } = this.context;
    const nowMs = Date.now();
    const { messages, keyId, accountId, page, shards = 1 } = request;
    const ids = messages.map((message) => message.id);
    const claimed = this.findClaimed(request, ids, nowMs);
    const fits = claimed.kind !== 'new' || !demand || this.quota.fits(demand);
    const wanted = claimed.kind === 'new' && fits && !page ? messages.length : 0;
    const { ok, rate, retryAfterSeconds } = this.buckets.take(keyId, wanted, nowMs, shards);
    if (claimed.kind === 'same') return { outcome: 'replayed', ids: claimed.ids, rate };
    if (claimed.kind === 'different') return { outcome: 'idempotency_mismatch', ids: claimed.ids, rate };
    if (claimed.kind === 'fenced') return { outcome: 'fenced', rate };
    if (!fits) return { outcome: 'quota_short', rate };
    if (messages.some((message) => !this.hasContent(message))) return { outcome: 'staging_lost', rate };
    if (!ok) return { outcome: 'rate_limited', rate, retryAfterSeconds };
    if (ledger.backlog + messages.length > shareOf(settingsOf(env).BACKLOG_LIMIT, shards))
      return { outcome: 'backlog_full', rate };
    belongTo(accountId, shardOf(ids) ?? CLAIM_SHARD);
    this.quota.count(recipientsIn(ledger.accept(request, nowMs)), demand);
    this.hasAccepted = true;
    return { outcome: 'accepted', ids, acceptedAtMs: nowMs, rate };
  }

  private hasContent({ id, stagedPieces }: MessageToAccept): boolean {
    return stagedPieces === undefined || this.context.ledger.messages.staging.isComplete(id, stagedPieces);
  }

  private findClaimed({ claim, isClaimed, page }: AcceptRequest, ids: readonly string[], nowMs: number) {
    const { database, ledger } = this.context;
    if (page) return { kind: KIND_OF_PAGE[ledger.parts.findPage(page)], ids };
    if (claim) return ledger.findClaim(claim, { nowMs, keptForDays: this.claimDays });
    if (isClaimed) return findClaimedIds(database, ledger.messages, { ids, nowMs });
    return { kind: 'new' as const };
  }

  private quotaKeeper(): QuotaKeeper {
    const { env, database, storage } = this.context;
    const shardNamed = (shard: number) => outboxOf(env, this.accountId, shard);
    return new QuotaKeeper({
      readMeta: (name) => database.readMeta(name),
      writeMeta: (name, value) => database.writeMeta(name, value),
      sync: () => storage.sync(),
      askLead: (request) => shardNamed(CLAIM_SHARD).leaseQuota(this.accountId, request),
      trim: (shard, part) => shardNamed(shard).trimQuota(part),
      now: () => Date.now(),
    });
  }
}

const KIND_OF_PAGE = { new: 'new', accepted: 'same', fenced: 'fenced' } as const;

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
