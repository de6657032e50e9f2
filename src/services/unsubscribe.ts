/**
 * What the holder of an unsubscribe link ends, and begins again.
 *
 * - Mail about a topic: the contact's choice about that topic. If the topic is gone, what it stood for cannot be
 *   told, and all mail to lists ends.
 * - Mail to a list: the contact is unsubscribed.
 * - Mail to an address that no contact has (any more): it is suppressed.
 */
import { suppressionHash } from '../crypto/address-hash.ts';
import { emailHash } from '../crypto/contact-hash.ts';
import { AppError } from '../errors.ts';
import * as contacts from '../store/contacts.ts';
import type { Subscription } from '../store/schema/topics.ts';
import { findSuppression, type SuppressionRecord } from '../store/suppressions.ts';
import { findChoice } from '../store/topic-choices.ts';
import { getDataKeys } from './account-state.ts';
import { updateContact, updateTopics } from './contacts.ts';
import { addSuppressions, removeSuppressions } from './suppressions.ts';
import { getTopic, listTopicsOfContact, MAX_TOPICS } from './topics.ts';
import type { LinkHolder } from './unsubscribe-links.ts';

export interface Reader {
  /** Absent where he is no contact. */
  readonly contact?: { readonly id: string; readonly unsubscribed: boolean };
  /** The topic of the link, where it is still there and he is a contact. */
  readonly topic?: { readonly id: string; readonly name: string; readonly subscription: Subscription };
  /** He does not get what the link is about. */
  readonly isUnsubscribed: boolean;
}

export interface ReaderTopic {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly isSubscribed: boolean;
}

/** A contact may be deleted, or a topic, between finding it and writing to it. */
const MAX_ATTEMPTS = 3;

export async function findReader(holder: LinkHolder): Promise<Reader> {
  const { context, mailedTo } = holder;
  const contact = await findContact(holder);
  if (!contact) return { isUnsubscribed: (await suppressionOf(holder)) !== undefined };
  const { id, unsubscribed } = contact;
  const { topicId } = mailedTo;
  const choice =
    topicId === undefined ? undefined : await findChoice(context.scope, { topicId, contactId: id });
  if (topicId === undefined || !choice)
    return { contact: { id, unsubscribed }, isUnsubscribed: unsubscribed };
  const { name } = await getTopic(context, topicId);
  const subscription = choice.chosen ?? choice.byDefault;
  return {
    contact: { id, unsubscribed },
    topic: { id: topicId, name, subscription },
    isUnsubscribed: unsubscribed || subscription === 'opt_out',
  };
}

/** Harmless to repeat: what is as wanted is not written again. */
export async function unsubscribe(holder: LinkHolder): Promise<void> {
  await whileThere(async () => {
    const reader = await findReader(holder);
    const { contact, topic } = reader;
    if (!contact) await suppress(holder);
    else if (topic) await chooseTopic(holder, contact.id, topic, 'opt_out');
    else await setUnsubscribed(holder, contact, true);
  });
}

/**
 * The way back, for who pressed the button by mistake. Somebody who ended everything before gets no topic by it: that
 * is for the page of preferences, which shows him what he would get.
 */
export async function subscribeAgain(holder: LinkHolder): Promise<void> {
  await whileThere(async () => {
    const { contact, topic } = await findReader(holder);
    await unsuppress(holder);
    if (contact && topic) await chooseTopic(holder, contact.id, topic, 'opt_in');
    else if (contact) await setUnsubscribed(holder, contact, false);
  });
}

export async function endEverything(holder: LinkHolder): Promise<void> {
  await whileThere(async () => {
    const { contact } = await findReader(holder);
    if (contact) await setUnsubscribed(holder, contact, true);
    else await suppress(holder);
  });
}

/** The topics that everybody may see, as they are for him. */
export async function listReaderTopics(holder: LinkHolder, { contact }: Reader): Promise<ReaderTopic[]> {
  if (!contact) return [];
  const { rows } = await listTopicsOfContact(holder.context, contact.id, { limit: MAX_TOPICS });
  return rows
    .filter(({ visibility }) => visibility === 'public')
    .map(({ id, name, description, subscription }) => {
      return { id, name, description, isSubscribed: subscription === 'opt_in' };
    })
    .sort((one, other) => one.name.localeCompare(other.name));
}

/** Choices about those of the topics that he was shown: what came up since is not chosen. */
export async function savePreferences(
  holder: LinkHolder,
  choices: { readonly shown: ReadonlySet<string>; readonly wanted: ReadonlySet<string> },
): Promise<void> {
  await whileThere(async () => {
    const reader = await findReader(holder);
    await unsuppress(holder);
    const { contact } = reader;
    if (!contact) return;
    const changed = (await listReaderTopics(holder, reader))
      .filter(({ id, isSubscribed }) => choices.shown.has(id) && choices.wanted.has(id) !== isSubscribed)
      .map(({ id, isSubscribed }) => ({ id, subscription: isSubscribed ? 'opt_out' : 'opt_in' }) as const);
    if (changed.length > 0) await updateTopics(holder.context, contact.id, changed, () => 'topics');
    await setUnsubscribed(holder, contact, false);
  });
}

/** Whoever holds the link read the mail to this address: one who has another by now is not his to change. */
async function findContact({ context, mailedTo }: LinkHolder): Promise<contacts.ContactRecord | undefined> {
  const hash = emailHash(await getDataKeys(context), mailedTo.address);
  return contacts.findContact(context.scope, { emailHash: hash });
}

async function chooseTopic(
  { context }: LinkHolder,
  contactId: string,
  topic: NonNullable<Reader['topic']>,
  subscription: Subscription,
): Promise<void> {
  if (topic.subscription === subscription) return;
  await updateTopics(context, contactId, [{ id: topic.id, subscription }], () => 'topic');
}

async function setUnsubscribed(
  { context }: LinkHolder,
  contact: NonNullable<Reader['contact']>,
  unsubscribed: boolean,
): Promise<void> {
  if (contact.unsubscribed !== unsubscribed) await updateContact(context, contact.id, { unsubscribed });
}

/** Of a contact that was erased, only the hash of his address is written down. */
async function suppress({ context, mailedTo }: LinkHolder): Promise<void> {
  const { address, contactId, sourceId } = mailedTo;
  const isErased = contactId !== undefined && !(await contacts.findContact(context.scope, { id: contactId }));
  await addSuppressions(context, [address], () => 'address', {
    origin: 'unsubscribe',
    sourceId,
    isErased,
  });
}

/** Only what was ended by a link: what the account or a server said is not the reader's to take back. */
async function unsuppress(holder: LinkHolder): Promise<void> {
  const suppression = await suppressionOf(holder);
  if (suppression?.origin !== 'unsubscribe') return;
  await removeSuppressions(holder.context, { ids: [suppression.id], emails: [] });
}

async function suppressionOf({ context, mailedTo }: LinkHolder): Promise<SuppressionRecord | undefined> {
  const keys = await getDataKeys(context);
  return findSuppression(context.scope, { addressHash: suppressionHash(keys, mailedTo.address) });
}

async function whileThere(act: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      const isGone = error instanceof AppError && ['not_found', 'invalid_field'].includes(error.code);
      if (!isGone || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}
