/**
 * The way into an account's Outbox: the only file of `outbox/` that `http` and `services` import.
 * Everything that crosses is plain data; message content crosses sealed.
 */
import type { DeliveryState, TimelineEvent } from '../delivery/progress.ts';
import { type Env, settingsOf } from '../env.ts';

export type { DeliveryState, TimelineEvent } from '../delivery/progress.ts';
export * from './message-content.ts';

/** One message to be put on the ledger. */
export interface MessageToAccept {
  readonly id: string;
  readonly recipientCount: number;
  /** As `sealMessage` made them. */
  readonly summary: Uint8Array;
  readonly head: readonly Uint8Array[];
  readonly attachments: readonly Uint8Array[];
}

export interface AcceptRequest {
  readonly accountId: string;
  readonly keyId: string;
  readonly messages: readonly MessageToAccept[];
  /** Keyed hashes, base64; the key itself is never stored. */
  readonly claim?: { readonly keyHash: string; readonly fingerprint: string };
}

/** The state of the key's token bucket after this call. */
export interface RateState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetSeconds: number;
}

export type AcceptResult =
  | { readonly outcome: 'accepted'; readonly ids: readonly string[]; readonly rate: RateState }
  /** The same request was accepted before: its ids, and nothing new. */
  | { readonly outcome: 'replayed'; readonly ids: readonly string[]; readonly rate: RateState }
  | { readonly outcome: 'idempotency_mismatch'; readonly rate: RateState }
  | { readonly outcome: 'rate_limited'; readonly rate: RateState; readonly retryAfterSeconds: number }
  | { readonly outcome: 'backlog_full'; readonly rate: RateState }
  /** The object has as many bytes in hand as it may hold. */
  | { readonly outcome: 'overloaded'; readonly rate: RateState };

/** What the ledger knows of a message. Sealed parts are opened by the caller, who holds the account's key. */
export interface LedgerMessage {
  readonly id: string;
  readonly acceptedAtMs: number;
  readonly summary: Uint8Array;
  readonly deliveries: readonly DeliveryState[];
  readonly timeline: readonly TimelineEvent[];
  readonly possibleDuplicates: number;
  /** Sealed JSON: the last reply text of each recipient, by index. */
  readonly replies?: Uint8Array;
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
}

/** The RPC surface of the Durable Object. */
export interface OutboxApi {
  accept(request: AcceptRequest): Promise<AcceptResult>;
  findMessage(id: string): Promise<LedgerMessage | undefined>;
  /** The sealed pieces of a message's head; undefined once its retention is over. */
  findHead(id: string): Promise<readonly Uint8Array[] | undefined>;
  listMessages(page: PageRequest): Promise<MessagePage>;
  /** Something in D1 changed (account status, relays): forget what was read and look for work. */
  refresh(): Promise<void>;
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
  return namespace.get(namespace.idFromName(name)) as unknown as OutboxApi;
}
