import { describe, expect, test } from 'vitest';
import type { BroadcastRun } from '../../src/outbox/client.ts';
import { progressOf } from '../../src/services/broadcast-progress.ts';

const NOW_MS = 1_800_000_000_000;
const counts = { delivered: 0, failed: 0, suppressed: 0, canceled: 0, inDoubt: 0 };
const run = (more: Partial<BroadcastRun>): BroadcastRun => ({
  id: 'brd_1',
  status: 'sending',
  startedAtMs: NOW_MS - 60_000,
  total: 100,
  queued: 50,
  skipped: 0,
  counts,
  ...more,
});
const endOf = (more: Partial<BroadcastRun>) => progressOf(run(more), NOW_MS).estimatedEndMs;

describe('the estimated end of a broadcast', () => {
  test('is as if the rest went on as what is done did', () => {
    expect(endOf({ counts: { ...counts, delivered: 18, failed: 1 }, skipped: 1 })).toBe(NOW_MS + 240_000);
    expect(endOf({ status: 'sent', counts: { ...counts, delivered: 75 } })).toBe(NOW_MS + 20_000);
  });

  test.each<[string, Partial<BroadcastRun>]>([
    ['before anything is done', {}],
    ['before it has begun', { status: 'scheduled' }],
    ['while it rests', { status: 'paused', counts: { ...counts, delivered: 10 } }],
    ['once everything is done', { status: 'sent', counts: { ...counts, delivered: 100 } }],
    ['where more was sent than was counted', { counts: { ...counts, delivered: 101 } }],
  ])('is not known %s', (_when, more) => {
    expect(endOf(more)).toBeNull();
    const { total, ...uncounted } = run({ counts: { ...counts, delivered: 1 } });
    expect([total, progressOf(uncounted, NOW_MS).estimatedEndMs]).toEqual([100, null]);
  });

  test('does not hide why it waits', () => {
    expect(progressOf(run({ hindrance: 'quota' }), NOW_MS)).toMatchObject({
      waitingFor: 'quota',
      queued: 50,
    });
    expect(progressOf(run({}), NOW_MS).waitingFor).toBeNull();
  });
});
