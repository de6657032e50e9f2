/** What must be true after each command: of each recipient, of the timeline, and of the copies. */
import { expect } from 'vitest';
import {
  type DeliveryState,
  type DeliveryStatus,
  isOpen,
  nextDueAt,
  type Progress,
  type TimelineEventType,
} from '../../src/delivery/progress.ts';
import type { MessageUnderTest } from './message-under-test.ts';
import { ACCEPTED_AT, type End, RETRY, type World } from './world.ts';

const ENDS: readonly DeliveryStatus[] = ['delivered', 'failed', 'expired', 'canceled'];
const TOLD_BY: Readonly<Record<End, readonly TimelineEventType[]>> = {
  delivered: ['delivered', 'resolved'],
  failed: ['failed', 'bounced'],
  expired: ['expired'],
  canceled: ['resolved', 'canceled'],
};

export function expectLike(world: World, real: MessageUnderTest, before: Progress): void {
  const { deliveries, timeline, possibleDuplicates } = real.progress;
  expect(deliveries.map(stateOf)).toEqual(world.onRecord.map(({ state }) => state));
  expect(deliveries.map(({ attempts }) => attempts)).toEqual(world.onRecord.map(({ attempts }) => attempts));
  expect(possibleDuplicates).toBe(world.doubts);
  expect(timeline.filter(({ type }) => type === 'in_doubt')).toHaveLength(world.doubts);
  world.onRecord.forEach((recipient, index) => {
    const delivery = deliveries[index];
    if (!delivery) throw new Error('a delivery is missing');
    // A doubt that waits for its next copy is shown as one, but while that copy is at its dot.
    if (recipient.state === 'open' && delivery.status !== 'sending')
      expect(delivery.status === 'in_doubt').toBe(recipient.isDoubted);
    // The end is the end: nothing touches the record any more.
    const old = before.deliveries[index];
    if (old && ENDS.includes(old.status)) expect(delivery).toBe(old);
    // Copies, and what was said about them.
    expect(recipient.copies).toBeLessThanOrEqual(1 + possibleDuplicates);
    if (delivery.status === 'delivered' && !recipient.isVouchedFor) {
      expect(recipient.isAnswered && recipient.copies > 0).toBe(true);
    }
    expectTold(index, delivery, timeline);
    expectPlanned(delivery, old);
  });
  expect(nextDueAt(real.progress) === undefined).toBe(world.onRecord.every(({ state }) => state !== 'open'));
  expect(timeline[0]?.type).toBe('queued');
  for (const { recipients } of timeline.slice(1)) expect(recipients?.length).toBeGreaterThan(0);
}

/** Each end is in the timeline once, and no end that is not one. */
function expectTold(index: number, { status }: DeliveryState, timeline: Progress['timeline']): void {
  const told = timeline.filter(
    ({ type, recipients, reason }) =>
      recipients?.includes(index) &&
      (['delivered', 'failed', 'bounced', 'expired', 'canceled'].includes(type) ||
        (type === 'resolved' && reason !== 'resend')),
  );
  const isEnd = (end: DeliveryStatus): end is End => ENDS.includes(end);
  expect(told).toHaveLength(isEnd(status) ? 1 : 0);
  if (isEnd(status)) expect(TOLD_BY[status]).toContain(told[0]?.type);
}

/** A new plan is neither in the past nor, but for a relay that is waited for, after the last moment. */
function expectPlanned(delivery: DeliveryState, before: DeliveryState | undefined): void {
  const { nextAttemptAtMs, reason, updatedAtMs } = delivery;
  if (delivery === before || nextAttemptAtMs === undefined) return;
  expect(isOpen(delivery)).toBe(true);
  expect(nextAttemptAtMs).toBeGreaterThanOrEqual(updatedAtMs);
  const last = ACCEPTED_AT + RETRY.forMs;
  if (reason !== 'relay_closed' && reason !== 'resolved') expect(nextAttemptAtMs).toBeLessThanOrEqual(last);
}

function stateOf(delivery: DeliveryState): string {
  if (isOpen(delivery)) return 'open';
  return delivery.status === 'in_doubt' ? 'held' : delivery.status;
}
