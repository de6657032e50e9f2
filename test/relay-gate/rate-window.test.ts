import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RateWindow } from '../../src/relay-gate/rate-window.ts';
import { T0 } from './lease-requests.ts';

const steps = fc.array(
  fc.record({ afterMs: fc.integer({ min: 0, max: 300 }), wants: fc.integer({ min: 1, max: 8 }) }),
  { maxLength: 200 },
);

test('a window wherever it starts holds no more than the limit, and a full one says when it is not', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 20 }), (taken, limit) => {
      const window = new RateWindow(1000, 50);
      const grants: { atMs: number; count: number }[] = [];
      let nowMs = T0;
      for (const { afterMs, wants } of taken) {
        nowMs += afterMs;
        window.advance(nowMs, nowMs);
        const count = Math.min(wants, window.available(limit, nowMs));
        window.charge(count, nowMs);
        grants.push({ atMs: nowMs, count });
        const within = grants.filter(({ atMs }) => atMs > nowMs - 1000);
        expect(within.reduce((sum, grant) => sum + grant.count, 0)).toBeLessThanOrEqual(limit);
        if (window.available(limit, nowMs) > 0) continue;
        const freeAtMs = window.freeAt(limit, nowMs);
        expect(freeAtMs - nowMs).toBeLessThanOrEqual(1050);
        const later = new RateWindow(1000, 50, window.counts());
        later.advance(freeAtMs, freeAtMs);
        expect(later.available(limit, freeAtMs)).toBeGreaterThan(0);
      }
    }),
    { numRuns: 300 },
  );
});
