/**
 * Mail about a topic: it carries the link by which its one recipient ends it, in the header fields that mail programs
 * look for. They are ours alone, because they are one for each message, and name the recipient. Whether he wants the
 * topic is asked when the message is sent (`outbox/unwanted-recipients.ts`), as for suppressions.
 */
import { emailHash } from '../crypto/contact-hash.ts';
import { AppError } from '../errors.ts';
import type { Mailbox } from '../mime/types.ts';
import { hexOf } from '../store/blobs.ts';
import { findContactsByEmail } from '../store/contacts.ts';
import { findTopics } from '../store/topics.ts';
import { getDataKeys } from './account-state.ts';
import type { EmailDraft } from './email-input.ts';
import type { ServiceContext } from './service-context.ts';
import { type MailedTo, originOf, unsubscribeLinks } from './unsubscribe-links.ts';

/** What the link of a message is made of once the message has an id. */
export interface UnsubscribeTerms {
  readonly origin: string;
  readonly mailedTo: Omit<MailedTo, 'sourceId'>;
}

/**
 * The drafts, with what their links are made of. Throws where one is about a topic and cannot be; `fieldOf` names a
 * field of one. The same statements whether a topic is another account's or nobody's.
 */
export async function withUnsubscribeTerms(
  context: ServiceContext,
  drafts: readonly EmailDraft[],
  fieldOf: (index: number, field: string) => string,
): Promise<readonly EmailDraft[]> {
  const recipients = drafts.map((draft, index) => recipientOf(draft, (field) => fieldOf(index, field)));
  const asked = recipients.filter((recipient) => recipient !== undefined);
  if (asked.length === 0) return drafts;
  const origin = originOf(context);
  if (origin === undefined) throw new AppError('unavailable');
  const keys = await getDataKeys(context);
  const hashes = asked.map(({ address }) => emailHash(keys, address));
  const [topics, contacts] = await Promise.all([
    findTopics(context.scope, [...new Set(asked.map(({ topicId }) => topicId))]),
    findContactsByEmail(context.scope, hashes),
  ]);
  const known = new Set(topics.map(({ id }) => id));
  const contactIds = new Map(contacts.map(({ id, emailHash: hash }) => [hexOf(hash), id]));
  return drafts.map((draft, index) => {
    const recipient = recipients[index];
    if (!recipient) return draft;
    const { address, topicId } = recipient;
    if (!known.has(topicId)) {
      const reason = 'is not of a topic of this account';
      throw new AppError('invalid_field', { field: fieldOf(index, 'topic_id'), reason });
    }
    const contactId = contactIds.get(hexOf(emailHash(keys, address)));
    return { ...draft, unsubscribe: { origin, mailedTo: { address, topicId, contactId } } };
  });
}

/** What we write at the end of the header of a message, which its sender does not. */
export function ownHeadersOf(
  keys: Parameters<typeof unsubscribeLinks>[0],
  accountId: string,
  { summary, unsubscribe }: EmailDraft,
  id: string,
): readonly { readonly name: string; readonly value: string }[] {
  if (unsubscribe) {
    const { origin, mailedTo } = unsubscribe;
    return unsubscribeLinks(keys, accountId, origin, { ...mailedTo, sourceId: id }).headers;
  }
  if (summary.topicId !== undefined) throw new Error('mail about a topic has no link to end it');
  return [];
}

function recipientOf(
  { summary, head }: EmailDraft,
  fieldOf: (field: string) => string,
): { readonly address: string; readonly topicId: string } | undefined {
  const { topicId, to, cc, bcc, rejected = [] } = summary;
  if (topicId === undefined) return undefined;
  const [recipient]: readonly Mailbox[] = [...to, ...cc, ...bcc];
  if (!recipient || to.length + cc.length + bcc.length + rejected.length !== 1) {
    const reason = 'mail about a topic goes to one recipient each: its link to unsubscribe is for that one';
    throw new AppError('invalid_field', { field: fieldOf('topic_id'), reason });
  }
  if (head.headers.some(({ name }) => /^list-unsubscribe/i.test(name))) {
    const reason = 'with `topic_id`, `List-Unsubscribe` is set for you';
    throw new AppError('invalid_field', { field: fieldOf('headers'), reason });
  }
  return { address: recipient.address, topicId };
}
