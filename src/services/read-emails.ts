/** What became of mail: lists, and one message with its recipients and its timeline. */
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { MAX_SHARDS, parseMessageId } from '../ids.ts';
import {
  contentKeptUntil,
  type DeliveryStatus,
  type LedgerMessage,
  type MessageHead,
  type MessageSummary,
  mergePages,
  openHead,
  openReplies,
  openSummary,
  outboxOf,
  recipientNamesOf,
} from '../outbox/client.ts';
import { countShards, findAccountState, getDataKeys } from './account-state.ts';
import { type EmailFilter, messageFilterOf } from './email-filter.ts';
import type { Page, PageOf } from './listing.ts';
import type { ServiceContext } from './service-context.ts';

export interface EmailOverview {
  readonly message: LedgerMessage;
  readonly summary: MessageSummary;
  /** In the order of the deliveries. */
  readonly recipients: readonly string[];
  readonly replies: ReadonlyMap<number, string>;
}

export interface EmailDetail extends EmailOverview {
  /** Absent once the body's retention is over. */
  readonly head: MessageHead | undefined;
  /** Until when its content is kept at least; absent while a delivery has yet to end, and where it goes with that. */
  readonly contentUntilMs?: number;
}

const UNENDED: readonly DeliveryStatus[] = ['queued', 'scheduled', 'sending', 'deferred', 'in_doubt'];

/** Newest first. Only of what the filter lets through is a page made. */
export async function listEmails(
  context: ServiceContext,
  page: PageOf,
  filter: EmailFilter = {},
): Promise<Page<EmailOverview>> {
  const { env, scope } = context;
  const keys = await getDataKeys(context);
  const { limit, after, before } = page;
  const request = {
    limit,
    filter: messageFilterOf(keys, filter),
    ...(after === undefined ? {} : { after }),
    ...(before === undefined ? {} : { before }),
  };
  // A cursor of a shard that is not known here yet is from a list that was longer.
  const shards = await countShards(env, scope, shardCountOf(after ?? before));
  const found = mergePages(
    await Promise.all(
      Array.from({ length: shards }, (_, shard) =>
        outboxOf(env, scope.accountId, shard).listMessages(request),
      ),
    ),
    request,
  );
  const rows = found.messages.map((message) => overviewOf(keys, scope.accountId, message));
  return { rows, hasMore: found.hasMore };
}

function overviewOf(keys: readonly SealingKey[], accountId: string, message: LedgerMessage): EmailOverview {
  const summary = openSummary(keys, { accountId, id: message.id }, message.summary);
  return overviewOfOpen(keys, accountId, { message, summary });
}

/** Of a message whose summary is known already. */
export function overviewOfOpen(
  keys: readonly SealingKey[],
  accountId: string,
  { message, summary }: { readonly message: LedgerMessage; readonly summary: MessageSummary },
): EmailOverview {
  return {
    message,
    summary,
    recipients: recipientNamesOf(summary),
    replies: openReplies(keys, { accountId, id: message.id }, message.replies),
  };
}

/** Throws not-found alike for an id of another account, an unknown one, and one that never was an id. */
export async function getEmail(context: ServiceContext, id: string): Promise<EmailDetail> {
  const { env, scope } = context;
  const needed = shardCountOf(id);
  // An id of a shard that the account does not have is not found without asking.
  if (needed === 0 || (await countShards(env, scope, needed)) < needed) {
    throw new AppError('not_found', { what: 'Email' });
  }
  const outbox = outboxOf(env, scope.accountId, needed - 1);
  const message = await outbox.findMessage(id);
  if (!message) throw new AppError('not_found', { what: 'Email' });
  const [account, head] = await Promise.all([findAccountState(env, scope), outbox.findHead(id)]);
  if (!account) throw new AppError('unavailable');
  const { dataKeys: keys, retention } = account;
  const isKept =
    head && retention.bodyDays > 0 && message.deliveries.every(({ status }) => !UNENDED.includes(status));
  return {
    ...overviewOf(keys, scope.accountId, message),
    head: head && openHead(keys, { accountId: scope.accountId, id }, head),
    ...(isKept && { contentUntilMs: contentKeptUntil(retention, timesOf(message)) }),
  };
}

function timesOf({ id, acceptedAtMs, scheduledAtMs = 0 }: LedgerMessage) {
  return { createdAtMs: parseMessageId(id)?.createdAtMs ?? acceptedAtMs, scheduledAtMs };
}

/** How many shards the account must have for the message to be its own; 0 for what is no message id. */
function shardCountOf(id: string | undefined): number {
  const shard = id === undefined ? undefined : parseMessageId(id)?.shard;
  return shard === undefined || shard >= MAX_SHARDS ? 0 : shard + 1;
}
