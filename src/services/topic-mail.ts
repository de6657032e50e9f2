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
import { type MailedTo, originOf, type ReaderLinks, unsubscribeLinks } from './unsubscribe-links.ts';

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

/**
 * The draft of the message of this id, with its links in place, and what we write at the end of its header, which its
 * sender does not.
 */
export function withLinks(
  keys: Parameters<typeof unsubscribeLinks>[0],
  accountId: string,
  draft: EmailDraft,
  id: string,
): {
  readonly draft: EmailDraft;
  readonly ownHeaders: readonly { readonly name: string; readonly value: string }[];
} {
  const { unsubscribe, linkMarks } = draft;
  if (!unsubscribe) {
    if (draft.summary.topicId === undefined && !linkMarks) return { draft, ownHeaders: [] };
    throw new Error('mail that its reader can end has no link for it');
  }
  const { origin, mailedTo } = unsubscribe;
  const links = unsubscribeLinks(keys, accountId, origin, { ...mailedTo, sourceId: id });
  return { draft: linkMarks ? linked(draft, linkMarks, links) : draft, ownHeaders: links.headers };
}

/** Stands for a link in what is rendered before the message has an id. Nobody who writes a text can know it. */
export function newLinkMarks(): ReaderLinks {
  const mark = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex');
  return { url: `https://${mark}.invalid/u`, preferencesUrl: `https://${mark}.invalid/p` };
}

function linked(draft: EmailDraft, marks: ReaderLinks, links: ReaderLinks): EmailDraft {
  const put = (text: string) =>
    text.replaceAll(marks.url, links.url).replaceAll(marks.preferencesUrl, links.preferencesUrl);
  const { summary, head } = draft;
  return {
    ...draft,
    summary: { ...summary, subject: put(summary.subject) },
    head: {
      ...head,
      ...(head.html !== undefined && { html: put(head.html) }),
      ...(head.text !== undefined && { text: put(head.text) }),
    },
  };
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
