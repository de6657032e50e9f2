/** Who does not want a message about its topic. Asked like suppressions: before MAIL, and again before the dot. */
import { emailHash } from '../crypto/contact-hash.ts';
import type { SealingKey } from '../crypto/seal.ts';
import type { AccountScope } from '../store/db.ts';
import { findUnwanted, type TopicQuestion } from '../store/topic-choices.ts';
import { type MessageSummary, recipientsOf } from './message-content.ts';
import { SuppressionCheck } from './suppression-check.ts';

/** In no id, and in no base64url. */
const SEPARATOR = '/';

/** One for each recipient, in the order of the deliveries; none where the message is about no topic. */
export function topicQuestionsOf(keys: readonly SealingKey[], summary: MessageSummary): string[] {
  const { topicId } = summary;
  if (topicId === undefined) return [];
  return recipientsOf(summary).map(({ address }) =>
    [topicId, Buffer.from(emailHash(keys, address)).toString('base64url')].join(SEPARATOR),
  );
}

/** Its `among` answers which of the questions were answered with no. */
export function unwantedCheck(scopeOf: () => AccountScope, ttlMs: number): SuppressionCheck {
  return new SuppressionCheck((keys) => findUnwanted(scopeOf(), keys.map(questionOf)), ttlMs);
}

function questionOf(key: string): TopicQuestion {
  const [topicId = '', hash = ''] = key.split(SEPARATOR);
  return { key, topicId, emailHash: new Uint8Array(Buffer.from(hash, 'base64url')) };
}
