import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  advance,
  type DeliveryState,
  isOpen,
  newProgress,
  nextDueAt,
  openRecipients,
  type Progress,
  type TimelineEvent,
} from '../../src/delivery/progress.ts';

const NOW = 1_000;
const LIMIT = 200;

const delivery = (status: DeliveryState['status'], nextAttemptAtMs?: number): DeliveryState => ({
  status,
  attempts: 1,
  updatedAtMs: NOW,
  ...(nextAttemptAtMs === undefined ? {} : { nextAttemptAtMs }),
});
const withDeliveries = (...deliveries: DeliveryState[]): Progress => ({ ...newProgress(0, NOW), deliveries });
const event = (type: TimelineEvent['type'], atMs: number): TimelineEvent => ({ type, atMs });

test('a new message has each recipient queued, and no doubts', () => {
  const queued = { status: 'queued', attempts: 0, updatedAtMs: NOW };
  expect(newProgress(2, NOW)).toEqual({
    deliveries: [queued, queued],
    timeline: [{ type: 'queued', atMs: NOW }],
    possibleDuplicates: 0,
  });
});

test.each<[string, DeliveryState, boolean]>([
  ['queued', delivery('queued'), true],
  ['sending', delivery('sending'), true],
  ['deferred', delivery('deferred', 2_000), true],
  ['in doubt, with a copy planned', delivery('in_doubt', 2_000), true],
  ['in doubt and held', delivery('in_doubt'), false],
  ['delivered', delivery('delivered'), false],
  ['failed', delivery('failed'), false],
  ['expired', delivery('expired'), false],
  ['suppressed', delivery('suppressed'), false],
  ['canceled', delivery('canceled'), false],
])('a delivery that is %s is open, or not', (_, state, open) => {
  expect(isOpen(state)).toBe(open);
  expect(openRecipients(withDeliveries(delivery('failed'), state))).toEqual(open ? [1] : []);
});

test.each<[string, Progress, number | undefined]>([
  ['never, where nothing is open', withDeliveries(delivery('delivered'), delivery('in_doubt')), undefined],
  ['never, where there is nobody', withDeliveries(), undefined],
  ['at once, where one is queued', withDeliveries(delivery('deferred', 2_000), delivery('queued')), 0],
  [
    'with the first that is open',
    withDeliveries(delivery('deferred', 3_000), delivery('in_doubt', 2_000)),
    2_000,
  ],
  [
    'whatever was planned for one that has ended',
    withDeliveries(delivery('failed', 1), delivery('deferred', 9)),
    9,
  ],
])('a message is due %s', (_, progress, dueAtMs) => {
  expect(nextDueAt(progress)).toBe(dueAtMs);
});

describe('a step forward', () => {
  test('replaces the given deliveries alone', () => {
    const before = withDeliveries(delivery('queued'), delivery('queued'), delivery('queued'));
    const after = advance(before, new Map([[1, delivery('delivered')]]), [event('delivered', 5)], 2);
    expect(after.deliveries).toEqual([delivery('queued'), delivery('delivered'), delivery('queued')]);
    expect(after.deliveries[0]).toBe(before.deliveries[0]);
    expect(after.timeline).toEqual([event('queued', NOW), event('delivered', 5)]);
    expect(after.possibleDuplicates).toBe(2);
  });

  test('keeps acceptance, doubts and outcomes on record through any number of delays', () => {
    let progress = newProgress(1, 0);
    for (let atMs = 1; atMs <= 2_000; atMs++) {
      const repeating = atMs % 2 === 0 ? 'relay.failover' : 'delivery_delayed';
      const type = atMs % 500 === 0 ? 'in_doubt' : repeating;
      progress = advance(progress, new Map(), [event(type, atMs)]);
      expect(progress.timeline.length).toBeLessThanOrEqual(LIMIT);
    }
    progress = advance(progress, new Map(), [event('delivered', 2_001)]);
    const kept = progress.timeline.filter(
      ({ type }) => !['delivery_delayed', 'relay.failover'].includes(type),
    );
    expect(kept.map(({ atMs }) => atMs)).toEqual([0, 500, 1_000, 1_500, 2_000, 2_001]);
    expect(progress.timeline.at(-2)?.atMs).toBe(2_000);
    expect(progress.timeline.at(-3)?.atMs).toBe(1_999);
  });

  test('keeps the timeline in order and bounded, whatever comes', () => {
    const types = ['queued', 'delivery_delayed', 'in_doubt', 'failed'] as const;
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...types), { minLength: 150, maxLength: 450 }), (list) => {
        let progress = newProgress(1, 0);
        for (const [index, type] of list.entries())
          progress = advance(progress, new Map(), [event(type, index)]);
        const times = progress.timeline.map(({ atMs }) => atMs);
        expect(times).toEqual([...times].sort((a, b) => a - b));
        expect(times).toHaveLength(Math.min(list.length + 1, LIMIT));
      }),
      { numRuns: 30, endOnFailure: true },
    );
  });
});
