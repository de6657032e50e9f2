import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BACKOFF, type Bench, openGate, restart, T0 } from './lease-requests.ts';

const MINUTE = 60_000;
/** The random number at which the jitter is nil. */
const NO_JITTER = 0.5;

function fail(
  gate: Bench,
  nowMs: number,
  holder = 'a',
  extra: { retryAfterMs?: number; version?: number } = {},
) {
  const result = gate.state.reportFault(
    holder,
    { reason: 'auth_refused', code: 535, ...extra },
    { nowMs, random: NO_JITTER },
  );
  gate.save(nowMs);
  return result;
}

describe('the breaker', () => {
  test('opens on the first fault, says so once, and grants nothing until its time', () => {
    const gate = openGate();
    expect(fail(gate, T0)).toEqual({ closedUntilMs: T0 + MINUTE, opened: true });
    expect(fail(gate, T0 + 1, 'b')).toEqual({ closedUntilMs: T0 + MINUTE, opened: false });
    expect(gate.ask({ holder: 'b', sessions: 5, messages: 50 }, T0 + MINUTE - 1)).toMatchObject({
      sessions: 0,
      messages: 0,
      closedUntilMs: T0 + MINUTE,
      retryAtMs: T0 + MINUTE,
    });
    expect(gate.state.health(T0 + 2)).toMatchObject({
      breaker: 'open',
      reopensAtMs: T0 + MINUTE,
      lastFault: { atMs: T0 + 1, reason: 'auth_refused', code: 535 },
    });
    expect(gate.rows).toBe(1);
  });

  test('lets one holder probe with one session and one message', () => {
    const gate = openGate();
    fail(gate, T0);
    const now = T0 + MINUTE;
    expect(gate.state.health(now).breaker).toBe('half_open');
    expect(gate.ask({ holder: 'a', sessions: 5, messages: 50 }, now)).toMatchObject({
      probe: true,
      sessions: 1,
      messages: 1,
    });
    const other = gate.ask({ holder: 'b', sessions: 5, messages: 50 }, now + 1);
    expect(other).toMatchObject({ sessions: 0, messages: 0, closedUntilMs: now + 2001 });
    expect(other.probe).toBeUndefined();
  });

  test('closes on the success of the probe alone, and then grants as before', () => {
    const gate = openGate();
    fail(gate, T0);
    expect(gate.state.reportSuccess('b', T0 + 1)).toEqual({ closed: false });
    const now = T0 + MINUTE;
    gate.ask({ holder: 'a' }, now);
    expect(gate.state.reportSuccess('b', now + 1)).toEqual({ closed: false });
    expect(gate.state.reportSuccess('a', now + 2)).toEqual({ closed: true });
    expect(gate.state.reportSuccess('a', now + 3)).toEqual({ closed: false });
    expect(gate.ask({ holder: 'b', sessions: 5, messages: 50 }, now + 4)).toMatchObject({
      sessions: 5,
      messages: 50,
    });
  });

  test('opens for twice as long with each probe that fails, up to a quarter of an hour', () => {
    const gate = openGate();
    let nowMs = T0;
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      gate.ask({}, nowMs);
      const { closedUntilMs, opened } = fail(gate, nowMs);
      expect(opened).toBe(i === 0);
      waits.push((closedUntilMs - nowMs) / MINUTE);
      nowMs = closedUntilMs;
    }
    expect(waits).toEqual([1, 2, 4, 8, 15, 15, 15]);
  });

  test('is not opened for longer by older sessions that end while another probes', () => {
    const gate = openGate();
    fail(gate, T0);
    gate.ask({ holder: 'a' }, T0 + MINUTE);
    expect(fail(gate, T0 + MINUTE + 1, 'b').opened).toBe(false);
    expect(gate.state.reportSuccess('a', T0 + MINUTE + 2)).toEqual({ closed: true });
  });

  test('gives the probe to the next one where the first is not heard of again, or leaves', () => {
    const gate = openGate();
    fail(gate, T0);
    gate.ask({ holder: 'a' }, T0 + MINUTE);
    expect(gate.ask({ holder: 'b' }, T0 + 2 * MINUTE - 1).probe).toBeUndefined();
    expect(gate.ask({ holder: 'b' }, T0 + 2 * MINUTE).probe).toBe(true);
    gate.state.release('b', 1, T0 + 2 * MINUTE + 1);
    expect(gate.ask({ holder: 'c' }, T0 + 2 * MINUTE + 2).probe).toBe(true);
  });

  test('keeps the probe with who renews it', () => {
    const gate = openGate();
    fail(gate, T0);
    for (let i = 0; i < 12; i++) {
      const now = T0 + MINUTE + i * 10_000;
      expect(gate.ask({ holder: 'a', messages: 0, openSessions: 1 }, now).probe).toBe(true);
      expect(gate.ask({ holder: 'b' }, now + 1).probe).toBeUndefined();
    }
  });

  test('does not start a probe that a limit leaves no permit for', () => {
    const gate = openGate();
    gate.ask({ holder: 'b', limits: { perDay: 5 }, messages: 5 }, T0);
    fail(gate, T0);
    const refused = gate.ask({ limits: { perDay: 5 } }, T0 + MINUTE);
    expect(refused).toMatchObject({ sessions: 0, messages: 0 });
    expect(refused.closedUntilMs).toBeGreaterThan(T0 + MINUTE);
    expect(gate.ask({ holder: 'b' }, T0 + MINUTE + 1).probe).toBe(true);
  });

  test('waits as long as the relay asked, within a quarter of an hour', () => {
    expect(fail(openGate(), T0, 'a', { retryAfterMs: 5 * MINUTE }).closedUntilMs).toBe(T0 + 5 * MINUTE);
    expect(fail(openGate(), T0, 'a', { retryAfterMs: 24 * 60 * MINUTE }).closedUntilMs).toBe(
      T0 + 15 * MINUTE,
    );
  });

  test('is remembered by an object that starts again', () => {
    const gate = openGate();
    fail(gate, T0);
    fail(gate, T0 + MINUTE);
    const restarted = restart(gate, T0 + 2 * MINUTE);
    expect(restarted.ask({}, T0 + 2 * MINUTE).closedUntilMs).toBe(T0 + 3 * MINUTE);
    expect(restarted.ask({}, T0 + 3 * MINUTE).probe).toBe(true);
    expect(fail(restarted, T0 + 3 * MINUTE)).toEqual({ closedUntilMs: T0 + 7 * MINUTE, opened: false });
  });

  test('closes for a newer version of the relay, and does not hear of an older one', () => {
    const gate = openGate();
    gate.ask({ version: 1 }, T0);
    fail(gate, T0, 'a', { version: 1 });
    expect(gate.ask({ version: 1 }, T0 + 1).sessions).toBe(0);
    expect(gate.ask({ version: 2 }, T0 + 2)).toMatchObject({ sessions: 1, messages: 1 });
    expect(fail(gate, T0 + 3, 'b', { version: 1 }).opened).toBe(false);
    expect(gate.ask({ version: 2 }, T0 + 4).sessions).toBe(1);
    expect(restart(gate, T0 + 5).ask({ version: 1 }, T0 + 5).sessions).toBe(1);
  });

  test('is never open for longer than it may be after the clock was ahead', () => {
    const gate = openGate();
    fail(gate, T0 + 24 * 60 * MINUTE);
    expect(gate.ask({}, T0).closedUntilMs).toBe(T0 + BACKOFF.maxMs);
  });

  test('has at most one prober at any time, and always lets one in, whatever is reported', () => {
    const action = fc.record({
      afterMs: fc.integer({ min: 0, max: 40_000 }),
      holder: fc.constantFrom('a', 'b', 'c'),
      what: fc.constantFrom('ask', 'ask', 'ask', 'fault', 'success', 'release'),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const gate = openGate();
        let nowMs = T0;
        let prober: { holder: string; untilMs: number } | undefined;
        for (const { afterMs, holder, what } of actions) {
          nowMs += afterMs;
          if (what === 'ask') {
            const lease = gate.ask({ holder, sessions: 4, messages: 9 }, nowMs);
            if (lease.probe) {
              expect(prober === undefined || prober.holder === holder || prober.untilMs <= nowMs).toBe(true);
              expect(lease).toMatchObject({ sessions: 1, messages: 1 });
              prober = { holder, untilMs: nowMs + MINUTE };
            }
          }
          if (what === 'fault') {
            const before = gate.state.health(nowMs).breaker;
            const { opened } = fail(gate, nowMs, holder);
            expect(opened).toBe(before === 'closed');
            if (gate.state.health(nowMs).breaker === 'open') prober = undefined;
          }
          if (what === 'success' && gate.state.reportSuccess(holder, nowMs).closed) prober = undefined;
          if (what === 'release') {
            gate.state.release(holder, 1, nowMs);
            if (prober?.holder === holder) prober = undefined;
          }
        }
        const later = nowMs + BACKOFF.maxMs + MINUTE;
        expect(gate.ask({ holder: 'd' }, later).sessions).toBe(1);
      }),
    );
  });
});
