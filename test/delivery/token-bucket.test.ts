import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenBuckets } from '../../src/outbox/token-bucket.ts';

const NOW = 1_700_000_000_000;

const granted = (buckets: TokenBuckets, key: string, takes: number, nowMs: number) =>
  Array.from({ length: takes }, () => buckets.take(key, 1, nowMs)).filter(({ ok }) => ok).length;

describe('a token bucket', () => {
  test.each([
    [1, 100],
    [10, 100],
    [100, 100],
    [1_000, 1_000],
  ])('of %d per second grants exactly %d at once', (perSecond, capacity) => {
    const buckets = new TokenBuckets(perSecond);
    expect(granted(buckets, 'key', capacity * 3, NOW)).toBe(capacity);
  });

  test('refills at its rate, and no further than to the brim', () => {
    const buckets = new TokenBuckets(200);
    granted(buckets, 'key', 200, NOW);
    expect(granted(buckets, 'key', 200, NOW + 4)).toBe(0);
    expect(granted(buckets, 'key', 200, NOW + 5)).toBe(1);
    expect(granted(buckets, 'key', 200, NOW + 505)).toBe(100);
    expect(granted(buckets, 'key', 999, NOW + 3_600_000)).toBe(200);
  });

  test('grants all of a batch or none of it', () => {
    const buckets = new TokenBuckets(100);
    expect(buckets.take('key', 60, NOW).ok).toBe(true);
    const refused = buckets.take('key', 60, NOW);
    expect(refused).toEqual({
      ok: false,
      rate: { limit: 100, remaining: 40, resetSeconds: 1 },
      retryAfterSeconds: 1,
    });
    expect(buckets.take('key', 40, NOW)).toMatchObject({ ok: true, rate: { remaining: 0 } });
  });

  test('says how long to wait, and keeps its word', () => {
    const buckets = new TokenBuckets(3);
    buckets.take('key', 99, NOW);
    const { ok, retryAfterSeconds } = buckets.take('key', 50, NOW);
    expect({ ok, retryAfterSeconds }).toEqual({ ok: false, retryAfterSeconds: 17 });
    expect(buckets.take('key', 50, NOW + 16_000).ok).toBe(false);
    expect(buckets.take('key', 50, NOW + 17_000).ok).toBe(true);
  });

  test('takes nothing where nothing is asked for', () => {
    const buckets = new TokenBuckets(100);
    const untouched = { limit: 100, remaining: 100, resetSeconds: 0 };
    expect(buckets.take('key', 0, NOW)).toMatchObject({ ok: true, rate: untouched });
    granted(buckets, 'key', 100, NOW);
    expect(buckets.take('key', 0, NOW)).toMatchObject({ ok: true, rate: { remaining: 0, resetSeconds: 1 } });
  });

  test('is one for each key', () => {
    const buckets = new TokenBuckets(100);
    expect(granted(buckets, 'key_1', 200, NOW)).toBe(100);
    expect(granted(buckets, 'key_2', 200, NOW)).toBe(100);
    expect(granted(buckets, 'key_1', 200, NOW)).toBe(0);
  });

  test('gains nothing when the clock goes backwards, and fills up again from there', () => {
    const buckets = new TokenBuckets(100);
    granted(buckets, 'key', 100, NOW);
    expect(granted(buckets, 'key', 100, NOW - 86_400_000)).toBe(0);
    expect(granted(buckets, 'key', 100, NOW - 86_400_000 + 500)).toBe(50);
  });

  test.each([
    [1_000, 4, 250],
    [1_000, 3, 334],
    [1_000, 64, 100],
    [10, 64, 100],
  ])('of %d per second over %d shards holds %d in each', (perSecond, shards, capacity) => {
    const buckets = new TokenBuckets(perSecond);
    expect(buckets.take('key', 0, NOW, shards).rate).toEqual({
      limit: capacity,
      remaining: capacity,
      resetSeconds: 0,
    });
    for (let taken = 0; taken < capacity; taken++) expect(buckets.take('key', 1, NOW, shards).ok).toBe(true);
    expect(buckets.take('key', 1, NOW, shards).ok).toBe(false);
  });

  test('of an account that gets more shards shrinks with its part', () => {
    const buckets = new TokenBuckets(1_000);
    expect(buckets.take('key', 0, NOW).rate.remaining).toBe(1_000);
    expect(buckets.take('key', 0, NOW, 4).rate.remaining).toBe(250);
  });

  test('that is in use outlives any number of others', () => {
    const buckets = new TokenBuckets(100);
    granted(buckets, 'key', 100, NOW);
    for (let index = 0; index < 3_000; index++) {
      buckets.take(`other_${index}`, 1, NOW);
      expect(buckets.take('key', 1, NOW).ok).toBe(false);
    }
  });

  test('never grants more than its brim and what ran in since, and what it says remains can be had', () => {
    const someTake = fc.record({ count: fc.integer({ min: 0, max: 100 }), waitMs: fc.nat(2_000) });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.array(someTake, { maxLength: 100 }),
        (perSecond, takes) => {
          const buckets = new TokenBuckets(perSecond);
          const capacity = Math.max(100, perSecond);
          let nowMs = NOW;
          let total = 0;
          for (const { count, waitMs } of takes) {
            nowMs += waitMs;
            const { ok, rate, retryAfterSeconds } = buckets.take('key', count, nowMs);
            if (ok) total += count;
            expect(total).toBeLessThanOrEqual(capacity + ((nowMs - NOW) * perSecond) / 1_000 + 1e-6);
            expect(rate.remaining).toBeGreaterThanOrEqual(0);
            expect(rate.remaining).toBeLessThanOrEqual(capacity);
            expect(Number.isInteger(retryAfterSeconds) && retryAfterSeconds >= 1).toBe(true);
            if (!ok) {
              expect(rate.remaining).toBeLessThan(count);
              expect(buckets.take('key', rate.remaining, nowMs).ok).toBe(true);
              total += rate.remaining;
            }
          }
        },
      ),
    );
  });

  test('grants what it refused after the time it named', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.nat(3_000), { minLength: 1, maxLength: 30 }),
        (perSecond, count, waits) => {
          const buckets = new TokenBuckets(perSecond);
          let nowMs = NOW;
          for (const waitMs of waits) {
            nowMs += waitMs;
            granted(buckets, 'key', 2_000, nowMs);
            const { ok, retryAfterSeconds } = buckets.take('key', count, nowMs);
            expect(ok).toBe(false);
            nowMs += retryAfterSeconds * 1_000;
            expect(buckets.take('key', count, nowMs).ok).toBe(true);
          }
        },
      ),
    );
  });
});
