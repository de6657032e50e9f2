/**
 * What becomes of a message without a reply to it: its relay is away, it cannot be sent as it is, its time is
 * over, or the customer decided. What is in doubt is never called failed or expired: it may have arrived.
 */
import type { Reply } from '../smtp/types.ts';
import {
  type AttemptContext,
  attemptsOf,
  codesOf,
  expiryOf,
  isInDoubt,
  type Step,
  textsOf,
} from './attempt.ts';
import {
  advance,
  type DeliveryState,
  isOpen,
  isScheduled,
  openRecipients,
  type Progress,
  type TimelineEvent,
} from './progress.ts';

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
    type: context.hasAlternative ? 'relay.failover' : 'delivery_delayed',
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

/** The message cannot go through this relay at all, as the fixed word in `reason` says. A copy that is in doubt is held. */
export function applyUnsendable(progress: Progress, reason: string, context: AttemptContext): Step {
  const open = openRecipients(progress);
  const detail = { relayId: context.relayId, reason };
  const changes = new Map<number, DeliveryState>();
  for (const index of open) {
    changes.set(index, {
      status: isInDoubt(progress, index) ? 'in_doubt' : 'failed',
      attempts: attemptsOf(progress, index),
      ...detail,
      updatedAtMs: context.nowMs,
    });
  }
  const recipients = open.filter((index) => !isInDoubt(progress, index));
  const event: TimelineEvent = { type: 'failed', atMs: context.nowMs, recipients, ...detail };
  return {
    progress: advance(progress, changes, recipients.length > 0 ? [event] : []),
    replyTexts: new Map(),
  };
}

/**
 * The message does not compose to the bytes whose fate is in doubt any more (a library or a key changed).
 * Sending it could deliver two different messages as one: the doubt is held, and nobody else gets the other copy.
 */
export function applyCopyDiffers(progress: Progress, context: AttemptContext): Step {
  return applyUnsendable(progress, 'copy_differs', context);
}

/** The account does not mail these recipients any more. A copy that is in doubt gets no second one: it is held. */
export function applySuppressed(progress: Progress, recipients: readonly number[], nowMs: number): Step {
  const changes = new Map<number, DeliveryState>();
  for (const index of recipients) {
    const delivery = progress.deliveries[index];
    if (!delivery) continue;
    const { nextAttemptAtMs: _, ...rest } = delivery;
    const status = isInDoubt(progress, index) ? 'in_doubt' : 'suppressed';
    changes.set(index, { ...rest, status, reason: 'suppressed', updatedAtMs: nowMs });
  }
  const event: TimelineEvent = { type: 'suppressed', atMs: nowMs, recipients };
  return { progress: advance(progress, changes, [event]), replyTexts: new Map() };
}

/** The customer ends a doubt that is held; undefined where there is none. */
export function applyResolution(
  progress: Progress,
  recipient: number,
  resolution: 'delivered' | 'resend' | 'drop',
  nowMs: number,
): Progress | undefined {
  const delivery = progress.deliveries[recipient];
  if (delivery?.status !== 'in_doubt' || delivery.nextAttemptAtMs !== undefined) return undefined;
  const status = { delivered: 'delivered', resend: 'in_doubt', drop: 'canceled' } as const;
  const change: DeliveryState = {
    ...delivery,
    status: status[resolution],
    reason: 'resolved',
    updatedAtMs: nowMs,
    ...(resolution === 'resend' ? { nextAttemptAtMs: nowMs } : {}),
  };
  const event: TimelineEvent = { type: 'resolved', atMs: nowMs, recipients: [recipient], reason: resolution };
  return advance(progress, new Map([[recipient, change]]), [event]);
}

/**
 * The customer takes back what was not sent; undefined where nothing is left to take back. What is in doubt gets
 * no further copy, and says that the first may have arrived. The caller knows that no recipient is at its dot.
 */
export function applyCancel(progress: Progress, nowMs: number): Progress | undefined {
  const recipients = openRecipients(progress);
  return recipients.length === 0 ? undefined : canceled(progress, recipients, nowMs);
}

/**
 * These recipients are erased. What is open about them, or held in doubt, ends as if it were taken back; the others
 * are mailed on. The caller knows that no recipient is at its dot.
 */
export function applyErasure(progress: Progress, recipients: readonly number[], nowMs: number): Progress {
  const unended = recipients.filter((index) => {
    const delivery = progress.deliveries[index];
    return delivery && (isOpen(delivery) || delivery.status === 'in_doubt');
  });
  const after = unended.length === 0 ? progress : canceled(progress, unended, nowMs);
  return { ...after, isErased: true };
}

function canceled(progress: Progress, recipients: readonly number[], nowMs: number): Progress {
  const changes = new Map<number, DeliveryState>();
  for (const index of recipients) {
    const delivery = progress.deliveries[index];
    if (!delivery) continue;
    const { nextAttemptAtMs: _, reason: _reason, ...rest } = delivery;
    const doubt = isInDoubt(progress, index) ? { reason: 'may_have_arrived' } : {};
    changes.set(index, { ...rest, ...doubt, status: 'canceled', updatedAtMs: nowMs });
  }
  return advance(progress, changes, [{ type: 'canceled', atMs: nowMs, recipients }]);
}

/** Another time for what is still scheduled; undefined where it is not. A time that has come means at once. */
export function applyReschedule(
  progress: Progress,
  scheduledAtMs: number,
  nowMs: number,
): Progress | undefined {
  if (!isScheduled(progress, nowMs)) return undefined;
  const atMs = Math.max(scheduledAtMs, nowMs);
  const changes = new Map<number, DeliveryState>();
  for (const index of openRecipients(progress)) {
    const delivery = progress.deliveries[index];
    if (delivery) changes.set(index, { ...delivery, updatedAtMs: nowMs, nextAttemptAtMs: atMs });
  }
  const recipients = [...changes.keys()];
  const event: TimelineEvent = { type: 'scheduled', atMs: nowMs, recipients };
  return { ...advance(progress, changes, [event]), scheduledAtMs: atMs };
}

/** Four days are over. */
export function applyExpiry(progress: Progress, nowMs: number): Progress {
  const changes = new Map<number, DeliveryState>();
  const recipients = openRecipients(progress);
  for (const index of recipients) {
    const delivery = progress.deliveries[index];
    if (!delivery) continue;
    const { nextAttemptAtMs: _, ...rest } = delivery;
    const status = isInDoubt(progress, index) ? 'in_doubt' : 'expired';
    changes.set(index, { ...rest, status, updatedAtMs: nowMs });
  }
  const events = expiryOf(progress, recipients, { atMs: nowMs });
  return advance(progress, changes, events);
}
