import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { settingsOf } from '../../src/env.ts';
import { planNext, retryAfterOf } from '../../src/outbox/webhooks/retry-plan.ts';
import { TEST_SETTINGS } from '../support/relay-under-test.ts';

const { WEBHOOK_RETRY_MS: delaysMs } = settingsOf({ ...TEST_SETTINGS } as unknown as Parameters<
  typeof settingsOf
>[0]);
const at = { atMs: 1_000_000, tookMs: 0, response: '' };
const plan = (
  status: number | undefined,
  tries: number,
  more: { retryAfterMs?: number; random?: number } = {},
) =>
  planNext(
    {
      ...at,
      ...(status !== undefined && { status }),
      ...(more.retryAfterMs !== undefined && { retryAfterMs: more.retryAfterMs }),
    },
    tries,
    { delaysMs, random: more.random ?? 0 },
  );

describe('the schedule', () => {
  test('is that of Standard Webhooks: 0 s, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h', () => {
    expect(delaysMs.map((ms) => ms / 1000)).toEqual([
      0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
    ]);
    const waits = Array.from({ length: 9 }, (_, index) => (plan(500, index + 1).nextAtMs ?? 0) - at.atMs);
    expect(waits).toEqual(delaysMs.slice(1));
  });

  test('ends after ten attempts', () => {
    expect(plan(500, 9)).toMatchObject({ outcome: 'pending' });
    expect(plan(500, 10)).toEqual({ outcome: 'failed', isGone: false });
  });

  test('is never early, and at most a fifth late', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (tries, random) => {
          const waitMs = (plan(500, tries, { random }).nextAtMs ?? 0) - at.atMs;
          const plannedMs = delaysMs[tries] ?? 0;
          expect(waitMs).toBeGreaterThanOrEqual(plannedMs);
          expect(waitMs).toBeLessThanOrEqual(Math.ceil(plannedMs * 1.2));
        },
      ),
    );
  });
});

describe('an answer', () => {
  test.each([200, 201, 202, 204, 299])('of %i is success', (status) => {
    expect(plan(status, 1)).toEqual({ outcome: 'success', isGone: false });
  });

  test.each([undefined, 100, 300, 301, 302, 303, 307, 308, 400, 401, 404, 409, 418, 500, 501])(
    'of %s is tried again',
    (status) => {
      const next = plan(status, 1);
      expect(next).toMatchObject({ outcome: 'pending', isGone: false });
      expect(next.pausedUntilMs).toBeUndefined();
    },
  );

  test('of 410 ends the webhook at once', () => {
    expect(plan(410, 1)).toEqual({ outcome: 'failed', isGone: true });
  });

  test.each([429, 502, 503, 504])('of %i holds up what goes to the endpoint', (status) => {
    expect(plan(status, 1).pausedUntilMs).toBe(at.atMs + 5000);
  });

  test('with Retry-After is waited for, with a day at most', () => {
    expect(plan(503, 1, { retryAfterMs: 60_000 })).toMatchObject({
      nextAtMs: at.atMs + 60_000,
      pausedUntilMs: at.atMs + 60_000,
    });
    expect(plan(500, 1, { retryAfterMs: 1e12 }).nextAtMs).toBe(at.atMs + 86_400_000);
    // Earlier than the schedule it does not become.
    expect(plan(429, 3, { retryAfterMs: 1000 }).nextAtMs).toBe(at.atMs + 1_800_000);
  });
});

test.each([
  ['120', 120_000],
  [' 5 ', 5000],
  ['0', 0],
  ['Wed, 21 Oct 2015 07:28:10 GMT', 10_000],
  ['Wed, 21 Oct 2015 07:27:00 GMT', 0],
  ['-1', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['99999999999', undefined],
  [null, undefined],
])('Retry-After %j is %s ms', (header, expected) => {
  expect(retryAfterOf(header, Date.parse('2015-10-21T07:28:00Z'))).toBe(expected);
});
