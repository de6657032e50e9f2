import { describe, expect, test } from 'vitest';
import type { Step } from '../../src/delivery/attempt.ts';
import {
  applyExpiry,
  applyRelayClosed,
  applySuppressed,
  applyUnsendable,
} from '../../src/delivery/ending.ts';
import {
  applyDoubt,
  applyEnvelope,
  applyFaultBeforeDot,
  applyFinalReply,
  applySending,
} from '../../src/delivery/outcome.ts';
import { isOpen, nextDueAt, openRecipients, type Progress } from '../../src/delivery/progress.ts';
import {
  ACCEPTED_AT,
  at,
  attempts,
  CLOSING,
  EXPIRED,
  eventTypes,
  FIRST_RETRY,
  fresh,
  GO,
  GREYLISTED,
  inDoubt,
  lastEvent,
  NO_SUCH_USER,
  NOW,
  OK,
  RETRY,
  sending,
  statuses,
  verdictOf,
} from './outcome-fixtures.ts';
import { replyOf } from './reply-of.ts';

describe('a connection lost before the dot', () => {
  test('delays, and uses an attempt', () => {
    const step = applyFaultBeforeDot(fresh(2), [0, 1], 'body_broken', at(NOW));
    for (const delivery of step.progress.deliveries) {
      expect(delivery).toEqual({
        status: 'deferred',
        attempts: 1,
        relayId: 'rly_1',
        reason: 'body_broken',
        updatedAtMs: NOW,
        nextAttemptAtMs: FIRST_RETRY,
      });
    }
    expect(step.progress.possibleDuplicates).toBe(0);
    expect(eventTypes(step.progress)).toEqual(['delivery_delayed']);
  });

  test('after the dot was recorded, but before it was sent, uses no second attempt', () => {
    const step = applyFaultBeforeDot(sending(2), [0, 1], 'dot_closed', at(NOW));
    expect(attempts(step.progress)).toEqual([1, 1]);
    expect(statuses(step.progress)).toEqual(['deferred', 'deferred']);
    expect(step.progress.deliveries[0]?.nextAttemptAtMs).toBe(FIRST_RETRY);
  });

  test('waits longer each time, and expires after the last moment', () => {
    let progress = fresh(1);
    const waits: number[] = [];
    let nowMs = ACCEPTED_AT;
    for (let due = nextDueAt(progress); due !== undefined && waits.length < 50; due = nextDueAt(progress)) {
      nowMs = Math.max(nowMs, due);
      progress = applyFaultBeforeDot(progress, [0], 'connect_broken', at(nowMs)).progress;
      waits.push((nextDueAt(progress) ?? nowMs) - nowMs);
    }
    expect(waits).toEqual([
      60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000, 600_000, 300_000, 0,
    ]);
    expect(progress.deliveries).toMatchObject([
      { status: 'expired', attempts: 10, reason: 'connect_broken' },
    ]);
    expect(nowMs).toBe(EXPIRED);
  });

  test('leaves in doubt what is in doubt', () => {
    const before = inDoubt(1);
    const step = applyFaultBeforeDot(before, [0], 'mail_closed', at(NOW));
    expect(step.progress.deliveries).toMatchObject([
      { status: 'in_doubt', attempts: 2, reason: 'mail_closed', nextAttemptAtMs: NOW + 2 * RETRY.firstMs },
    ]);
    const end = applyFaultBeforeDot(step.progress, [0], 'mail_closed', at(EXPIRED));
    expect(end.progress.deliveries).toMatchObject([{ status: 'in_doubt' }]);
    expect(end.progress.deliveries[0]).not.toHaveProperty('nextAttemptAtMs');
    expect(eventTypes(end.progress)).not.toContain('expired');
    expect(end.progress.possibleDuplicates).toBe(1);
  });
});

describe('a doubt', () => {
  test('under the policy to retry plans a copy', () => {
    const { progress, replyTexts } = applyDoubt(sending(2), [0, 1], 'retry', at(NOW));
    expect(progress.deliveries[0]).toEqual({
      status: 'in_doubt',
      attempts: 1,
      relayId: 'rly_1',
      updatedAtMs: NOW,
      nextAttemptAtMs: FIRST_RETRY,
    });
    expect(lastEvent(progress)).toEqual({
      type: 'in_doubt',
      atMs: NOW,
      recipients: [0, 1],
      relayId: 'rly_1',
      reason: 'retry',
    });
    expect(progress.possibleDuplicates).toBe(1);
    expect(openRecipients(progress)).toEqual([0, 1]);
    expect(replyTexts.size).toBe(0);
  });

  test.each<[string, 'retry' | 'hold', number]>([
    ['under the policy to hold', 'hold', NOW],
    ['after the last moment', 'retry', EXPIRED],
  ])('%s is left to the customer', (_, policy, nowMs) => {
    const { progress } = applyDoubt(sending(1), [0], policy, at(nowMs));
    expect(progress.deliveries).toEqual([
      { status: 'in_doubt', attempts: 1, relayId: 'rly_1', updatedAtMs: nowMs },
    ]);
    expect(lastEvent(progress)).toMatchObject({ type: 'in_doubt', reason: 'held' });
    expect(openRecipients(progress)).toEqual([]);
    expect(nextDueAt(progress)).toBeUndefined();
  });

  test('is about those who were at the dot, and nobody else', () => {
    const envelope = applyEnvelope(
      fresh(3),
      [0, 1, 2],
      verdictOf(OK, [NO_SUCH_USER, OK, GREYLISTED], GO),
      at(NOW),
    );
    const atDot = applySending(envelope.progress, envelope.accepted, at(NOW));
    const { progress } = applyDoubt(atDot, envelope.accepted, 'retry', at(NOW));
    expect(statuses(progress)).toEqual(['failed', 'in_doubt', 'deferred']);
  });
});

describe('a relay that is closed', () => {
  const untilMs = NOW + 5_000;
  /** Delivered, failed, in doubt with a copy planned, and deferred. */
  const mixed: Progress = {
    ...fresh(5),
    deliveries: [
      { status: 'delivered', attempts: 1, updatedAtMs: NOW },
      { status: 'failed', attempts: 1, updatedAtMs: NOW },
      { status: 'in_doubt', attempts: 1, updatedAtMs: NOW, nextAttemptAtMs: NOW },
      { status: 'deferred', attempts: 3, updatedAtMs: NOW, nextAttemptAtMs: NOW },
      { status: 'queued', attempts: 0, updatedAtMs: NOW },
    ],
  };

  test('makes all who are open wait for it, without an attempt', () => {
    const { progress } = applyRelayClosed(mixed, { reason: 'connect_timeout', untilMs }, at(NOW));
    expect(statuses(progress)).toEqual(['delivered', 'failed', 'in_doubt', 'deferred', 'deferred']);
    expect(attempts(progress)).toEqual([1, 1, 1, 3, 0]);
    expect(progress.deliveries.slice(2).map((delivery) => delivery.nextAttemptAtMs)).toEqual([
      untilMs,
      untilMs,
      untilMs,
    ]);
    expect(lastEvent(progress)).toEqual({
      type: 'delivery_delayed',
      atMs: NOW,
      recipients: [2, 3, 4],
      relayId: 'rly_1',
      reason: 'connect_timeout',
    });
    expect(progress.possibleDuplicates).toBe(0);
  });

  test('shows what it said', () => {
    const reply = replyOf('535 5.7.8 Error: authentication failed');
    const step = applyRelayClosed(fresh(1), { reason: 'auth_reply', reply, untilMs }, at(NOW));
    expect(step.progress.deliveries).toMatchObject([
      { status: 'deferred', attempts: 0, code: 535, enhanced: '5.7.8' },
    ]);
    expect([...step.replyTexts]).toEqual([[0, '535 5.7.8 Error: authentication failed']]);
  });

  test('that closes at the dot keeps the attempt it has counted', () => {
    const { progress } = applyRelayClosed(sending(1), { reason: 'relay_refused', untilMs }, at(NOW));
    expect(progress.deliveries).toMatchObject([{ status: 'deferred', attempts: 1 }]);
  });

  test('fails a message that cannot go through it at all, and holds what is in doubt', () => {
    const { progress } = applyUnsendable(mixed, 'too_large_for_relay', at(NOW));
    expect(statuses(progress)).toEqual(['delivered', 'failed', 'in_doubt', 'failed', 'failed']);
    expect(progress.deliveries[4]).toEqual({
      status: 'failed',
      attempts: 0,
      relayId: 'rly_1',
      reason: 'too_large_for_relay',
      updatedAtMs: NOW,
    });
    expect(progress.deliveries.slice(0, 2)).toEqual(mixed.deliveries.slice(0, 2));
    expect(lastEvent(progress)).toMatchObject({
      type: 'failed',
      recipients: [3, 4],
      reason: 'too_large_for_relay',
    });
    expect(progress.deliveries.some(isOpen)).toBe(false);
  });

  test('to a message of which all is in doubt says nothing of a failure', () => {
    const { progress } = applyUnsendable(inDoubt(2), 'too_large_for_relay', at(NOW));
    expect(statuses(progress)).toEqual(['in_doubt', 'in_doubt']);
    expect(eventTypes(progress)).toEqual(['in_doubt']);
    expect(nextDueAt(progress)).toBeUndefined();
  });

  test('for four days lets the message expire, but not what is in doubt', () => {
    const progress = applyExpiry(mixed, EXPIRED);
    expect(statuses(progress)).toEqual(['delivered', 'failed', 'in_doubt', 'expired', 'expired']);
    expect(attempts(progress)).toEqual([1, 1, 1, 3, 0]);
    expect(progress.deliveries.some(isOpen)).toBe(false);
    expect(lastEvent(progress)).toEqual({ type: 'expired', atMs: EXPIRED, recipients: [3, 4] });
  });

  test('for four days says nothing of an expiry where all are in doubt', () => {
    const progress = applyExpiry(inDoubt(2), EXPIRED);
    expect(statuses(progress)).toEqual(['in_doubt', 'in_doubt']);
    expect(nextDueAt(progress)).toBeUndefined();
    expect(lastEvent(progress)?.type).toBe('in_doubt');
  });
});

describe('a suppression', () => {
  test('ends the recipients it is about, and says so once', () => {
    const { progress } = applySuppressed(fresh(3), [0, 2], NOW);
    expect(statuses(progress)).toEqual(['suppressed', 'queued', 'suppressed']);
    expect(progress.deliveries.map(isOpen)).toEqual([false, true, false]);
    expect(lastEvent(progress)).toEqual({ type: 'suppressed', atMs: NOW, recipients: [0, 2] });
  });

  test('holds a copy that is in doubt: it may have arrived, and gets no second one', () => {
    const { progress } = applySuppressed(inDoubt(2), [1], NOW);
    expect(statuses(progress)).toEqual(['in_doubt', 'in_doubt']);
    expect(progress.deliveries.map(isOpen)).toEqual([true, false]);
  });
});

test('no step changes the progress it was given', () => {
  const freeze = (progress: Progress): Progress => {
    for (const part of [...progress.deliveries, ...progress.timeline]) Object.freeze(part);
    Object.freeze(progress.deliveries);
    Object.freeze(progress.timeline);
    return Object.freeze(progress);
  };
  const steps: ((progress: Progress) => Step | Progress)[] = [
    (progress) => applyEnvelope(progress, [0, 1], verdictOf(OK, [OK, GREYLISTED], GO), at(NOW)),
    (progress) => applySending(progress, [0, 1], at(NOW)),
    (progress) => applyFinalReply(progress, [0, 1], replyOf(CLOSING), at(NOW)),
    (progress) => applyFaultBeforeDot(progress, [0, 1], 'body_broken', at(NOW)),
    (progress) => applyDoubt(progress, [0, 1], 'retry', at(NOW)),
    (progress) => applyUnsendable(progress, 'too_large_for_relay', at(NOW)),
    (progress) => applyRelayClosed(progress, { reason: 'auth_reply', untilMs: NOW }, at(NOW)),
    (progress) => applyExpiry(progress, EXPIRED),
    (progress) => applySuppressed(progress, [0, 1], NOW),
  ];
  for (const step of steps) expect(() => step(freeze(fresh(2)))).not.toThrow();
});
