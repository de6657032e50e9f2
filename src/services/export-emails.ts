/** The log of an account as one long list of deliveries, read from the ledgers as it is consumed. */

import type { DeliveryState, LedgerMessage, MessageFilter, MessageSummary } from '../outbox/client.ts';
import { openReplies, openSummary, outboxOf, recipientsOf } from '../outbox/client.ts';
import { countShards, getDataKeys } from './account-state.ts';
import { type EmailFilter, isAbout, messageFilterOf } from './email-filter.ts';
import type { ServiceContext } from './service-context.ts';

export interface ExportedDelivery {
  readonly message: LedgerMessage;
  readonly summary: MessageSummary;
  readonly recipient: string;
  readonly index: number;
  readonly delivery: DeliveryState;
  readonly lastReply: string | undefined;
}

/** In memory at a time, over all shards. */
const MESSAGES_IN_HAND = 1000;
const PAGE = { smallest: 50, largest: 200 };

/** Newest message first; of each, the deliveries that the filter is about, in their order. */
export async function* exportEmails(
  context: ServiceContext,
  filter: EmailFilter,
): AsyncGenerator<ExportedDelivery> {
  const { env, scope } = context;
  const { accountId } = scope;
  const keys = await getDataKeys(context);
  const messageFilter = messageFilterOf(keys, filter);
  const shards = await countShards(env, scope, 0);
  const share = Math.ceil(MESSAGES_IN_HAND / Math.max(1, shards));
  const limit = Math.min(PAGE.largest, Math.max(PAGE.smallest, share));
  const readers = Array.from(
    { length: shards },
    (_, shard) => new ShardReader(outboxOf(env, accountId, shard), messageFilter, limit),
  );
  for (;;) {
    await Promise.all(readers.map((reader) => reader.fill()));
    const newest = readers.reduce((best, reader) => (reader.headId > best.headId ? reader : best), END);
    const message = newest.take();
    if (!message) return;
    const identity = { accountId, id: message.id };
    const summary = openSummary(keys, identity, message.summary);
    const replies = openReplies(keys, identity, message.replies);
    for (const [index, { address: recipient }] of recipientsOf(summary).entries()) {
      const delivery = message.deliveries[index];
      if (!delivery || !isAbout(filter, { ...delivery, recipient })) continue;
      yield { message, summary, recipient, index, delivery, lastReply: replies.get(index) };
    }
  }
}

interface Reader {
  readonly headId: string;
  take(): LedgerMessage | undefined;
}
const END: Reader = { headId: '', take: () => undefined };

/** One shard's messages, a page ahead. */
class ShardReader implements Reader {
  private readonly outbox: ReturnType<typeof outboxOf>;
  private readonly filter: MessageFilter;
  private readonly limit: number;
  private page: readonly LedgerMessage[] = [];
  private at = 0;
  private after: string | undefined;
  private hasMore = true;

  constructor(outbox: ReturnType<typeof outboxOf>, filter: MessageFilter, limit: number) {
    this.outbox = outbox;
    this.filter = filter;
    this.limit = limit;
  }

  get headId(): string {
    return this.page[this.at]?.id ?? '';
  }

  async fill(): Promise<void> {
    if (this.at < this.page.length || !this.hasMore) return;
    const { limit, filter, after } = this;
    const found = await this.outbox.listMessages({
      limit,
      filter,
      ...(after === undefined ? {} : { after }),
    });
    this.page = found.messages;
    this.at = 0;
    this.hasMore = found.hasMore;
    this.after = found.messages.at(-1)?.id ?? after;
  }

  take(): LedgerMessage | undefined {
    return this.page[this.at++];
  }
}
