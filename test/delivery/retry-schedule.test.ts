import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, nextAttemptAt } from '../../src/delivery/retry-schedule.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The defaults of the deployment. */
const RETRY = { firstMs: MINUTE, maxMs: 4 * HOUR, forMs: 4 * DAY };
/** The random number at which the jitter is nil. */
const NO_JITTER = 0.5;

const someRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const someSettings = fc.record({
  firstMs: fc.integer({ min: 1, max: DAY }),
  maxMs: fc.integer({ min: 1, max: 2 * DAY }),
  forMs: fc.integer({ min: 1, max: 30 * DAY }),
});

describe('the time between attempts', () => {
  test.each([
    [0, MINUTE],
    [1, MINUTE],
    [2, 2 * MINUTE],
    [3, 4 * MINUTE],
    [4, 8 * MINUTE],
    [8, 128 * MINUTE],
    [9, 4 * HOUR],
    [10, 4 * HOUR],
    [1000, 4 * HOUR],
    [Number.NEGATIVE_INFINITY, MINUTE],
  ])('after %d failures is %d ms', (failures, delayMs) => {
    expect(backoffMs(failures, NO_JITTER, RETRY)).toBe(delayMs);
  });

  test('is at most a fifth off its base, and uses all of that', () => {
    expect(backoffMs(1, 0, RETRY)).toBe(0.8 * MINUTE);
    expect(backoffMs(1, 1 - Number.EPSILON, RETRY)).toBe(1.2 * MINUTE);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200 }),
        someRandom,
        someSettings,
        (failures, random, settings) => {
          const base = Math.min(settings.firstMs * 2 ** Math.max(failures - 1, 0), settings.maxMs);
          const delayMs = backoffMs(failures, random, settings);
          expect(delayMs).toBeGreaterThanOrEqual(Math.floor(base * 0.8));
          expect(delayMs).toBeLessThanOrEqual(Math.ceil(base * 1.2));
          expect(Number.isSafeInteger(delayMs)).toBe(true);
        },
      ),
    );
  });

  test('never shrinks from one failure to the next', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100 }),
        someRandom,
        someSettings,
        (failures, random, settings) => {
          expect(backoffMs(failures + 1, random, settings)).toBeGreaterThanOrEqual(
            backoffMs(failures, random, settings),
          );
        },
      ),
    );
  });
});

describe('the next attempt', () => {
  test.each([
    ['in the middle of its time', 1, DAY, DAY + MINUTE],
    ['when its last wait would end after its time', 20, 4 * DAY - HOUR, 4 * DAY],
    ['a moment before its time is over', 1, 4 * DAY - 1, 4 * DAY],
    ['when its time is over', 1, 4 * DAY, undefined],
    ['long after its time', 1, 40 * DAY, undefined],
    ['accepted by a clock ahead of this one', 1, -HOUR, -HOUR + MINUTE],
  ])('of a message %s', (_, attempts, nowMs, expected) => {
    expect(nextAttemptAt(attempts, { acceptedAtMs: 0, nowMs, random: NO_JITTER }, RETRY)).toBe(expected);
  });

  test('is never past the expiry, never in the past, and there is one until the expiry', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 2 ** 42 }),
        fc.integer({ min: -DAY, max: 40 * DAY }),
        someRandom,
        someSettings,
        (attempts, acceptedAtMs, ageMs, random, settings) => {
          const nowMs = acceptedAtMs + ageMs;
          const atMs = nextAttemptAt(attempts, { acceptedAtMs, nowMs, random }, settings);
          if (ageMs >= settings.forMs) expect(atMs).toBeUndefined();
          else {
            expect(atMs).toBeGreaterThanOrEqual(nowMs);
            expect(atMs).toBeLessThanOrEqual(acceptedAtMs + settings.forMs);
          }
        },
      ),
    );
  });

  test('comes about forty times in four days', () => {
    let nowMs = 0;
    let attempts = 0;
    for (let at: number | undefined = 0; at !== undefined; attempts++) {
      nowMs = at;
      at = nextAttemptAt(attempts + 1, { acceptedAtMs: 0, nowMs, random: NO_JITTER }, RETRY);
    }
    expect(nowMs).toBe(4 * DAY);
    expect(attempts).toBeGreaterThan(25);
    expect(attempts).toBeLessThan(45);
  });
});
