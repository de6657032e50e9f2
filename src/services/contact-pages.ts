/** Contacts in pages: of the account, of a list, or of those that a broadcast is for. */
import { domainHash, emailHash } from '../crypto/contact-hash.ts';
import { AppError } from '../errors.ts';
import { parseMailbox } from '../mime/address.ts';
import { canonicalDomain } from '../mime/domain.ts';
import { readContactSlice } from '../store/contact-pages.ts';
import { type Condition, type Selection, selectionOf } from '../store/contact-selection.ts';
import { type ContactRecord, findContact } from '../store/contacts.ts';
import { type Page, type PageOf, toPage } from '../store/page.ts';
import { findTopics } from '../store/topics.ts';
import { getDataKeys } from './account-state.ts';
import { type Contact, openContact } from './contact-content.ts';
import { getList, type List } from './lists.ts';
import { compileFilter } from './segment-filter.ts';
import type { ServiceContext } from './service-context.ts';

/** So many windows for one page of recipients: then the caller goes on from where it ended. */
const MAX_WINDOWS = 20;

export interface ContactQuery extends PageOf {
  readonly listId?: string | undefined;
  readonly email?: string | undefined;
  readonly domain?: string | undefined;
}

/** Newest first. */
export async function listContacts(context: ServiceContext, query: ContactQuery): Promise<Page<Contact>> {
  const { scope } = context;
  const keys = await getDataKeys(context);
  const list = query.listId === undefined ? undefined : await getList(context, query.listId);
  const conditions = list ? [await conditionOf(context, list, { withPending: true })] : [];
  if (query.domain !== undefined) {
    const canonical = canonicalDomain(query.domain);
    if ('reason' in canonical) {
      throw new AppError('invalid_field', { field: 'domain', reason: canonical.reason });
    }
    conditions.push({ kind: 'domain', hash: domainHash(keys, canonical.domain) });
  }
  if (query.email !== undefined) {
    const id = await idOfEmail(context, query.email);
    if (id === undefined) return { rows: [], hasMore: false };
    conditions.push({ kind: 'is', id });
  }
  const selection = selectionOf(scope.accountId, ...conditions);
  const { rows, hasMore } = toPage(await fill(context, selection, query), query);
  return { rows: rows.map((record) => openContact(keys, scope.accountId, record)), hasMore };
}

async function idOfEmail(context: ServiceContext, email: string): Promise<string | undefined> {
  const parsed = parseMailbox(email);
  if (!parsed.ok) throw new AppError('invalid_field', { field: 'email', reason: parsed.reason });
  const hash = emailHash(await getDataKeys(context), parsed.mailbox.address);
  return (await findContact(context.scope, { emailHash: hash }))?.id;
}

/** Reads on until the page is full: a caller who gets fewer takes them for the last. */
async function fill(context: ServiceContext, selection: Selection, page: PageOf): Promise<ContactRecord[]> {
  const rows: ContactRecord[] = [];
  let cursor: PageOf = page;
  for (;;) {
    const limit = page.limit - rows.length;
    const slice = await readContactSlice(context.scope, selection, { ...cursor, limit });
    rows.push(...slice.rows);
    if (rows.length > page.limit || slice.scannedTo === undefined) return rows;
    cursor =
      page.before === undefined ? { ...page, after: slice.scannedTo } : { ...page, before: slice.scannedTo };
  }
}

export interface Recipients {
  readonly contacts: readonly Contact[];
  /** Where the next page begins; absent after the last. A page with a cursor may be short, or empty. */
  readonly cursor?: string;
}

/**
 * Those of a list that a broadcast is for: confirmed, not unsubscribed, and subscribed to the topic. By contact
 * id, newest first, so whoever joins as a new contact while the pages are read is not among them, and nobody is
 * twice. Whether an address is suppressed is checked where mail is sent.
 */
export async function listRecipients(
  context: ServiceContext,
  query: {
    readonly listId: string;
    readonly topicId?: string | undefined;
    readonly cursor?: string | undefined;
    readonly limit: number;
  },
): Promise<Recipients> {
  const { scope } = context;
  const { limit } = query;
  const selection = await recipientSelection(context, query);
  const keys = await getDataKeys(context);
  let after = query.cursor;
  for (let windows = 1; ; windows++) {
    const { rows, scannedTo } = await readContactSlice(scope, selection, { limit, after });
    const shown = rows.slice(0, limit);
    const next = rows.length > limit ? shown.at(-1)?.id : scannedTo;
    if (shown.length > 0 || next === undefined || windows === MAX_WINDOWS) {
      const contacts = shown.map((record) => openContact(keys, scope.accountId, record));
      return { contacts, ...(next !== undefined && { cursor: next }) };
    }
    after = next;
  }
}

/** Throws where the list or the topic is not there, and where the filter of the list cannot be used any more. */
export async function recipientSelection(
  context: ServiceContext,
  { listId, topicId }: { readonly listId: string; readonly topicId?: string | undefined },
): Promise<Selection> {
  const conditions: Condition[] = [
    await conditionOf(context, await getList(context, listId)),
    { kind: 'unsubscribed', value: false },
  ];
  if (topicId !== undefined) conditions.push(await subscribedTo(context, topicId));
  return selectionOf(context.scope.accountId, ...conditions);
}

async function subscribedTo({ scope }: ServiceContext, topicId: string): Promise<Condition> {
  const [topic] = await findTopics(scope, [topicId]);
  if (!topic) throw new AppError('not_found', { what: 'Topic' });
  const isDefault = topic.defaultSubscription === 'opt_in';
  return { kind: 'topic', topicId, subscription: 'opt_in', isDefault };
}

async function conditionOf(
  context: ServiceContext,
  list: List,
  options: { readonly withPending?: true } = {},
): Promise<Condition> {
  if (!list.filter) return { kind: 'member', listId: list.id, ...options };
  try {
    return await compileFilter(context, list.filter);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'invalid_field') throw error;
    const reason = `The filter of this list cannot be used any more. ${error.message}`;
    throw new AppError('conflict', { reason });
  }
}
