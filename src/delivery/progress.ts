/** How far a message has come: one state per recipient, and the timeline that led there. */

export type DeliveryStatus =
  | 'queued'
  | 'sending'
  | 'deferred'
  | 'delivered'
  | 'failed'
  | 'expired'
  | 'suppressed'
  | 'canceled'
  | 'in_doubt';

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
  | 'delivered'
  | 'delivery_delayed'
  | 'bounced'
  | 'failed'
  | 'expired'
  | 'suppressed'
  | 'in_doubt'
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
}

/** Retries over four days make about 40 events; a relay that is down all the time makes ten times as many. */
const TIMELINE_LIMIT = 200;

export function newProgress(recipientCount: number, nowMs: number): Progress {
  return {
    deliveries: Array.from({ length: recipientCount }, () => ({
      status: 'queued' as const,
      attempts: 0,
      updatedAtMs: nowMs,
    })),
    timeline: [{ type: 'queued', atMs: nowMs }],
    possibleDuplicates: 0,
  };
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
