/**
 * What an attempt means for each recipient. Pure: replies and faults in, the next `Progress` out.
 *
 * - A reply about the relay (wrong password, closed) touches no message: `relayFault` asks the caller to close
 *   the relay, and the recipients stay as they were, due again with it, no attempt used up.
 * - Before the final dot every loss of the connection is an ordinary delay: the server must have discarded
 *   the message. After it, the message is in doubt, and the doubt is counted.
 * - A 421 to the final dot is a refusal from a server that is going away and may have kept the message all
 *   the same: delayed, and counted as a doubt. So is a 3xx, which is no answer to a dot at all.
 * - What is in doubt stays in doubt while its next copy waits: it may have arrived.
 */
import type { EnvelopeVerdict, Reply, Stage } from '../smtp/types.ts';
import { classifyReply, isPositive, type ReplyClass } from './classify-reply.ts';
import {
  advance,
  type DeliveryState,
  openRecipients,
  type Progress,
  type TimelineEvent,
} from './progress.ts';
import { nextAttemptAt, type RetrySettings } from './retry-schedule.ts';

export interface AttemptContext {
  readonly relayId: string;
  readonly acceptedAtMs: number;
  readonly nowMs: number;
  /** In [0, 1), for the jitter. */
  readonly random: number;
  readonly retry: RetrySettings;
}

export interface Step {
  readonly progress: Progress;
  /** Reply texts to keep, by recipient. Untrusted, and private: servers quote addresses. */
  readonly replyTexts: ReadonlyMap<number, string>;
  /** Set where the reply was about the relay and not about this message. */
  readonly relayFault?: Reply;
}

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
  let step: Step = { progress, replyTexts: new Map() };
  recipients.forEach((recipient, position) => {
    const reply = verdict.recipients[position];
    if (reply && isPositive(reply)) accepted.push(recipient);
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

/** The message cannot go through this relay at all, as the fixed word in `reason` says. */
export function applyUnsendable(progress: Progress, reason: string, context: AttemptContext): Step {
  const recipients = openRecipients(progress);
  const changes = new Map<number, DeliveryState>();
  for (const index of recipients) {
    changes.set(index, {
      status: 'failed',
      attempts: attemptsOf(progress, index),
      relayId: context.relayId,
      reason,
      updatedAtMs: context.nowMs,
    });
  }
  const event: TimelineEvent = {
    type: 'failed',
    atMs: context.nowMs,
    recipients,
    relayId: context.relayId,
    reason,
  };
  return { progress: advance(progress, changes, [event]), replyTexts: new Map() };
}

/** The relay is not to be had: wait for it until `untilMs`, without using up an attempt. */
export function applyRelayClosed(
  progress: Progress,
  cause: { reason: string; reply?: Reply | undefined; untilMs: number },
  context: AttemptContext,
): Step {
  const recipients = openRecipients(progress);
  const changes = new Map<number, DeliveryState>();
  for (const index of recipients) {
    changes.set(index, {
      status: isInDoubt(progress, index) ? 'in_doubt' : 'deferred',
      attempts: attemptsOf(progress, index),
      relayId: context.relayId,
      reason: cause.reason,
      ...(cause.reply ? codesOf(cause.reply) : {}),
      updatedAtMs: context.nowMs,
      nextAttemptAtMs: cause.untilMs,
    });
  }
  const event: TimelineEvent = {
    type: 'delivery_delayed',
    atMs: context.nowMs,
    recipients,
    relayId: context.relayId,
    reason: cause.reason,
    ...(cause.reply ? codesOf(cause.reply) : {}),
  };
  return {
    progress: advance(progress, changes, [event]),
    replyTexts: cause.reply ? textsOf(recipients, cause.reply) : new Map(),
  };
}

/** Four days are over. */
export function applyExpiry(progress: Progress, nowMs: number): Step {
  const changes = new Map<number, DeliveryState>();
  const recipients = openRecipients(progress);
  for (const index of recipients) {
    const delivery = progress.deliveries[index];
    if (!delivery) continue;
    const { nextAttemptAtMs: _, ...rest } = delivery;
    const status = delivery.status === 'in_doubt' ? 'in_doubt' : 'expired';
    changes.set(index, { ...rest, status, updatedAtMs: nowMs });
  }
  const events = expiryOf(progress, recipients, { atMs: nowMs });
  return { progress: advance(progress, changes, events), replyTexts: new Map() };
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
  const reason = reasonOf(replyClass);
  const { changes, event } = settle(progress, recipients, 'failed', reply, context, reason);
  const type = replyClass.scope === 'recipient' ? 'bounced' : 'failed';
  return {
    progress: advance(progress, changes, [{ ...event, type }]),
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
  const nextAttemptAtMs = nextAttemptAt(attempts, context, context.retry);
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
      : [{ type: 'delivery_delayed', recipients, ...about }];
  return { progress: advance(progress, changes, events), replyTexts: options.texts ?? new Map() };
}

/** Says of nobody who is in doubt that the mail expired. */
function expiryOf(
  progress: Progress,
  recipients: readonly number[],
  about: Omit<TimelineEvent, 'type' | 'recipients'>,
): TimelineEvent[] {
  const expired = recipients.filter((index) => !isInDoubt(progress, index));
  return expired.length === 0 ? [] : [{ type: 'expired', recipients: expired, ...about }];
}

function settle(
  progress: Progress,
  recipients: readonly number[],
  status: 'delivered' | 'failed',
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

function attemptsOf(progress: Progress, index: number): number {
  return progress.deliveries[index]?.attempts ?? 0;
}

/** The attempt under way was counted when it came to its dot: never twice. */
function attemptsWithThis(progress: Progress, index: number): number {
  return attemptsOf(progress, index) + (progress.deliveries[index]?.status === 'sending' ? 0 : 1);
}

function isInDoubt(progress: Progress, index: number): boolean {
  return progress.deliveries[index]?.status === 'in_doubt';
}

function codesOf(reply: Reply): { code: number; enhanced?: string } {
  return { code: reply.code, ...(reply.enhanced ? { enhanced: reply.enhanced } : {}) };
}

function textsOf(recipients: readonly number[], reply: Reply): ReadonlyMap<number, string> {
  const text = `${reply.code} ${reply.lines.join(' ')}`.slice(0, 500);
  return new Map(recipients.map((index) => [index, text]));
}

function reasonOf(replyClass: ReplyClass): { reason?: string } {
  if (replyClass.scope === 'policy') return { reason: 'policy' };
  return replyClass.hard ? { reason: 'no_such_mailbox' } : {};
}
