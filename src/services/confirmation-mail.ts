/**
 * Mail that asks whether somebody wants to be on a list: an ordinary message of the account, on its ledger, from the
 * address that the list names. Nothing in it was written by whoever gave the address, and one address gets only a few
 * a day, over all lists of the account.
 */
import { emailHash } from '../crypto/contact-hash.ts';
import { sealToken } from '../crypto/lasting-token.ts';
import type { SealingKey } from '../crypto/seal.ts';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { logEvent } from '../log.ts';
import { findPendingMembers } from '../store/pending-members.ts';
import { countEvent, countEvents, readEventCounts } from '../store/system/count-events.ts';
import { getDataKeys } from './account-state.ts';
import { CONFIRMATION_TEXTS } from './confirmation-texts.ts';
import { type EmailDraft, readEmail } from './email-input.ts';
import { type Confirmation, getList } from './lists.ts';
import { sendEmails } from './send-emails.ts';
import type { ServiceContext } from './service-context.ts';
import { originOf } from './unsubscribe-links.ts';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const MESSAGES_AT_ONCE = 100;

export interface Invited {
  readonly id: string;
  readonly email: string;
}

interface AskingList {
  readonly id: string;
  readonly name: string;
  readonly confirmation: Confirmation;
}

/**
 * To those of the contacts who are on one of the lists and have not confirmed it. Throws what sending throws: they
 * stay on the list as they are then, and are asked when they are put on it once more.
 */
export async function mailConfirmations(
  context: ServiceContext,
  contacts: readonly Invited[],
  listIds: readonly string[],
): Promise<void> {
  const { drafts } = await confirmationsFor(context, contacts, listIds);
  for (let at = 0; at < drafts.length; at += MESSAGES_AT_ONCE) {
    await sendEmails(context, drafts.slice(at, at + MESSAGES_AT_ONCE), {});
  }
}

/** What is to be mailed to them, and how many there are with those who had their share of the day. */
export async function confirmationsFor(
  context: ServiceContext,
  contacts: readonly Invited[],
  listIds: readonly string[],
  /** What this is done for: repeated with the same name, it is not counted once more. */
  name?: string,
): Promise<{ readonly drafts: readonly EmailDraft[]; readonly asked: number }> {
  const none = { drafts: [], asked: 0 };
  if (contacts.length === 0 || listIds.length === 0) return none;
  const byId = new Map(contacts.map((contact) => [contact.id, contact]));
  const found = await findPendingMembers(context.scope, { contactIds: [...byId.keys()], listIds });
  if (found.length === 0) return none;
  const keys = await getDataKeys(context);
  const lists = await askingLists(context, new Set(found.map(({ listId }) => listId)));
  const pending = found.flatMap(({ listId, contactId }) => {
    const contact = byId.get(contactId);
    const list = lists.get(listId);
    return contact && list ? [{ contact, list }] : [];
  });
  const mayBeAsked = await limited(context, keys, {
    emails: pending.map(({ contact }) => contact.email),
    name,
  });
  const drafts = pending.flatMap(({ contact, list }) =>
    mayBeAsked(contact.email) ? (draftOf(context, keys, contact, list) ?? []) : [],
  );
  return { drafts, asked: pending.length };
}

async function askingLists(
  context: ServiceContext,
  ids: ReadonlySet<string>,
): Promise<ReadonlyMap<string, AskingList>> {
  const lists = new Map<string, AskingList>();
  for (const id of ids) {
    const { name, confirmation } = await getList(context, id);
    if (confirmation) lists.set(id, { id, name, confirmation });
  }
  return lists;
}

/** Counts one for each address, and says of each in turn whether that was within its share of the day. */
async function limited(
  { env, scope }: ServiceContext,
  keys: readonly SealingKey[],
  { emails, name }: { readonly emails: readonly string[]; readonly name: string | undefined },
): Promise<(email: string) => boolean> {
  // Keyed with the account's own key: no two accounts count in one bucket.
  const bucketOf = (email: string) => `join:${Buffer.from(emailHash(keys, email)).toString('base64url')}`;
  const window = { nowMs: Date.now(), windowMs: DAY_MS };
  const once = name === undefined ? undefined : `joins:${scope.accountId}/${name}`;
  const isNew = once === undefined || (await countEvent(env.DB, { bucket: once, ...window })) === 1;
  const buckets = emails.map(bucketOf);
  const counts = await (isNew ? countEvents : readEventCounts)(env.DB, { buckets, ...window });
  // What is left of each share, before those that are asked now.
  const left = new Map<string, number>();
  for (const bucket of buckets) {
    const most = settingsOf(env).CONFIRMATIONS_PER_DAY - (counts.get(bucket) ?? 0);
    left.set(bucket, (left.get(bucket) ?? most) + 1);
  }
  return (email) => {
    const bucket = bucketOf(email);
    const before = left.get(bucket) ?? 0;
    left.set(bucket, before - 1);
    return before > 0;
  };
}

function draftOf(
  context: ServiceContext,
  keys: readonly SealingKey[],
  { id, email }: Invited,
  { id: listId, name, confirmation }: AskingList,
): EmailDraft | undefined {
  const { env, scope, requestId } = context;
  const origin = originOf(context);
  if (origin === undefined) throw new AppError('unavailable');
  const hours = settingsOf(env).CONFIRMATION_HOURS;
  const expiresAtMs = Date.now() + hours * HOUR_MS;
  const token = sealToken(keys, 'join', scope.accountId, [expiresAtMs, id, listId, email].join());
  const texts = CONFIRMATION_TEXTS[confirmation.language];
  try {
    return readEmail({
      from: confirmation.from,
      to: email,
      subject: confirmation.subject ?? texts.subject(name),
      text: texts.text({ list: name, link: `${origin}/join/${token}`, hours }),
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
  } catch (error) {
    // An address that is good for a contact and not for mail, like one of the simulator.
    if (!(error instanceof AppError)) throw error;
    logEvent('confirmation_not_mailed', {
      request_id: requestId,
      account_id: scope.accountId,
      code: error.code,
    });
    return undefined;
  }
}
