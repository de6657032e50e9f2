/** What the decisions about an attempt share. */
import type { Reply } from '../smtp/types.ts';
import type { Progress, TimelineEvent } from './progress.ts';
import type { RetrySettings } from './retry-schedule.ts';

export interface AttemptContext {
  readonly relayId: string;
  readonly acceptedAtMs: number;
  readonly nowMs: number;
  /** In [0, 1), for the jitter. */
  readonly random: number;
  readonly retry: RetrySettings;
  /** Another relay is there that this message has not seen in this pass: it goes on at once. */
  readonly hasAlternative?: boolean;
}

export interface Step {
  readonly progress: Progress;
  /** Reply texts to keep, by recipient. Untrusted, and private: servers quote addresses. */
  readonly replyTexts: ReadonlyMap<number, string>;
  /** Set where the reply was about the relay and not about this message. */
  readonly relayFault?: Reply;
}

export function attemptsOf(progress: Progress, index: number): number {
  return progress.deliveries[index]?.attempts ?? 0;
}

/** The attempt under way was counted when it came to its dot: never twice. */
export function attemptsWithThis(progress: Progress, index: number): number {
  return attemptsOf(progress, index) + (progress.deliveries[index]?.status === 'sending' ? 0 : 1);
}

/**
 * A verdict on a copy was lost: it may have arrived, whatever is said of the copies after it. A 421 or a 3xx to
 * a dot is counted as a doubt as well, but it is an answer.
 */
export function isInDoubt({ deliveries, timeline, possibleDuplicates }: Progress, index: number): boolean {
  if (deliveries[index]?.status === 'in_doubt') return true;
  return (
    possibleDuplicates > 0 &&
    timeline.some(
      ({ type, reason, recipients }) =>
        type === 'in_doubt' && (reason === 'retry' || reason === 'held') && recipients?.includes(index),
    )
  );
}

export function codesOf(reply: Reply): { code: number; enhanced?: string } {
  return { code: reply.code, ...(reply.enhanced ? { enhanced: reply.enhanced } : {}) };
}

export function textsOf(recipients: readonly number[], reply: Reply): ReadonlyMap<number, string> {
  const text = `${reply.code} ${reply.lines.join(' ')}`.slice(0, 500);
  return new Map(recipients.map((index) => [index, text]));
}

/** Says of nobody who is in doubt that the mail expired. */
export function expiryOf(
  progress: Progress,
  recipients: readonly number[],
  about: Omit<TimelineEvent, 'type' | 'recipients'>,
): TimelineEvent[] {
  const expired = recipients.filter((index) => !isInDoubt(progress, index));
  return expired.length === 0 ? [] : [{ type: 'expired', recipients: expired, ...about }];
}
