/** Whom a broadcast went to, and with what outcome: its emails, found by the index of the ledger. */
import type { DeliveryStatus } from '../outbox/client.ts';
import { bareAddressOf } from './bare-address.ts';
import { getRecord } from './broadcasts.ts';
import type { Page, PageOf } from './listing.ts';
import { type EmailOverview, listEmails } from './read-emails.ts';
import type { ServiceContext } from './service-context.ts';

export type RecipientType = 'sent' | 'delivered' | 'bounced' | 'suppressed';

export interface RecipientQuery {
  readonly type: RecipientType;
  readonly email?: string | undefined;
  readonly bounceType?: 'permanent' | 'transient' | 'undetermined' | undefined;
}

/** Newest first, as long as the ledger keeps its emails. */
export async function listBroadcastRecipients(
  context: ServiceContext,
  id: string,
  page: PageOf,
  query: RecipientQuery,
): Promise<Page<EmailOverview>> {
  await getRecord(context, id);
  const { email } = query;
  const recipient = email === undefined ? undefined : bareAddressOf(email, 'email').address;
  const filter = { broadcastId: id, recipient };
  const statuses = statusesOf(query);
  if (!statuses) return listEmails(context, page, filter);
  const pages = await Promise.all(statuses.map((status) => listEmails(context, page, { ...filter, status })));
  return merged(pages, page);
}

/** undefined: whatever became of it. */
function statusesOf({ type, bounceType }: RecipientQuery): readonly DeliveryStatus[] | undefined {
  switch (type) {
    case 'sent':
      return undefined;
    case 'bounced': {
      if (bounceType === 'permanent') return ['failed'];
      if (bounceType === 'transient') return ['expired'];
      return bounceType === undefined ? ['failed', 'expired'] : [];
    }
    default:
      return [type];
  }
}

/** Of pages that have no email in common, each newest first. */
function merged(pages: readonly Page<EmailOverview>[], { limit, before }: PageOf): Page<EmailOverview> {
  const rows = pages.flatMap((page) => page.rows);
  rows.sort((a, b) => (a.message.id < b.message.id ? 1 : -1));
  // What is nearest to the cursor: with `before` those are the oldest of what was found.
  const shown = before === undefined ? rows.slice(0, limit) : rows.slice(-limit);
  return { rows: shown, hasMore: rows.length > limit || pages.some(({ hasMore }) => hasMore) };
}
