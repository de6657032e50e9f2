/** The gate as a real Durable Object: what it keeps when it is gone, and what it writes. */
import { abortAllDurableObjects } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import type { Env } from '../../src/env.ts';
import { type LeaseRequest, relayGateOf } from '../../src/relay-gate/client.ts';

const bindings: Env = { ...env };

function request(changes: Partial<LeaseRequest> = {}): LeaseRequest {
  return { holder: 'acc_a/0', limits: {}, sessions: 2, messages: 10, ...changes };
}

describe('the gate of a relay', () => {
  test('grants what there is, and is another object for another relay', async () => {
    const limits = { perDay: 15 };
    const gate = relayGateOf(bindings, 'acc_a/rly_a');
    expect(await gate.lease(request({ limits }))).toMatchObject({ sessions: 2, messages: 10 });
    expect((await gate.lease(request({ limits }))).messages).toBe(5);
    expect((await relayGateOf(bindings, 'acc_a/rly_b').lease(request({ limits }))).messages).toBe(10);
    expect(await gate.health()).toMatchObject({ breaker: 'closed', openSessions: 2, grantedLastMinute: 15 });
  });

  test('shares one limit among calls that arrive at once', async () => {
    const gate = relayGateOf(bindings, 'acc_a/rly_busy');
    const leases = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        gate.lease(request({ holder: `acc_a/${n}`, limits: { perDay: 100, sessions: 7 } })),
      ),
    );
    expect(leases.reduce((sum, { messages }) => sum + messages, 0)).toBeLessThanOrEqual(100);
    expect(leases.reduce((sum, { sessions }) => sum + sessions, 0)).toBeLessThanOrEqual(7);
  });

  test('remembers the open breaker and the day when the object was aborted', async () => {
    const limits = { perDay: 1000 };
    const open = relayGateOf(bindings, 'acc_a/rly_open');
    const day = relayGateOf(bindings, 'acc_a/rly_day');
    const { closedUntilMs, opened } = await open.reportFault('acc_a/0', {
      reason: 'auth_refused',
      code: 535,
    });
    expect(opened).toBe(true);
    const { messages } = await day.lease(request({ limits, messages: 700 }));
    expect(messages).toBe(700);

    await abortAllDurableObjects();

    const again = relayGateOf(bindings, 'acc_a/rly_open');
    expect(await again.health()).toMatchObject({
      breaker: 'open',
      reopensAtMs: closedUntilMs,
      lastFault: { reason: 'auth_refused', code: 535 },
    });
    expect(await again.lease(request())).toMatchObject({ sessions: 0, messages: 0, closedUntilMs });
    const rest = await relayGateOf(bindings, 'acc_a/rly_day').lease(request({ limits, messages: 700 }));
    expect(rest.messages).toBeLessThanOrEqual(300);
    // A block of one in a hundred may be lost.
    expect(rest.messages).toBeGreaterThanOrEqual(290);
  });

  test('closes again when a newer version of the relay is used', async () => {
    const gate = relayGateOf(bindings, 'acc_a/rly_mended');
    await gate.reportFault('acc_a/0', { reason: 'auth_refused', version: 1 });
    expect((await gate.lease(request({ version: 1 }))).sessions).toBe(0);
    expect((await gate.lease(request({ version: 2 }))).sessions).toBe(2);
    expect(await gate.reportSuccess('acc_a/0')).toEqual({ closed: false });
    await gate.reportThrottle('acc_a/0', 60_000);
    expect((await gate.lease(request({ version: 2 }))).messages).toBe(0);
    await gate.release('acc_a/0', 0);
    expect(await gate.health()).toMatchObject({ breaker: 'closed', openSessions: 0 });
  });
});
