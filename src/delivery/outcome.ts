/**
 * What an attempt means for each recipient. Pure: replies and faults in, the next `Progress` out.
 *
 * - A reply about the relay (wrong password, closed) touches no message: `relayFault` asks the caller to close
 *   the relay, and the recipients stay as they were, due again with it, no attempt used up.
 * - Before the final dot every loss of the connection is an ordinary delay: the server must have discarded
 *   the message. After it, the message is in doubt, and the doubt is counted.
 * - A 421 to the final dot is a refusal from a server that is going away and may have kept the message all
 *   the same: delayed, and counted as a doubt. So is a 3xx, which is no answer to a dot at all.
 * - What is in doubt stays in doubt until a copy is delivered or the mailbox proves not to exist: where the next
 *   copy is refused, or its time is over, the doubt is held.
 */
import type { EnvelopeVerdict, Reply, Stage } from '../smtp/types.ts';
import {
  type AttemptContext,
  attemptsOf,
  attemptsWithThis,
  codesOf,
  expiryOf,
  isInDoubt,
  type Step,
  textsOf,
} from './attempt.ts';
import { classifyReply, isPositive, type ReplyClass } from './classify-reply.ts';
import { advance, type DeliveryState, type Progress, type TimelineEvent } from './progress.ts';
import { retryAfterMs } from './retry-after.ts';
import { nextAttemptAt } from './retry-schedule.ts';

export interface EnvelopeStep extends Step {
  /** The recipients that go into the body's transaction; empty where there is none. */
  readonly accepted: readonly number[];
}

/** After MAIL, RCPT and DATA. `recipients` are the indexes of the envelope, in its order. */
export function applyEnvelope(
  progress: Progress,
  recipients: readonly number[],
  verdict: EnvelopeVerdict,
  context: AttemptContext,
): EnvelopeStep {
  if (!isPositive(verdict.mail)) {
    return { ...refuse(progress, recipients, 'mail', verdict.mail, context), accepted: [] };
  }
  const accepted: number[] = [];
  const isAnyAccepted = verdict.recipients.some(isPositive);
  let step: Step = { progress, replyTexts: new Map() };
  recipients.forEach((recipient, position) => {
    const reply = verdict.recipients[position];
    if (reply && isPositive(reply)) accepted.push(recipient);
    // Not about this recipient: it goes into a transaction of its own, at once.
    else if (reply && isAnyAccepted && isTooManyRecipients(reply)) return;
    else if (reply) step = merge(step, refuse(step.progress, [recipient], 'rcpt', reply, context));
    else step = merge(step, delay(step.progress, [recipient], context, 'no_reply'));
  });
  if (accepted.length > 0 && !verdict.ready) {
    const next =
      verdict.data && verdict.data.code !== 354
        ? refuse(step.progress, accepted, 'data', verdict.data, context)
        : delay(step.progress, accepted, context, 'no_reply');
    return { ...merge(step, next), accepted: [] };
  }
  return { ...step, accepted };
}

/** In the same transaction as the record of the dot: the accepted recipients are being sent. */
export function applySending(
  progress: Progress,
  accepted: readonly number[],
  context: AttemptContext,
): Progress {
  const changes = new Map<number, DeliveryState>();
  for (const index of accepted) {
    changes.set(index, {
      status: 'sending',
      attempts: attemptsWithThis(progress, index),
      relayId: context.relayId,
      updatedAtMs: context.nowMs,
    });
  }
  return advance(progress, changes, []);
}

/** After the reply to the final dot. */
export function applyFinalReply(
  progress: Progress,
  accepted: readonly number[],
  reply: Reply,
  context: AttemptContext,
): Step {
  if (isPositive(reply)) {
    const { changes, event } = settle(progress, accepted, 'delivered', reply, context);
    return {
      progress: advance(progress, changes, [{ ...event, type: 'delivered' }]),
      replyTexts: textsOf(accepted, reply),
    };
  }
  const step = refuse(progress, accepted, 'dot', reply, context);
  if (reply.code !== 421 && reply.code >= 400) return step;
  const doubt: TimelineEvent = {
    type: 'in_doubt',
    atMs: context.nowMs,
    recipients: accepted,
    relayId: context.relayId,
    reason: reply.code === 421 ? 'closing' : 'unexpected_reply',
  };
  return { ...step, progress: advance(step.progress, new Map(), [doubt], 1) };
}

/** The connection ended before the final dot, or could not be used at all. */
export function applyFaultBeforeDot(
  progress: Progress,
  recipients: readonly number[],
  reason: string,
  context: AttemptContext,
): Step {
  return delay(progress, recipients, context, reason);
}

/**
 * The dot may have been sent and no verdict was recorded. `retry` plans a byte-identical copy;
 * `hold` leaves the decision to the customer.
 */
export function applyDoubt(
  progress: Progress,
  accepted: readonly number[],
  policy: 'retry' | 'hold',
  context: AttemptContext,
): Step {
  const changes = new Map<number, DeliveryState>();
  const attempts = Math.max(1, ...accepted.map((index) => attemptsOf(progress, index)));
  const nextAttemptAtMs = policy === 'retry' ? nextAttemptAt(attempts, context, context.retry) : undefined;
  for (const index of accepted) {
    changes.set(index, {
      status: 'in_doubt',
      attempts: attemptsOf(progress, index),
      relayId: context.relayId,
      updatedAtMs: context.nowMs,
      ...(nextAttemptAtMs === undefined ? {} : { nextAttemptAtMs }),
    });
  }
  const event: TimelineEvent = {
    type: 'in_doubt',
    atMs: context.nowMs,
    recipients: accepted,
    relayId: context.relayId,
    reason: nextAttemptAtMs === undefined ? 'held' : 'retry',
  };
  return { progress: advance(progress, changes, [event], 1), replyTexts: new Map() };
}

function refuse(
  progress: Progress,
  recipients: readonly number[],
  stage: Stage,
  reply: Reply,
  context: AttemptContext,
): Step {
  const replyClass = classifyReply(stage, reply);
  if (replyClass.scope === 'relay') return { progress, replyTexts: new Map(), relayFault: reply };
  const texts = textsOf(recipients, reply);
  if (replyClass.temporary) return delay(progress, recipients, context, undefined, { reply, texts });
  // A mailbox that does not exist has no earlier copy either.
  const isHeld = (index: number) => !replyClass.hard && isInDoubt(progress, index);
  const held = recipients.filter(isHeld);
  const failed = recipients.filter((index) => !isHeld(index));
  const refused = { reason: 'refused_after_doubt' };
  const doubtful = settle(progress, held, 'in_doubt', reply, context, refused);
  const { changes, event } = settle(progress, failed, 'failed', reply, context, reasonOf(replyClass));
  const type = replyClass.scope === 'recipient' ? 'bounced' : 'failed';
  return {
    progress: advance(
      progress,
      new Map([...changes, ...doubtful.changes]),
      failed.length > 0 ? [{ ...event, type }] : [],
    ),
    replyTexts: texts,
  };
}

function delay(
  progress: Progress,
  recipients: readonly number[],
  context: AttemptContext,
  reason: string | undefined,
  options: { reply?: Reply; texts?: ReadonlyMap<number, string> } = {},
): Step {
  const attempts = Math.max(...recipients.map((index) => attemptsWithThis(progress, index)));
  const nextAttemptAtMs = plannedAttempt(attempts, options.reply, context);
  const changes = new Map<number, DeliveryState>();
  const detail = {
    relayId: context.relayId,
    ...(reason ? { reason } : {}),
    ...(options.reply ? codesOf(options.reply) : {}),
  };
  const status = nextAttemptAtMs === undefined ? 'expired' : 'deferred';
  for (const index of recipients) {
    changes.set(index, {
      status: isInDoubt(progress, index) ? 'in_doubt' : status,
      attempts: attemptsWithThis(progress, index),
      ...detail,
      updatedAtMs: context.nowMs,
      ...(nextAttemptAtMs === undefined ? {} : { nextAttemptAtMs }),
    });
  }
  const about = { atMs: context.nowMs, ...detail };
  const events: TimelineEvent[] =
    nextAttemptAtMs === undefined
      ? expiryOf(progress, recipients, about)
      : [{ type: context.hasAlternative ? 'relay.failover' : 'delivery_delayed', recipients, ...about }];
  return { progress: advance(progress, changes, events), replyTexts: options.texts ?? new Map() };
}

/** At once where another relay is there; when the server asked for it; else by the schedule. */
function plannedAttempt(
  attempts: number,
  reply: Reply | undefined,
  context: AttemptContext,
): number | undefined {
  const scheduledAtMs = nextAttemptAt(attempts, context, context.retry);
  if (scheduledAtMs === undefined) return undefined;
  if (context.hasAlternative) return context.nowMs;
  const askedMs = reply && retryAfterMs(reply.lines);
  if (askedMs === undefined) return scheduledAtMs;
  const pauseMs = Math.max(askedMs, context.retry.firstMs);
  return Math.min(context.nowMs + pauseMs, context.acceptedAtMs + context.retry.forMs);
}

/** RFC 5321 section 4.5.3.1.10: 452, from older servers 552. Those without enhanced codes say it in words. */
function isTooManyRecipients(reply: Reply): boolean {
  return (
    (reply.code === 452 || reply.code === 552) &&
    (reply.enhanced === undefined
      ? /\btoo many recipients\b/i.test(reply.lines.join(' '))
      : /^[45]\.5\.3$/.test(reply.enhanced))
  );
}

function settle(
  progress: Progress,
  recipients: readonly number[],
  status: 'delivered' | 'failed' | 'in_doubt',
  reply: Reply,
  context: AttemptContext,
  reason: { reason?: string } = {},
): { changes: Map<number, DeliveryState>; event: Omit<TimelineEvent, 'type'> } {
  const detail = { relayId: context.relayId, ...codesOf(reply), ...reason };
  const changes = new Map<number, DeliveryState>();
  for (const index of recipients) {
    const attempts = attemptsWithThis(progress, index);
    changes.set(index, { status, attempts, ...detail, updatedAtMs: context.nowMs });
  }
  return { changes, event: { atMs: context.nowMs, recipients, ...detail } };
}

function merge(before: Step, after: Step): Step {
  const relayFault = after.relayFault ?? before.relayFault;
  return {
    progress: after.progress,
    replyTexts: new Map([...before.replyTexts, ...after.replyTexts]),
    ...(relayFault ? { relayFault } : {}),
  };
}

function reasonOf(replyClass: ReplyClass): { reason?: string } {
  if (replyClass.scope === 'policy') return { reason: 'policy' };
  return replyClass.hard ? { reason: 'no_such_mailbox' } : {};
}
