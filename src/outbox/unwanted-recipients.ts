/**
 * Who does not want a message about its topic, or any mail of a list, and which contact is gone or has
 * another address by now. Asked like
 * suppressions: before MAIL, and again before the dot.
 */
import { emailHash } from '../crypto/contact-hash.ts';
import type { SealingKey } from '../crypto/seal.ts';
import type { AccountScope } from '../store/db.ts';
import { findUnwanted, type ReaderQuestion } from '../store/topic-choices.ts';
import { type MessageSummary, recipientsOf } from './message-content.ts';
import { SuppressionCheck } from './suppression-check.ts';

/** In no id, and in no base64url. */
const SEPARATOR = '/';

/** One for each recipient, in the order of the deliveries; none where the message is about no topic and of no broadcast. */
export function readerQuestionsOf(keys: readonly SealingKey[], summary: MessageSummary): string[] {
  const { topicId, broadcastId, contactId } = summary;
  if (topicId === undefined && broadcastId === undefined) return [];
  const about = [topicId ?? '', contactId ?? ''];
  return recipientsOf(summary).map(({ address }) =>
    [...about, Buffer.from(emailHash(keys, address)).toString('base64url')].join(SEPARATOR),
  );
}

/** Its `among` answers which of the questions were answered with no. */
export function unwantedCheck(scopeOf: () => AccountScope, ttlMs: number): SuppressionCheck {
  return new SuppressionCheck((keys) => findUnwanted(scopeOf(), keys.map(questionOf)), ttlMs);
}

function questionOf(key: string): ReaderQuestion {
  const [topicId = '', contactId = '', hash = ''] = key.split(SEPARATOR);
  return {
    key,
    ...(topicId === '' ? {} : { topicId }),
    ...(contactId === '' ? {} : { contactId }),
    emailHash: new Uint8Array(Buffer.from(hash, 'base64url')),
  };
}
