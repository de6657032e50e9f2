/** What crosses between the Outbox and its callers about broadcasts. A broadcast is run by shard 0. */
import type { Env } from '../../env.ts';
import type { AccountScope } from '../../store/db.ts';
import type { MessageToAccept } from '../client.ts';
import type { Quota } from '../usage.ts';

/** A broadcast that shard 0 knows nothing of is a draft. */
export type BroadcastRunStatus =
  | 'scheduled'
  | 'queued'
  | 'sending'
  | 'paused'
  | 'sent'
  | 'canceled'
  | 'failed';

/** Why nothing is taken from the list at the moment, though the broadcast is being sent. */
export type BroadcastHindrance = 'backlog' | 'quota' | 'account_suspended' | 'unavailable';

/** Of recipients. What is in none of them is still under way. */
export interface BroadcastCounts {
  readonly delivered: number;
  readonly failed: number;
  readonly suppressed: number;
  readonly canceled: number;
  /** Held for a decision. */
  readonly inDoubt: number;
}

export interface BroadcastRun {
  readonly id: string;
  readonly status: BroadcastRunStatus;
  /** Present: it begins no sooner. */
  readonly scheduledAtMs?: number;
  readonly startedAtMs?: number;
  /** Of the last message's acceptance, or of the cancel. */
  readonly finishedAtMs?: number;
  /** How many it is for, as the list was when it began. Absent until they are counted. */
  readonly total?: number;
  /** Messages on the ledger: accepted once each. */
  readonly queued: number;
  /** Contacts for whom no message could be made. */
  readonly skipped: number;
  readonly counts: BroadcastCounts;
  readonly hindrance?: BroadcastHindrance;
  /** Why it failed: a fixed text. */
  readonly reason?: string;
}

/** `conflict`: it is not in a state that allows this. */
export type BroadcastOutcome = { readonly run: BroadcastRun } | 'not_found' | 'conflict';

/** The RPC surface about broadcasts, in shard 0. What it answers is durable. */
export interface BroadcastApi {
  /** Repeating it for one that is known changes nothing, and answers what is known. */
  start(given: { readonly id: string; readonly scheduledAtMs?: number }): Promise<BroadcastRun>;
  /** No more contacts are taken; what is on the ledger is sent. */
  pause(id: string): Promise<BroadcastOutcome>;
  resume(id: string): Promise<BroadcastOutcome>;
  /** One that has not begun is forgotten, and a draft again. Of one that has, what is not at its dot is canceled. */
  cancel(id: string): Promise<BroadcastOutcome | 'draft_again'>;
  /** In the order of the ids; those it does not know are absent. */
  find(ids: readonly string[]): Promise<readonly BroadcastRun[]>;
}

/** A stretch of the list by contact id, newest first: after `after` (absent: from the start) up to and with `upTo`. */
export interface ContactRange {
  readonly after?: string;
  readonly upTo: string;
}

export interface BroadcastJob {
  readonly env: Env;
  readonly scope: AccountScope;
  readonly broadcastId: string;
}

/** Who is refused for good (`failed`) or for now, in the fixed words of the API's errors. */
export type BroadcastRefusal =
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'hindered'; readonly hindrance: BroadcastHindrance };

/** Its messages are too much for one page, which several pages are not. */
export interface BroadcastPageTooLarge {
  readonly kind: 'too_large';
  readonly recipients: number;
}

/** What an Outbox does for a broadcast through services. They throw where D1 does not answer. */
export interface BroadcastJobs {
  /**
   * How many a broadcast is for, counted from `cursor` on, a bounded part at a time: the caller adds up until no
   * cursor comes back. `shards` and `quota` are the account's, as for any mail.
   */
  countRecipients(
    job: BroadcastJob,
    cursor?: string,
  ): Promise<{ readonly counted: number; readonly cursor?: string } | BroadcastRefusal>;

  /** The next stretch of the list with at most `limit` recipients; without `range` the list has ended. */
  planPage(
    job: BroadcastJob,
    query: { readonly after?: string; readonly limit: number },
  ): Promise<
    { readonly range?: ContactRange; readonly shards: number; readonly quota?: Quota } | BroadcastRefusal
  >;

  /**
   * The messages to those of the range who are recipients now, sealed. The id of a message follows from the
   * broadcast, its contact, `shard` and `atMs`, so making a page again makes no second message to anybody.
   */
  composePage(
    job: BroadcastJob,
    page: { readonly range: ContactRange; readonly shard: number; readonly atMs: number },
  ): Promise<
    | { readonly messages: readonly MessageToAccept[]; readonly skipped: number }
    | BroadcastPageTooLarge
    | BroadcastRefusal
  >;
}
