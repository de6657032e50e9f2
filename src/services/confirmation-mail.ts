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
import { countEvent } from '../store/system/count-events.ts';
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
  const asked = await confirmationsFor(context, contacts, listIds, { isLimited: true });
  const drafts = asked.flatMap(({ draft }) => draft ?? []);
  for (let at = 0; at < drafts.length; at += MESSAGES_AT_ONCE) {
    await sendEmails(context, drafts.slice(at, at + MESSAGES_AT_ONCE), {});
  }
}

/** One for each of the contacts and lists where it is still asked; without a draft where nothing is to be mailed. */
export async function confirmationsFor(
  context: ServiceContext,
  contacts: readonly Invited[],
  listIds: readonly string[],
  /** Whether each counts among the few that an address gets a day. */
  { isLimited }: { readonly isLimited: boolean },
): Promise<{ contactId: string; listId: string; draft: EmailDraft | undefined }[]> {
  if (contacts.length === 0 || listIds.length === 0) return [];
  const byId = new Map(contacts.map((contact) => [contact.id, contact]));
  const pending = await findPendingMembers(context.scope, { contactIds: [...byId.keys()], listIds });
  if (pending.length === 0) return [];
  const keys = await getDataKeys(context);
  const lists = await askingLists(context, new Set(pending.map(({ listId }) => listId)));
  const asked: { contactId: string; listId: string; draft: EmailDraft | undefined }[] = [];
  for (const { listId, contactId } of pending) {
    const contact = byId.get(contactId);
    const list = lists.get(listId);
    if (!contact || !list) continue;
    const isAsked = !isLimited || (await mayBeAsked(context, keys, contact.email));
    asked.push({ contactId, listId, draft: isAsked ? draftOf(context, keys, contact, list) : undefined });
  }
  return asked;
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

async function mayBeAsked(
  { env }: ServiceContext,
  keys: readonly SealingKey[],
  address: string,
): Promise<boolean> {
  // Keyed with the account's own key: no two accounts count in one bucket.
  const bucket = `join:${Buffer.from(emailHash(keys, address)).toString('base64url')}`;
  const count = await countEvent(env.DB, { bucket, nowMs: Date.now(), windowMs: DAY_MS });
  return count <= settingsOf(env).CONFIRMATIONS_PER_DAY;
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
