/** A message at its stations, and replies to it. */

import type { AttemptContext } from '../../src/delivery/attempt.ts';
import { applyDoubt, applySending } from '../../src/delivery/outcome.ts';
import { newProgress, type Progress } from '../../src/delivery/progress.ts';
import type { EnvelopeVerdict } from '../../src/smtp/types.ts';
import { replyOf } from './reply-of.ts';

export const ACCEPTED_AT = 1_000_000;
export const NOW = ACCEPTED_AT + 10_000;
export const RETRY = { firstMs: 60_000, maxMs: 600_000, forMs: 3_600_000 };
export const EXPIRED = ACCEPTED_AT + RETRY.forMs;
export const FIRST_RETRY = NOW + RETRY.firstMs;

/** A random number of one half is no jitter at all. */
export const at = (nowMs: number): AttemptContext => ({
  relayId: 'rly_1',
  acceptedAtMs: ACCEPTED_AT,
  nowMs,
  random: 0.5,
  retry: RETRY,
});

export const OK = '250 2.1.5 Ok';
export const GO = '354 End data with <CR><LF>.<CR><LF>';
export const NO_SUCH_USER = '550 5.1.1 <who@example.net>: User unknown';
export const GREYLISTED = '450 4.7.1 try again later';
export const SPAM = '554 5.7.1 Spam message rejected';
export const LOGIN = '530 5.7.0 Authentication required';
export const CLOSING = '421 4.3.2 Service shutting down';

export function verdictOf(mail: string, recipients: readonly string[] = [], data?: string): EnvelopeVerdict {
  const replies = recipients.map((text) => replyOf(text));
  return {
    mail: replyOf(mail),
    recipients: replies,
    data: data === undefined ? undefined : replyOf(data),
    ready: data?.startsWith('354') === true && replies.some((reply) => reply.code < 300),
  };
}

export const fresh = (count: number) => newProgress(count, ACCEPTED_AT);
export const all = (progress: Progress) => progress.deliveries.map((_, index) => index);
export const statuses = (progress: Progress) => progress.deliveries.map(({ status }) => status);
export const attempts = (progress: Progress) => progress.deliveries.map((delivery) => delivery.attempts);
export const lastEvent = (progress: Progress) => progress.timeline.at(-1);
export const eventTypes = (progress: Progress) => progress.timeline.slice(1).map(({ type }) => type);

/** A message of which every recipient is being sent. */
export const sending = (count: number, nowMs = NOW) =>
  applySending(fresh(count), all(fresh(count)), at(nowMs));
/** A message whose dot was sent, and never answered. */
export const inDoubt = (count: number) =>
  applyDoubt(sending(count), all(fresh(count)), 'retry', at(NOW)).progress;
