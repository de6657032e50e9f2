import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SESSION_LEASE_MS } from '../../src/relay-gate/client.ts';
import { MAX_HOLDERS } from '../../src/relay-gate/holders.ts';
import { type Bench, openGate, restart, T0 } from './lease-requests.ts';

const limits = { sessions: 4 };

describe('sessions', () => {
  test('open at once are never more than the limit, whoever asks, closes late, dies, or the gate restarts', () => {
    const action = fc.record({
      afterMs: fc.integer({ min: 0, max: 9_000 }),
      holder: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      wants: fc.integer({ min: 0, max: 6 }),
      closes: fc.integer({ min: 0, max: 4 }),
      what: fc.constantFrom('renew', 'renew', 'renew', 'renew', 'release', 'gate crash'),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
        let gate: Bench = openGate();
        let nowMs = T0;
        const open = new Map<string, { count: number; untilMs: number }>();
        for (const { afterMs, holder, wants, closes, what } of actions) {
          nowMs += afterMs;
          // Who did not renew in time has lost its connections, as a dead process has.
          for (const [name, { untilMs }] of open) if (untilMs <= nowMs) open.delete(name);
          if (what === 'gate crash') gate = restart(gate, nowMs);
          else if (what === 'release') {
            gate.state.release(holder, 0, nowMs);
            gate.save(nowMs);
            open.delete(holder);
          } else {
            const still = Math.max(0, (open.get(holder)?.count ?? 0) - closes);
            const lease = gate.ask({ holder, limits, sessions: wants, openSessions: still }, nowMs);
            open.set(holder, { count: Math.max(still, lease.sessions), untilMs: lease.sessionsUntilMs });
          }
          const sum = [...open.values()].reduce((total, { count }) => total + count, 0);
          expect(sum).toBeLessThanOrEqual(limits.sessions);
        }
      }),
      { numRuns: 400 },
    );
  });

  test('of a holder that dies are free when its lease runs out, and at once when it leaves', () => {
    const gate = openGate();
    expect(gate.ask({ holder: 'a', limits, sessions: 4 }, T0).sessions).toBe(4);
    const refused = gate.ask({ holder: 'b', limits, sessions: 2, messages: 10 }, T0 + 1);
    expect(refused).toMatchObject({ sessions: 0, messages: 0, retryAtMs: T0 + 2001 });
    expect(gate.ask({ holder: 'b', limits, sessions: 2 }, T0 + SESSION_LEASE_MS).sessions).toBe(2);
    gate.state.release('b', 0, T0 + SESSION_LEASE_MS + 1);
    expect(gate.ask({ holder: 'c', limits, sessions: 4 }, T0 + SESSION_LEASE_MS + 1).sessions).toBe(4);
  });

  test('are handed over to a second holder only once the first has closed them', () => {
    const gate = openGate();
    gate.ask({ holder: 'a', limits, sessions: 4 }, T0);
    expect(gate.ask({ holder: 'b', limits, sessions: 4 }, T0 + 1).sessions).toBe(0);
    expect(gate.ask({ holder: 'a', limits, sessions: 4, openSessions: 4 }, T0 + 1000).sessions).toBe(2);
    expect(gate.ask({ holder: 'b', limits, sessions: 4, openSessions: 0 }, T0 + 2001).sessions).toBe(0);
    expect(gate.ask({ holder: 'a', limits, sessions: 4, openSessions: 2 }, T0 + 3000).sessions).toBe(2);
    expect(gate.ask({ holder: 'b', limits, sessions: 4, openSessions: 0 }, T0 + 4001).sessions).toBe(2);
  });

  test('are kept until the end of the earlier lease where a holder does not say what is open', () => {
    const gate = openGate();
    gate.ask({ holder: 'a', limits, sessions: 4 }, T0);
    expect(gate.ask({ holder: 'a', limits, sessions: 1 }, T0 + 1000).sessions).toBe(1);
    expect(gate.ask({ holder: 'b', limits, sessions: 4 }, T0 + 2000).sessions).toBe(0);
    expect(gate.ask({ holder: 'a', limits, sessions: 1 }, T0 + 14_000).sessions).toBe(1);
    expect(gate.ask({ holder: 'b', limits, sessions: 4 }, T0 + 15_000).sessions).toBe(3);
  });

  test('are taken in turns where there are fewer than holders', () => {
    const gate = openGate();
    const names = ['a', 'b', 'c', 'd', 'e'];
    const had = new Map(names.map((name) => [name, 0]));
    const open = new Map<string, number>();
    for (let nowMs = T0; nowMs < T0 + 5 * 60_000; nowMs += 1000)
      for (const holder of names) {
        const request = { holder, limits: { sessions: 1 }, sessions: 3, openSessions: open.get(holder) ?? 0 };
        const { sessions } = gate.ask(request, nowMs);
        open.set(holder, sessions);
        had.set(holder, (had.get(holder) ?? 0) + sessions);
      }
    expect(Math.min(...had.values())).toBeGreaterThan(20);
  });

  test('that were open when the gate crashed are known again from their holder, which gives some up; others wait until it has', () => {
    const gate = openGate();
    gate.ask({ holder: 'a', limits, sessions: 3 }, T0);
    const restarted = restart(gate, T0 + 5000);
    expect(restarted.ask({ holder: 'b', limits, sessions: 2 }, T0 + 6000).sessions).toBe(0);
    expect(restarted.ask({ holder: 'a', limits, sessions: 3, openSessions: 3 }, T0 + 7000).sessions).toBe(2);
    expect(restarted.ask({ holder: 'b', limits, sessions: 2 }, T0 + 20_001).sessions).toBe(1);
  });

  test('do not wait after a restart where all had been released: that was written down', () => {
    const gate = openGate();
    gate.ask({ holder: 'a', limits, sessions: 3 }, T0);
    gate.state.release('a', 0, T0 + 1000);
    gate.save(T0 + 1000);
    expect(restart(gate, T0 + 2000).ask({ holder: 'b', limits, sessions: 2 }, T0 + 2000).sessions).toBe(2);
    expect(gate.rows).toBe(2);
  });

  test('are counted in the health of the relay', () => {
    const gate = openGate();
    gate.ask({ holder: 'a', sessions: 3, messages: 7, openSessions: 2 }, T0);
    gate.ask({ holder: 'b', sessions: 1, messages: 5 }, T0);
    expect(gate.state.health(T0 + 1)).toEqual({ breaker: 'closed', openSessions: 3, grantedLastMinute: 12 });
    expect(gate.state.health(T0 + 62_000)).toEqual({
      breaker: 'closed',
      openSessions: 0,
      grantedLastMinute: 0,
    });
  });

  test('of more holders than a gate remembers are refused, and nobody is forgotten who has one', () => {
    const gate = openGate();
    for (let i = 0; i < MAX_HOLDERS; i++) gate.ask({ holder: `h${i}`, sessions: 1, messages: 0 }, T0);
    expect(gate.ask({ holder: 'late' }, T0 + 1)).toMatchObject({ sessions: 0, retryAtMs: T0 + 1001 });
    expect(gate.ask({ holder: 'late' }, T0 + SESSION_LEASE_MS).sessions).toBe(1);
  });

  test('asked for in numbers that are none are none', () => {
    const lease = openGate().ask(
      { sessions: Number.NaN, messages: -3.5, unused: Number.POSITIVE_INFINITY },
      T0,
    );
    expect(lease).toMatchObject({ sessions: 0, messages: 0 });
  });
});
