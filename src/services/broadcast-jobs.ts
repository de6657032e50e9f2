/**
 * What the Outbox asks for while it runs a broadcast: how many it is for, the next stretch of its list, and the
 * messages of a stretch. What was handed over does not change while it runs; who is on the list is read anew each time.
 */
import { keyedHash, oldestKey, type SealingKey } from '../crypto/seal.ts';
import { AppError, ERROR_MESSAGES } from '../errors.ts';
import { broadcastMessageId, newId } from '../ids.ts';
import { parseMailbox } from '../mime/address.ts';
import { isTestAddress } from '../mime/test-address.ts';
import {
  type BroadcastJob,
  type BroadcastJobs,
  type BroadcastRefusal,
  fixedTermsOf,
  type MessageSummary,
  type MessageToAccept,
  sealMessage,
} from '../outbox/client.ts';
import { RenderError, RequestBudget } from '../render/render-template.ts';
import {
  type BroadcastRecord,
  findBroadcast,
  findBroadcastRecord,
  markEnded,
  markStarted,
} from '../store/broadcasts.ts';
import { countContacts, readContactIds, readContactSlice } from '../store/contact-pages.ts';
import type { Selection } from '../store/contact-selection.ts';
import {
  type AccountState,
  findAccountState,
  findSendingDomain,
  type SendingDomain,
} from './account-state.ts';
import { openBroadcast } from './broadcast-content.ts';
import {
  type BroadcastMail,
  type Properties,
  type ReadyBroadcast,
  readyBroadcast,
  renderBroadcast,
} from './broadcast-mail.ts';
import { type Contact, openContact } from './contact-content.ts';
import { recipientSelection } from './contact-pages.ts';
import { loadProperties } from './contact-properties.ts';
import { ExpiringCache } from './expiring-cache.ts';
import type { ServiceContext } from './service-context.ts';
import { unsubscribeLinks } from './unsubscribe-links.ts';

/** Of candidates; each has so many contacts at most. */
const WINDOWS_PER_CALL = 5;
/** A page is planned to be about as large, and may become several times that. */
const PAGE_BYTES = 4 * 1024 * 1024;
const PAGE_STEPS = 500_000;
const MAX_PAGE_BYTES = 24 * 1024 * 1024;
const MAX_PAGE_STEPS = 10_000_000;
/** With those who came onto the list in between; beyond that they are divided anew. */
const MAX_PAGE_CONTACTS = 1000;

const ready = new ExpiringCache<ReadyBroadcast>({
  ttlMs: 10 * 60_000,
  maxEntries: 50,
  maxWeight: 8 * 1024 * 1024,
  weightOf: ({ parsed }) => Object.values(parsed).reduce((sum, part) => sum + 2 * part.weight, 0),
});

/** All that one call is about. */
interface Run {
  readonly context: ServiceContext;
  readonly broadcast: BroadcastRecord & { readonly origin: string };
  readonly content: ReadyBroadcast;
  readonly account: AccountState;
  readonly domain: SendingDomain;
  readonly selection: Selection;
}

export const broadcastJobs: BroadcastJobs = {
  async countRecipients(job, cursor) {
    const run = await openRun(job);
    if ('kind' in run) return run;
    if (cursor === undefined)
      await markStarted(job.scope, job.broadcastId, auditOf(job, 'broadcast.started'));
    let counted = 0;
    let after = cursor;
    for (let windows = 0; windows < WINDOWS_PER_CALL; windows++) {
      const found = await countContacts(job.scope, run.selection, { after });
      counted += found.counted;
      after = found.scannedTo;
      if (after === undefined) return { counted };
    }
    return { counted, ...(after !== undefined && { cursor: after }) };
  },

  async planPage(job, query) {
    const run = await openRun(job);
    if ('kind' in run) return run;
    const { account, content, selection } = run;
    const { bytes, steps } = content.cost;
    const fitting = Math.min(PAGE_BYTES / Math.max(bytes, 1), PAGE_STEPS / Math.max(steps, 1));
    const limit = Math.max(1, Math.floor(Math.min(query.limit, MAX_PAGE_CONTACTS, fitting)));
    const { shards, quota } = account;
    const plan = { shards, ...(quota && { quota }) };
    let upTo = query.after;
    for (let windows = 0; windows < WINDOWS_PER_CALL; windows++) {
      const { ids, scannedTo } = await readContactIds(job.scope, selection, { after: upTo, limit });
      const [first] = ids;
      const last = ids.length === limit ? ids.at(-1) : (scannedTo ?? ids.at(-1));
      if (last === undefined) {
        await markEnded(job.scope, job.broadcastId, 'sent', auditOf(job, 'broadcast.sent'));
        return plan;
      }
      upTo = last;
      // Whoever becomes a contact from here on is newer than the first of them, and is not meant.
      if (first !== undefined)
        return { ...plan, range: rangeOf({ after: query.after ?? `${first}~` }, upTo) };
    }
    return { ...plan, range: rangeOf(query, upTo) };
  },

  async composePage(job, page) {
    const run = await openRun(job);
    if ('kind' in run) return run;
    const [contacts, properties] = await Promise.all([
      readRange(run, page.range),
      // Anew each time: what was made a moment ago may be in the texts.
      loadProperties(run.context),
    ]);
    const tooLarge = { kind: 'too_large', recipients: contacts.length } as const;
    if (contacts.length > MAX_PAGE_CONTACTS) return tooLarge;
    const budget = new RequestBudget(MAX_PAGE_BYTES, MAX_PAGE_STEPS);
    const messages: MessageToAccept[] = [];
    for (const contact of contacts) {
      const message = await messageTo(run, contact, { ...page, properties, budget });
      if (message === 'page_too_large') return tooLarge;
      if (message) messages.push(message);
    }
    messages.sort((a, b) => (a.id < b.id ? -1 : 1));
    return { messages, skipped: contacts.length - messages.length };
  },
};

function rangeOf({ after }: { readonly after?: string | undefined }, upTo: string | undefined) {
  return { ...(after !== undefined && { after }), upTo: upTo ?? '' };
}

async function readRange(
  { context, account, selection }: Run,
  range: { readonly after?: string; readonly upTo: string },
): Promise<Contact[]> {
  const { scope } = context;
  const contacts: Contact[] = [];
  let { after } = range;
  while (contacts.length <= MAX_PAGE_CONTACTS) {
    const limit = MAX_PAGE_CONTACTS + 1 - contacts.length;
    const slice = await readContactSlice(scope, selection, { after, upTo: range.upTo, limit });
    const rows = slice.rows.slice(0, limit);
    contacts.push(...rows.map((record) => openContact(account.dataKeys, scope.accountId, record)));
    if (slice.scannedTo === undefined) break;
    after = slice.scannedTo;
  }
  return contacts;
}

/** undefined where none can be made for this contact. */
async function messageTo(
  run: Run,
  contact: Contact,
  page: {
    readonly shard: number;
    readonly atMs: number;
    readonly properties: Properties;
    readonly budget: RequestBudget;
  },
): Promise<MessageToAccept | 'page_too_large' | undefined> {
  const { context, broadcast, content, account, domain } = run;
  const { accountId } = context.scope;
  const to = parseMailbox(contact.email);
  if (!to.ok || isTestAddress(to.mailbox)) return undefined;
  const { id: broadcastId, topicId, origin } = broadcast;
  const links = unsubscribeLinks(account.dataKeys, accountId, origin, {
    address: to.mailbox.address,
    contactId: contact.id,
    topicId: topicId ?? undefined,
    sourceId: broadcastId,
  });
  const mail = rendered(content, { contact, properties: page.properties, links }, page.budget);
  if (!mail || mail === 'page_too_large') return mail;
  const { subject, ...body } = mail;
  const { address } = to.mailbox;
  const summary: MessageSummary = {
    from: content.from,
    to: [to.mailbox],
    cc: [],
    bcc: [],
    replyTo: content.replyTo,
    subject,
    tags: [],
    envelopeFrom: domain.returnPath ?? content.from.address,
    ...(topicId !== null && { topicId }),
    ...(content.templateId !== undefined && { templateId: content.templateId }),
    broadcastId,
    contactId: contact.id,
  };
  const hashKey = oldestKey(account.dataKeys);
  const hash = keyedHash(hashKey, 'broadcast messages', `${broadcastId}/${contact.id}`);
  const id = broadcastMessageId(hash, page);
  const head = { ...body, headers: links.headers, attachments: [] };
  const { fingerprint: _none, ...sealed } = await sealMessage(
    sealingKey(account),
    { accountId, id },
    { summary, head, attachments: [] },
  );
  const terms = fixedTermsOf(hashKey, [address], [], broadcastId);
  return { id, recipientCount: 1, terms, broadcastId, ...sealed };
}

function rendered(
  ...[content, recipient, budget]: Parameters<typeof renderBroadcast>
): BroadcastMail | 'page_too_large' | undefined {
  try {
    return renderBroadcast(content, recipient, budget);
  } catch (error) {
    if (!(error instanceof RenderError)) throw error;
    // What the others of the page take is no reason to leave anybody out.
    const isOfPage = error.fault === 'request_too_long' || error.fault === 'request_too_many_steps';
    return isOfPage ? 'page_too_large' : undefined;
  }
}

function sealingKey({ dataKeys }: AccountState): SealingKey {
  const key = dataKeys.at(-1);
  if (!key) throw new Error('the account has no data key');
  return key;
}

/** Throws where D1 does not answer. */
async function openRun(job: BroadcastJob): Promise<Run | BroadcastRefusal> {
  const run = await tryToOpen(job);
  if ('kind' in run && run.kind === 'failed') {
    await markEnded(job.scope, job.broadcastId, 'failed', auditOf(job, 'broadcast.failed'));
  }
  return run;
}

async function tryToOpen({ env, scope, broadcastId }: BroadcastJob): Promise<Run | BroadcastRefusal> {
  const context: ServiceContext = { env, scope, actor: { kind: 'system' }, requestId: newId('request') };
  const [account, broadcast] = await Promise.all([
    findAccountState(env, scope),
    findBroadcastRecord(scope, broadcastId),
  ]);
  if (!account || account.status === 'closed') return failed(ERROR_MESSAGES.account_closed);
  if (account.status === 'suspended') return { kind: 'hindered', hindrance: 'account_suspended' };
  if (!account.hasRelay) return { kind: 'hindered', hindrance: 'unavailable' };
  if (!broadcast || broadcast.handedOverAt === null || broadcast.origin === null) {
    return failed('The broadcast was changed or removed while it was handed over.');
  }
  const content = await readContent(context, account.dataKeys, broadcast);
  if (!content) return failed('The broadcast cannot be read any more.');
  const domain = await findSendingDomain(scope, content.from.domain);
  if (domain?.status !== 'verified') return failed(ERROR_MESSAGES.domain_not_verified);
  const { listId, topicId, origin } = broadcast;
  try {
    const selection = await recipientSelection(context, { listId, topicId: topicId ?? undefined });
    return { context, broadcast: { ...broadcast, origin }, content, account, domain, selection };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const isGone = error.code === 'not_found';
    return failed(isGone ? 'The list or the topic of this broadcast was deleted.' : error.message);
  }
}

function readContent(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  { id, updatedAt }: BroadcastRecord,
): Promise<ReadyBroadcast | undefined> {
  // Another content has another time.
  return ready.find(`${scope.accountId}/${id}/${updatedAt}`, async () => {
    const record = await findBroadcast(scope, id);
    if (record?.updatedAt !== updatedAt) return undefined;
    return readyBroadcast(openBroadcast(keys, scope.accountId, record));
  });
}

function auditOf({ broadcastId }: BroadcastJob, action: string) {
  return { actor: 'outbox', action, target: broadcastId };
}

function failed(reason: string): BroadcastRefusal {
  return { kind: 'failed', reason };
}
