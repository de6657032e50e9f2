import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GateLimits } from '../../src/relay-gate/client.ts';
import { type Bench, openGate, restart, T0 } from './lease-requests.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

interface Grant {
  count: number;
  readonly atMs: number;
  readonly validUntilMs: number;
}

/** The most permits granted in any window of this length. */
function fullestWindow(grants: readonly Grant[], windowMs: number): number {
  return Math.max(
    0,
    ...grants.map(({ atMs }) => sum(grants.filter((g) => g.atMs <= atMs && g.atMs > atMs - windowMs))),
  );
}

/** The most messages that could be started in any window, if each were started at the worst moment it may. */
function mostStarts(grants: readonly Grant[], windowMs: number): number {
  return Math.max(
    0,
    ...grants.map(({ atMs }) =>
      sum(grants.filter((g) => g.atMs <= atMs && g.validUntilMs > atMs - windowMs)),
    ),
  );
}

function sum(grants: readonly Grant[]): number {
  return grants.reduce((total, { count }) => total + count, 0);
}

const step = fc.record({
  afterMs: fc.oneof(
    fc.integer({ min: 0, max: 200 }),
    fc.integer({ min: 0, max: 5 * SECOND }),
    fc.integer({ min: 0, max: 3 * 60 * MINUTE }),
  ),
  holder: fc.constantFrom('a', 'b', 'c'),
  wants: fc.integer({ min: 0, max: 60 }),
  unused: fc.integer({ min: 0, max: 20 }),
  next: fc.constantFrom('go on', 'go on', 'go on', 'go on', 'crash', 'rest'),
});

const limits = fc.record(
  {
    perSecond: fc.integer({ min: 1, max: 20 }),
    perMinute: fc.integer({ min: 1, max: 60 }),
    perDay: fc.integer({ min: 1, max: 300 }),
  },
  { requiredKeys: [] },
);

/** Runs the steps and tells what was granted and not handed back. */
function run(
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  given: GateLimits,
): Grant[] {
  let gate: Bench = openGate();
  let nowMs = T0;
  const grants: Grant[] = [];
  let lastOf = new Map<string, Grant>();
  for (const { afterMs, holder, wants, unused, next } of steps) {
    nowMs += afterMs;
    const last = lastOf.get(holder);
    const back = Math.min(unused, last?.count ?? 0);
    const lease = gate.ask({ holder, limits: given, messages: wants, unused: back }, nowMs);
    if (last) last.count -= back;
    const grant = { count: lease.messages, atMs: nowMs, validUntilMs: lease.validUntilMs };
    grants.push(grant);
    lastOf.set(holder, grant);
    if (next === 'rest') {
      for (const name of ['a', 'b', 'c']) gate.state.release(name, 0, nowMs);
      gate.save(nowMs);
    }
    if (next !== 'go on') {
      gate = restart(gate, nowMs);
      lastOf = new Map();
    }
  }
  return grants;
}

describe('permits', () => {
  test('never exceed the limits in any second, minute or day, whoever asks, hands back, or crashes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), limits, (steps, given) => {
        const grants = run(steps, given);
        expect(fullestWindow(grants, SECOND)).toBeLessThanOrEqual(
          given.perSecond ?? Number.POSITIVE_INFINITY,
        );
        expect(mostStarts(grants, MINUTE)).toBeLessThanOrEqual(given.perMinute ?? Number.POSITIVE_INFINITY);
        expect(mostStarts(grants, DAY)).toBeLessThanOrEqual(given.perDay ?? Number.POSITIVE_INFINITY);
      }),
      { numRuns: 300 },
    );
  });

  test.each<[string, GateLimits, number, number]>([
    ['14 a second', { perSecond: 14 }, MINUTE, 14 * 60],
    ['30 a minute', { perMinute: 30 }, 60 * MINUTE, 30 * 60],
    ['2,000 a day', { perDay: 2000 }, 2 * DAY, 4000],
  ])('%s are nearly all given to one who asks when told to', (_name, given, forMs, most) => {
    const gate = openGate();
    let granted = 0;
    let calls = 0;
    for (let nowMs = T0; nowMs < T0 + forMs; ) {
      const lease = gate.ask({ limits: given, messages: 10_000 }, nowMs);
      granted += lease.messages;
      calls++;
      nowMs = lease.retryAtMs ?? nowMs + 1;
    }
    expect(granted).toBeGreaterThan(0.9 * most);
    expect(granted).toBeLessThanOrEqual(most + (given.perSecond ?? given.perMinute ?? 2000));
    expect(calls).toBeLessThan(granted / 5);
  });

  test('are not asked for again at every free slot', () => {
    const gate = openGate();
    for (let i = 0; i < 14; i++) gate.ask({ limits: { perSecond: 14 }, messages: 1 }, T0 + i * 60);
    const lease = gate.ask({ limits: { perSecond: 14 }, messages: 5 }, T0 + 990);
    expect(lease.messages).toBe(0);
    expect(lease.retryAtMs).toBeGreaterThanOrEqual(T0 + 990 + 250);
  });

  test('that are handed back can be granted again at once', () => {
    const gate = openGate();
    expect(gate.ask({ limits: { perMinute: 10 }, messages: 10 }, T0).messages).toBe(10);
    expect(gate.ask({ limits: { perMinute: 10 }, messages: 10, unused: 4 }, T0 + SECOND).messages).toBe(4);
    gate.state.release('a', 3, T0 + 2 * SECOND);
    expect(gate.ask({ holder: 'b', limits: { perMinute: 10 }, messages: 10 }, T0 + 2 * SECOND).messages).toBe(
      3,
    );
  });

  test('cannot be handed back by who has none', () => {
    const gate = openGate();
    gate.ask({ limits: { perMinute: 10 }, messages: 10 }, T0);
    gate.state.release('b', 10, T0);
    expect(gate.ask({ holder: 'c', limits: { perMinute: 10 }, unused: 10 }, T0).messages).toBe(0);
  });

  test('without limits are all granted, and nothing is written', () => {
    const gate = openGate();
    for (let i = 0; i < 1000; i++)
      expect(gate.ask({ sessions: 5, messages: 100 }, T0 + i)).toMatchObject({ sessions: 5, messages: 100 });
    expect(gate.rows).toBe(0);
  });

  test('cost two rows for each busy minute and a block of the day, not one for each message', () => {
    const gate = openGate();
    let granted = 0;
    for (let i = 0; i < 600; i++)
      granted += gate.ask(
        { limits: { perSecond: 100, perDay: 100_000 }, messages: 20 },
        T0 + i * 1000,
      ).messages;
    expect(granted).toBe(12_000);
    expect(gate.rows).toBeLessThan(40);
  });

  test('are shared evenly by two who both want all there is', () => {
    const gate = openGate();
    const had = { a: 0, b: 0 };
    const dueAt = { a: T0, b: T0 + 3 };
    for (let nowMs = T0; nowMs < T0 + MINUTE; nowMs++)
      for (const holder of ['a', 'b'] as const) {
        if (nowMs < dueAt[holder]) continue;
        // The greedy one does not wait until it is told to come again.
        const lease = gate.ask({ holder, limits: { perSecond: 14 }, messages: 1000 }, nowMs);
        had[holder] += lease.messages;
        dueAt[holder] = holder === 'a' ? nowMs + 10 : (lease.retryAtMs ?? nowMs + 10);
      }
    expect(had.a + had.b).toBeGreaterThan(0.85 * 14 * 60);
    expect(had.b).toBeGreaterThan(0.4 * (had.a + had.b));
  });

  test('reach each of forty holders, also where there are fewer in a second than holders', () => {
    const gate = openGate();
    const names = Array.from({ length: 40 }, (_, n) => `h${n}`);
    const had = new Map(names.map((name) => [name, 0]));
    const dueAt = new Map(names.map((name) => [name, T0]));
    for (let nowMs = T0; nowMs < T0 + MINUTE; nowMs += 5)
      for (const holder of names) {
        if (nowMs < (dueAt.get(holder) ?? 0)) continue;
        const lease = gate.ask({ holder, limits: { perSecond: 5 }, messages: 50 }, nowMs);
        had.set(holder, (had.get(holder) ?? 0) + lease.messages);
        dueAt.set(holder, lease.retryAtMs ?? nowMs);
      }
    expect(Math.min(...had.values())).toBeGreaterThan(2);
    expect(Math.max(...had.values())).toBeLessThan(20);
  });

  test('are left for a small asker beside a greedy one', () => {
    const gate = openGate();
    gate.ask({ holder: 'small', limits: { perDay: 1000 }, messages: 5 }, T0);
    gate.ask({ holder: 'greedy', limits: { perDay: 1000 }, messages: 5000 }, T0 + 1);
    expect(gate.ask({ holder: 'small', limits: { perDay: 1000 }, messages: 5 }, T0 + 100).messages).toBe(5);
  });

  test('come back within one window after the clock was a day ahead', () => {
    const gate = openGate();
    gate.ask({ limits: { perMinute: 10 }, messages: 10 }, T0 + DAY);
    expect(gate.ask({ limits: { perMinute: 10 }, messages: 10 }, T0).messages).toBe(0);
    expect(gate.ask({ limits: { perMinute: 10 }, messages: 10 }, T0 + 80 * SECOND).messages).toBe(10);
  });

  test('of a limit of nought are none, with a time to ask again', () => {
    const lease = openGate().ask({ limits: { perDay: 0 }, messages: 10 }, T0);
    expect(lease).toMatchObject({ messages: 0, retryAtMs: T0 + DAY });
  });
});

describe('"try again in N"', () => {
  test('stops messages until then, keeps the sessions, and starts slowly', () => {
    const gate = openGate();
    gate.ask({ messages: 600 }, T0);
    gate.state.reportThrottle(30 * SECOND, T0 + SECOND);
    const paused = gate.ask({ sessions: 3, messages: 600 }, T0 + 2 * SECOND);
    expect(paused).toMatchObject({ sessions: 3, messages: 0, retryAtMs: T0 + 31 * SECOND });
    expect(paused.closedUntilMs).toBeUndefined();
    expect(gate.ask({ messages: 1000 }, T0 + 80 * SECOND).messages).toBe(300);
    expect(gate.ask({ messages: 100_000 }, T0 + 12 * MINUTE).messages).toBe(100_000);
    expect(gate.state.health(T0).breaker).toBe('closed');
  });

  test('said by many sessions at once slows the relay once', () => {
    const gate = openGate();
    gate.ask({ messages: 1000 }, T0);
    for (let i = 0; i < 50; i++) gate.state.reportThrottle(10 * SECOND, T0 + i);
    expect(gate.ask({ messages: 1000 }, T0 + 80 * SECOND).messages).toBe(1000);
    expect(gate.rows).toBe(0);
  });

  test('is asked again after a quarter of an hour, whatever N was, also after a restart', () => {
    const gate = openGate();
    gate.state.reportThrottle(DAY, T0);
    gate.save(T0);
    const restarted = restart(gate, T0 + MINUTE);
    expect(restarted.ask({}, T0 + 2 * MINUTE)).toMatchObject({ messages: 0, retryAtMs: T0 + 15 * MINUTE });
    expect(restarted.ask({}, T0 + 15 * MINUTE).messages).toBe(1);
  });
});
