/** How far a message has come: one state per recipient, and the timeline that led there. */

export const DELIVERY_STATUSES = [
  'queued',
  /** Shown of what is queued for a later time, and never stored: an older version would not send it. */
  'scheduled',
  'sending',
  'deferred',
  'delivered',
  'failed',
  'expired',
  'suppressed',
  'canceled',
  'in_doubt',
] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** One recipient, by its place in the envelope. */
export interface DeliveryState {
  readonly status: DeliveryStatus;
  /** Times that MAIL and RCPT were spoken for it. Waiting for a relay uses up none. */
  readonly attempts: number;
  readonly relayId?: string;
  /** The last reply that was about this recipient: basic code, and enhanced code where there was one. */
  readonly code?: number;
  readonly enhanced?: string;
  /** A fixed word where something other than a reply decided. */
  readonly reason?: string;
  readonly updatedAtMs: number;
  /** Set while another attempt is planned. */
  readonly nextAttemptAtMs?: number;
}

export type TimelineEventType =
  | 'queued'
  /** Is to be sent later; again where the time was changed. */
  | 'scheduled'
  | 'delivered'
  | 'delivery_delayed'
  | 'bounced'
  | 'failed'
  | 'expired'
  | 'suppressed'
  | 'in_doubt'
  | 'canceled'
  | 'complained'
  /** Goes on to another relay. */
  | 'relay.failover'
  /** The customer ended a doubt. */
  | 'resolved';

export interface TimelineEvent {
  readonly type: TimelineEventType;
  readonly atMs: number;
  /** The recipients it is about; absent: all of them. */
  readonly recipients?: readonly number[];
  readonly relayId?: string;
  readonly code?: number;
  readonly enhanced?: string;
  readonly reason?: string;
}

export interface Progress {
  readonly deliveries: readonly DeliveryState[];
  readonly timeline: readonly TimelineEvent[];
  /** Times that a copy may have reached the relay without our knowing. Copies there are at most one more. */
  readonly possibleDuplicates: number;
  /** When it was to be sent first, where that was not at once. */
  readonly scheduledAtMs?: number;
  /** Sent with a test key: the simulator carries it. */
  readonly isTest?: true;
  /** The broadcast that counts it. */
  readonly broadcastId?: string;
  /** Somebody was erased from it: its content is shown to nobody, and goes with its end. */
  readonly isErased?: true;
}

/** Why a recipient gets no copy, known at acceptance. */
export type Rejection = 'invalid_address' | 'test_address' | 'suppressed';

export interface AcceptedAs {
  /** One for each recipient that is only reported; their deliveries follow the others. */
  readonly rejections?: readonly Rejection[];
  readonly scheduledAtMs?: number;
  readonly isTest?: boolean;
  /** The broadcast that it is a part of. */
  readonly broadcastId?: string;
}

/** Retries over four days make about 40 events; a relay that is down all the time makes ten times as many. */
const TIMELINE_LIMIT = 200;

export function newProgress(recipientCount: number, nowMs: number, as: AcceptedAs = {}): Progress {
  const { rejections = [], scheduledAtMs, isTest, broadcastId } = as;
  const waiting = {
    status: 'queued' as const,
    attempts: 0,
    updatedAtMs: nowMs,
    ...(scheduledAtMs === undefined ? {} : { nextAttemptAtMs: scheduledAtMs }),
  };
  return {
    deliveries: [
      ...Array.from({ length: recipientCount }, () => waiting),
      ...rejections.map((reason) => ({
        status: endOfRejected(reason),
        attempts: 0,
        reason,
        updatedAtMs: nowMs,
      })),
    ],
    timeline: [
      { type: scheduledAtMs === undefined ? 'queued' : 'scheduled', atMs: nowMs },
      ...rejections.map((reason, index) => ({
        type: endOfRejected(reason),
        atMs: nowMs,
        recipients: [recipientCount + index],
        reason,
      })),
    ],
    possibleDuplicates: 0,
    ...(scheduledAtMs === undefined ? {} : { scheduledAtMs }),
    ...(isTest ? { isTest } : {}),
    ...(broadcastId === undefined ? {} : { broadcastId }),
  };
}

function endOfRejected(reason: Rejection): 'failed' | 'suppressed' {
  return reason === 'suppressed' ? 'suppressed' : 'failed';
}

/** From when on it counts as under way: retries, expiry and the Date header start here. */
export function startOf(progress: Progress, acceptedAtMs: number): number {
  return Math.max(progress.scheduledAtMs ?? 0, acceptedAtMs);
}

/** True while no attempt was made and its time has not come. */
export function isScheduled(progress: Progress, nowMs: number): boolean {
  return (
    progress.scheduledAtMs !== undefined &&
    progress.scheduledAtMs > nowMs &&
    progress.deliveries.some((delivery) => isWaitingFor(delivery, progress.scheduledAtMs))
  );
}

/** As the customer sees them. */
export function shownDeliveries(progress: Progress, nowMs: number): readonly DeliveryState[] {
  if (!isScheduled(progress, nowMs)) return progress.deliveries;
  return progress.deliveries.map((delivery) =>
    isWaitingFor(delivery, progress.scheduledAtMs) ? { ...delivery, status: 'scheduled' } : delivery,
  );
}

function isWaitingFor(delivery: DeliveryState, atMs: number | undefined): boolean {
  return delivery.status === 'queued' && delivery.attempts === 0 && delivery.nextAttemptAtMs === atMs;
}

/** A delivery that another attempt may still change without anybody asking for it. */
export function isOpen(delivery: DeliveryState): boolean {
  if (delivery.status === 'in_doubt') return delivery.nextAttemptAtMs !== undefined;
  return delivery.status === 'queued' || delivery.status === 'sending' || delivery.status === 'deferred';
}

export function openRecipients(progress: Progress): number[] {
  return progress.deliveries.flatMap((delivery, index) => (isOpen(delivery) ? [index] : []));
}

/** When the message is due again; undefined where no recipient is open. */
export function nextDueAt(progress: Progress): number | undefined {
  let dueAtMs: number | undefined;
  for (const delivery of progress.deliveries) {
    if (!isOpen(delivery)) continue;
    const atMs = delivery.nextAttemptAtMs ?? 0;
    if (dueAtMs === undefined || atMs < dueAtMs) dueAtMs = atMs;
  }
  return dueAtMs;
}

/** Replaces the given deliveries and appends an event about them. */
export function advance(
  progress: Progress,
  changes: ReadonlyMap<number, DeliveryState>,
  events: readonly TimelineEvent[],
  doubts = 0,
): Progress {
  return {
    ...progress,
    deliveries: progress.deliveries.map((delivery, index) => changes.get(index) ?? delivery),
    timeline: bounded([...progress.timeline, ...events]),
    possibleDuplicates: progress.possibleDuplicates + doubts,
  };
}

/** Where there is too much, the oldest of the events that repeat go first: acceptance and doubts must stay on record. */
const REPEATING: readonly TimelineEventType[] = ['delivery_delayed', 'relay.failover'];

function bounded(timeline: readonly TimelineEvent[]): readonly TimelineEvent[] {
  let excess = timeline.length - TIMELINE_LIMIT;
  if (excess <= 0) return timeline;
  const kept = timeline.filter((event) => !REPEATING.includes(event.type) || excess-- <= 0);
  return kept.slice(-TIMELINE_LIMIT);
}
