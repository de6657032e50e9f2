/**
 * The way into an account's Outbox: the only file of `outbox/` that `http` and `services` import.
 * Everything that crosses is plain data; message content crosses sealed.
 */
import type { MessageRoute } from '../delivery/choose-relay.ts';
import type { ExplainedChoice } from '../delivery/explain-choice.ts';
import {
  type AcceptedAs,
  type DeliveryState,
  type DeliveryStatus,
  newProgress,
  shownDeliveries,
  type TimelineEvent,
} from '../delivery/progress.ts';
import { type Env, settingsOf } from '../env.ts';
import type { BroadcastApi } from './broadcasts/broadcast-api.ts';
import type { BroadcastPage, BroadcastPartApi } from './broadcasts/part-api.ts';
import type { ErasureApi } from './erasures/erasure-api.ts';
import type { ImportApi } from './imports/import-api.ts';
import type { QuotaPart } from './quota-grants.ts';
import type { LeaseAnswer, LeaseRequest } from './quota-keeper.ts';
import type { Term } from './terms.ts';
import type { Period, Quota, UsageState } from './usage.ts';
import type { EventPage, EventQuery, WebhookEvent } from './webhooks/event-desk.ts';
import type { AccountEntry } from './webhooks/event-entry.ts';
import type { EventPosition } from './webhooks/event-id.ts';
import type { EventPayload } from './webhooks/event-payload.ts';
import type { AttemptResult } from './webhooks/retry-plan.ts';

export type { ChoiceReason, ExplainedChoice } from '../delivery/explain-choice.ts';
export {
  DELIVERY_STATUSES,
  type DeliveryState,
  type DeliveryStatus,
  type Rejection,
  type TimelineEvent,
} from '../delivery/progress.ts';
export type * from './broadcasts/broadcast-api.ts';
export { broadcastDeskOf, erasureDeskOf, importDeskOf } from './desks.ts';
export type * from './erasures/erasure-api.ts';
export { ERASED_ADDRESS } from './erasures/what-is-left.ts';
export type * from './imports/import-api.ts';
export * from './imports/import-content.ts';
export * from './message-content.ts';
export * from './retention.ts';
export * from './shards.ts';
export { fixedTermsOf, keyedTerm, recipientKey, type Term } from './terms.ts';
export * from './usage.ts';
export { webhookSecretPlace } from './webhooks/active-webhooks.ts';
export * from './webhooks/attempt-log.ts';
export type { EventPage, EventQuery, WebhookEvent } from './webhooks/event-desk.ts';
export type { AccountEntry } from './webhooks/event-entry.ts';
export * from './webhooks/event-id.ts';
export * from './webhooks/event-payload.ts';
export type { AttemptResult } from './webhooks/retry-plan.ts';

/** One message to be put on the ledger. */
export interface MessageToAccept extends AcceptedAs {
  readonly id: string;
  readonly recipientCount: number;
  /** What lists find it by, as `fixedTermsOf` made them. */
  readonly terms?: Uint8Array;
  /** As `sealMessage` made them. */
  readonly summary: Uint8Array;
  readonly head: readonly Uint8Array[];
  readonly attachments: readonly Uint8Array[];
  /** In place of `attachments`: so many pieces were staged under this id. */
  readonly stagedPieces?: number;
}

/** A piece of content that comes before its message. */
export interface StagedPiece {
  /** The id that the message will have. */
  readonly id: string;
  readonly index: number;
  /** As `sealPiece` made it. */
  readonly piece: Uint8Array;
}

export interface AcceptRequest {
  readonly accountId: string;
  readonly keyId: string;
  readonly messages: readonly MessageToAccept[];
  /** In shard 0 only: claimed in the transaction that writes the messages. */
  readonly claim?: IdempotencyClaim;
  /** In any other shard: shard 0 has these ids claimed, so they may be here already, or fenced. */
  readonly isClaimed?: boolean;
  /** They are a page of a broadcast, which is accepted once and whose rate is nobody's key's. */
  readonly page?: BroadcastPage;
  /** How many shards the account has; each has an equal part of its limits. */
  readonly shards?: number;
  /** Absent: the account has none. */
  readonly quota?: Quota;
}

/** Keyed hashes, base64; the key itself is never stored. */
export interface IdempotencyClaim {
  readonly keyHash: string;
  readonly fingerprint: string;
}

/** Asks shard 0 to set an idempotency key aside for messages of another shard. */
export interface ClaimRequest {
  readonly accountId: string;
  readonly keyId: string;
  readonly claim: IdempotencyClaim;
  readonly ids: readonly string[];
  readonly shards?: number;
}

/** `same` and `different` compare the fingerprint with that of the claim which was there before. */
export type ClaimResult =
  | { readonly kind: 'new'; readonly rate: RateState }
  | { readonly kind: 'same' | 'different'; readonly ids: readonly string[]; readonly rate: RateState };

/** The state of the key's token bucket after this call. */
export interface RateState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetSeconds: number;
}

export type AcceptResult =
  | {
      readonly outcome: 'accepted';
      readonly ids: readonly string[];
      readonly acceptedAtMs: number;
      readonly rate: RateState;
    }
  /** The same request was accepted before: its ids, and nothing new. */
  | { readonly outcome: 'replayed'; readonly ids: readonly string[]; readonly rate: RateState }
  /** With the ids of the request that has the key. */
  | { readonly outcome: 'idempotency_mismatch'; readonly ids: readonly string[]; readonly rate: RateState }
  /** Claimed ids that can never be accepted: their claim is void. Or a page that was fenced, or canceled. */
  | { readonly outcome: 'fenced'; readonly rate: RateState }
  | { readonly outcome: 'rate_limited'; readonly rate: RateState; readonly retryAfterSeconds: number }
  | { readonly outcome: 'backlog_full'; readonly rate: RateState }
  | { readonly outcome: 'quota_exceeded'; readonly period: Period; readonly rate: RateState }
  /** The object has as many bytes in hand as it may hold. */
  | { readonly outcome: 'overloaded'; readonly rate: RateState }
  /** What was staged for a message was swept: it took too long. */
  | { readonly outcome: 'staging_lost'; readonly rate: RateState };

/** What the ledger knows of a message. Sealed parts are opened by the caller, who holds the account's key. */
export interface LedgerMessage {
  readonly id: string;
  readonly acceptedAtMs: number;
  readonly summary: Uint8Array;
  readonly deliveries: readonly DeliveryState[];
  readonly timeline: readonly TimelineEvent[];
  readonly possibleDuplicates: number;
  readonly scheduledAtMs?: number;
  readonly isTest?: boolean;
  /** Sealed JSON: the last reply text of each recipient, by index. */
  readonly replies?: Uint8Array;
}

/** What the ledger will say of a message that it just took. */
export function acceptedMessage(message: MessageToAccept, nowMs: number): LedgerMessage {
  const { id, summary, scheduledAtMs, isTest } = message;
  const progress = newProgress(message.recipientCount, nowMs, message);
  return {
    id,
    acceptedAtMs: nowMs,
    summary,
    deliveries: shownDeliveries(progress, nowMs),
    timeline: progress.timeline,
    possibleDuplicates: 0,
    ...(scheduledAtMs === undefined ? {} : { scheduledAtMs }),
    ...(isTest ? { isTest } : {}),
  };
}

export interface MessagePage {
  readonly messages: readonly LedgerMessage[];
  readonly hasMore: boolean;
}

export interface PageRequest {
  readonly limit: number;
  /** Older than this id. */
  readonly after?: string;
  /** Newer than this id. */
  readonly before?: string;
  readonly filter?: MessageFilter;
}

/** All of it must be true of a message; recipient, status and relay of one and the same delivery. */
export interface MessageFilter {
  readonly recipient?: Term;
  /** Tags and whatever else is fixed when a message is accepted. */
  readonly fixed?: readonly Term[];
  readonly status?: DeliveryStatus;
  readonly relayId?: string;
  /** By the time in the id: from the one on, and before the other. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
}

/** `at_dot`: a final dot may have left. `ended`: nothing is left to take back. */
export type CancelOutcome = 'canceled' | 'not_found' | 'at_dot' | 'ended';
export type RescheduleOutcome = 'rescheduled' | 'not_found' | 'not_scheduled';

export type Resolution = 'delivered' | 'resend' | 'drop';
export type ResolveOutcome = 'resolved' | 'not_found' | 'not_in_doubt';

/** What one Outbox knows of a relay it uses. */
export interface RelayUse {
  readonly openSessions: number;
  /** `closed` in the sense of a breaker: mail flows. `open`: it does not, until `reopensAtMs`. */
  readonly breaker: 'closed' | 'half_open' | 'open';
  readonly reopensAtMs?: number;
  readonly lastFault?: { readonly atMs: number; readonly reason: string; readonly code?: number };
  /** Messages that the relay took in the last minute. */
  readonly deliveredLastMinute: number;
}

export interface OutboxStatistics {
  /** Messages that are neither finished nor held. */
  readonly backlog: number;
  /** Times that a second copy may have been made, since the object exists. */
  readonly possibleDuplicates: number;
  /** What this shard took on. */
  readonly usage: UsageState;
}

/** The RPC surface of the Durable Object. */
export interface OutboxApi {
  /** To be asked for by `desks.ts` alone, which disposes of them. Their methods may be called at once. */
  importsOf(accountId: string): ImportApi & Disposable;
  /** In shard 0. */
  broadcastsOf(accountId: string): BroadcastApi & Disposable;
  /** In any shard, told which it is. */
  broadcastPartsOf(accountId: string, shard: number): BroadcastPartApi & Disposable;
  /** In any shard. */
  erasures(): ErasureApi & Disposable;
  accept(request: AcceptRequest): Promise<AcceptResult>;
  /** Shard 0: durable before it answers. */
  claim(request: ClaimRequest): Promise<ClaimResult>;
  /** Shard 0: frees a key, but only where it is still claimed for these ids, which must be fenced. */
  releaseClaim(keyHash: string, ids: readonly string[]): Promise<void>;
  /** The shard of the ids: from here on they cannot be accepted, unless they were. */
  fenceClaimed(accountId: string, ids: readonly string[]): Promise<'accepted' | 'fenced'>;
  /** Writes a piece of content ahead of its message. `full`: too many uploads are under way. */
  stagePiece(accountId: string, piece: StagedPiece): Promise<'staged' | 'lost' | 'full'>;
  /** A piece that was staged and belongs to no message yet. */
  readStagedPiece(id: string, index: number): Promise<Uint8Array | undefined>;
  /** Drops what was staged under this id, unless a message has taken it over. */
  discardStaged(id: string): Promise<void>;
  findMessage(id: string): Promise<LedgerMessage | undefined>;
  /** The sealed pieces of a message's head; undefined once its retention is over. */
  findHead(id: string): Promise<readonly Uint8Array[] | undefined>;
  /** A sealed piece of a message's attachments; undefined once its retention is over. */
  findAttachmentPiece(id: string, index: number): Promise<Uint8Array | undefined>;
  listMessages(page: PageRequest): Promise<MessagePage>;
  /** In the order of the ids; what is not there is left out. */
  findMessages(ids: readonly string[]): Promise<readonly LedgerMessage[]>;
  /** Once it answers `canceled`, no final dot of the message leaves any more. Safe to repeat. */
  cancelMessage(id: string): Promise<CancelOutcome>;
  rescheduleMessage(id: string, scheduledAtMs: number): Promise<RescheduleOutcome>;
  /** Ends a doubt that is held. `n` is the delivery's place in the message. */
  resolveDelivery(id: string, n: number, resolution: Resolution): Promise<ResolveOutcome>;
  /** Shard 0: gives another shard a part of the quota. */
  leaseQuota(accountId: string, request: LeaseRequest): Promise<LeaseAnswer>;
  /** Any other shard: gives up what it does not need of its part. */
  trimQuota(part: QuotaPart): Promise<UsageState>;
  /** Shard 0: the quota changed, or the number of shards. */
  forgetQuotaParts(): Promise<void>;
  findRelayUse(relayId: string): Promise<RelayUse>;
  /** Which relay would carry such a message now. Writes nothing. */
  explainRoute(accountId: string, route: MessageRoute): Promise<ExplainedChoice>;
  readStatistics(): Promise<OutboxStatistics>;
  /** Logs what happened to the account outside of any message. In shard 0. */
  recordAccountEvents(accountId: string, entries: readonly AccountEntry[]): Promise<void>;
  readEvents(query: EventQuery): Promise<EventPage>;
  /** Resolves once something was logged after the place, or the time is over. */
  waitForEvents(after: EventPosition, waitMs: number): Promise<void>;
  /** Newest first, those that were attempted. */
  listWebhookEvents(
    webhookId: string,
    page: { readonly before: EventPosition; readonly limit: number },
  ): Promise<{ readonly events: readonly WebhookEvent[]; readonly hasMore: boolean }>;
  findWebhookEvent(webhookId: string, place: EventPosition): Promise<WebhookEvent | undefined>;
  /** False where there is no such event. */
  replayEvent(webhookId: string, place: EventPosition): Promise<boolean>;
  replayEventsSince(webhookId: string, sinceMs: number): Promise<void>;
  /** Sends this payload now, outside of the log. Undefined where that cannot be done now. */
  testWebhook(
    accountId: string,
    webhookId: string,
    payload: EventPayload,
  ): Promise<AttemptResult | undefined>;
  /** Something in D1 changed (account status, relays, webhooks): forget what was read and look for work. */
  refresh(): Promise<void>;
  /** From the hourly sweep: an object that lost its alarm finds its work again. */
  wake(): Promise<void>;
  /** Of an account that is gone: all of its ledger, and whatever was under way. */
  erase(): Promise<void>;
  /** Answers where the object and its storage work. */
  ping(): Promise<void>;
}

export function outboxOf(env: Env, accountId: string, shard = 0): OutboxApi {
  return objectNamed(env, `${accountId}/${shard}`);
}

/** An object of no account that only answers `ping`. */
export function healthOutbox(env: Env): OutboxApi {
  return objectNamed(env, 'health');
}

function objectNamed(env: Env, name: string): OutboxApi {
  const { DATA_JURISDICTION } = settingsOf(env);
  const namespace =
    DATA_JURISDICTION === 'none'
      ? env.OUTBOX
      : env.OUTBOX.jurisdiction(DATA_JURISDICTION as DurableObjectJurisdiction);
  return namespace.getByName(name) as unknown as OutboxApi;
}
