/**
 * What is left of a message when some of its recipients are erased: everything that is said by the place of a
 * recipient stays true, because a marker takes each place.
 */
import type { Mailbox } from '../../mime/types.ts';
import { type MessageSummary, recipientNamesOf, recipientsOf } from '../message-content.ts';
import { TERM_BYTES } from '../terms.ts';

/** Of no address that can be mailed (RFC 6761). */
const ERASED_DOMAIN = 'erased.invalid';
/** Of somebody who has no place. */
export const ERASED_ADDRESS = `erased@${ERASED_DOMAIN}`;

export function isErasedMailbox({ domain }: Pick<Mailbox, 'domain'>): boolean {
  return domain === ERASED_DOMAIN;
}

export interface MessageParts {
  readonly summary: MessageSummary;
  readonly replies: ReadonlyMap<number, string>;
  /** As `fixedTermsOf` made them. */
  readonly terms: Uint8Array;
}

/** Without the recipients of these places, and without all that could name them where nobody else got the message. */
export function withoutRecipients(
  { summary, replies, terms }: MessageParts,
  places: readonly number[],
  contactId?: string,
): MessageParts {
  const names = recipientNamesOf(summary);
  const gone = new Map(names.flatMap((name, at) => (places.includes(at) ? [[name, erasedMailbox(at)]] : [])));
  const isNamed = (text: string) => [...gone.keys()].some((name) => includes(text, name));
  const isForNobody = recipientsOf(summary).every(
    (mailbox) => gone.has(mailbox.address) || isErasedMailbox(mailbox),
  );
  const replaced = (list: readonly Mailbox[]) => list.map((mailbox) => gone.get(mailbox.address) ?? mailbox);
  const count = recipientsOf(summary).length;
  const rejected = summary.rejected?.map(({ address, reason }, index) => ({
    address: places.includes(count + index) ? erasedMailbox(count + index).address : address,
    reason,
  }));
  const { contactId: madeFor, ...rest } = summary;
  const left = {
    ...rest,
    ...(madeFor !== undefined && madeFor !== contactId && { contactId: madeFor }),
    to: replaced(summary.to),
    cc: replaced(summary.cc),
    bcc: replaced(summary.bcc),
    ...(rejected && { rejected }),
  };
  return isForNobody
    ? {
        summary: { ...left, replyTo: [], subject: '', tags: [] },
        replies: new Map(),
        terms: withoutTerms(terms, [...places, ...placesOfTags(summary, names.length)]),
      }
    : {
        summary: {
          ...left,
          replyTo: summary.replyTo.filter(({ address }) => !isNamed(address)),
          subject: isNamed(summary.subject) ? '' : summary.subject,
        },
        replies: new Map([...replies].filter(([place, text]) => !places.includes(place) && !isNamed(text))),
        terms: withoutTerms(terms, places),
      };
}

function erasedMailbox(place: number): Mailbox {
  const local = `erased-${place}`;
  return { address: `${local}@${ERASED_DOMAIN}`, local, domain: ERASED_DOMAIN, smtpUtf8: false };
}

function withoutTerms(terms: Uint8Array, places: readonly number[]): Uint8Array {
  const left = terms.slice();
  for (const place of places) left.fill(0, place * TERM_BYTES, (place + 1) * TERM_BYTES);
  return left;
}

/** Behind those of the recipients, two for each. */
function placesOfTags({ tags }: MessageSummary, recipients: number): number[] {
  return Array.from({ length: 2 * tags.length }, (_, index) => recipients + index);
}

function includes(text: string, name: string): boolean {
  return text.toLowerCase().includes(name.toLowerCase());
}
