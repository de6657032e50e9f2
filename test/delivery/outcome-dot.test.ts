import { describe, expect, test } from 'vitest';
import { applyResolution } from '../../src/delivery/ending.ts';
import { applyDoubt, applyEnvelope, applyFinalReply, applySending } from '../../src/delivery/outcome.ts';
import { nextDueAt, type Progress } from '../../src/delivery/progress.ts';
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
  LOGIN,
  lastEvent,
  NO_SUCH_USER,
  NOW,
  OK,
  SPAM,
  sending,
  statuses,
  verdictOf,
} from './outcome-fixtures.ts';
import { replyOf } from './reply-of.ts';

describe('at the dot', () => {
  test('the accepted recipients are being sent, and the attempt is counted', () => {
    const progress = applySending(fresh(3), [0, 2], at(NOW));
    expect(progress.deliveries).toEqual([
      { status: 'sending', attempts: 1, relayId: 'rly_1', updatedAtMs: NOW },
      { status: 'queued', attempts: 0, updatedAtMs: ACCEPTED_AT },
      { status: 'sending', attempts: 1, relayId: 'rly_1', updatedAtMs: NOW },
    ]);
    expect(progress.timeline).toHaveLength(1);
  });

  test.each<[string, string, string, object, string[]]>([
    ['250', '250 2.0.0 Ok: queued as 4B3', 'delivered', { code: 250, enhanced: '2.0.0' }, ['delivered']],
    ['a permanent refusal', '554 5.6.0 Corrupt', 'failed', { code: 554 }, ['failed']],
    ['a policy refusal', SPAM, 'failed', { code: 554, reason: 'policy' }, ['failed']],
    [
      'a temporary refusal',
      '451 4.3.0 later',
      'deferred',
      { code: 451, nextAttemptAtMs: FIRST_RETRY },
      ['delivery_delayed'],
    ],
    [
      'a daily limit',
      '550 5.4.5 Daily user sending limit exceeded',
      'deferred',
      { code: 550, nextAttemptAtMs: FIRST_RETRY },
      ['delivery_delayed'],
    ],
    [
      '421',
      CLOSING,
      'deferred',
      { code: 421, nextAttemptAtMs: FIRST_RETRY },
      ['delivery_delayed', 'in_doubt'],
    ],
    [
      'no answer to a dot',
      GO,
      'deferred',
      { code: 354, nextAttemptAtMs: FIRST_RETRY },
      ['delivery_delayed', 'in_doubt'],
    ],
  ])('%s decides for the accepted recipients alone, once: %s', (_, reply, status, detail, events) => {
    const envelope = applyEnvelope(
      fresh(4),
      [0, 1, 2, 3],
      verdictOf(OK, [OK, NO_SUCH_USER, GREYLISTED, OK], GO),
      at(NOW),
    );
    const atDot = applySending(envelope.progress, envelope.accepted, at(NOW));
    const step = applyFinalReply(atDot, envelope.accepted, replyOf(reply), at(NOW));
    expect(statuses(step.progress)).toEqual([status, 'failed', 'deferred', status]);
    expect(attempts(step.progress)).toEqual([1, 1, 1, 1]);
    expect(step.progress.deliveries[0]).toMatchObject({ relayId: 'rly_1', updatedAtMs: NOW, ...detail });
    expect(step.progress.deliveries[1]).toMatchObject({ code: 550, enhanced: '5.1.1' });
    expect(eventTypes(step.progress).slice(2)).toEqual(events);
    expect(lastEvent(step.progress)?.recipients).toEqual([0, 3]);
    expect(step.progress.possibleDuplicates).toBe(events.includes('in_doubt') ? 1 : 0);
    expect([...step.replyTexts]).toEqual([
      [0, reply],
      [3, reply],
    ]);
  });

  test('a reply about the relay changes nothing', () => {
    const before = sending(2);
    const step = applyFinalReply(before, [0, 1], replyOf(LOGIN), at(NOW));
    expect(step.relayFault).toEqual(replyOf(LOGIN));
    expect(step.progress).toEqual(before);
  });

  test('a 421 after the last moment ends the message, and the doubt is counted all the same', () => {
    const { progress } = applyFinalReply(sending(1, EXPIRED), [0], replyOf(CLOSING), at(EXPIRED));
    expect(progress).toMatchObject({ deliveries: [{ status: 'expired' }], possibleDuplicates: 1 });
    expect(eventTypes(progress)).toEqual(['expired', 'in_doubt']);
  });

  test('a doubt after a doubt is counted again', () => {
    let progress = inDoubt(1);
    progress = applySending(progress, [0], at(NOW));
    progress = applyFinalReply(progress, [0], replyOf(CLOSING), at(NOW)).progress;
    progress = applyDoubt(applySending(progress, [0], at(NOW)), [0], 'hold', at(NOW)).progress;
    expect(progress.possibleDuplicates).toBe(3);
    expect(attempts(progress)).toEqual([3]);
  });

  test('a delivered message is settled, doubts or not', () => {
    const progress = applyFinalReply(
      applySending(inDoubt(1), [0], at(NOW)),
      [0],
      replyOf(OK),
      at(NOW),
    ).progress;
    expect(progress).toMatchObject({
      deliveries: [{ status: 'delivered', attempts: 2 }],
      possibleDuplicates: 1,
    });
    expect(nextDueAt(progress)).toBeUndefined();
  });
});

describe('a doubt that is held', () => {
  const held = applyDoubt(sending(2), [0, 1], 'hold', at(NOW)).progress;
  const LATER = NOW + 1_000;

  test.each<['delivered' | 'resend' | 'drop', string, number | undefined]>([
    ['delivered', 'delivered', undefined],
    ['resend', 'in_doubt', LATER],
    ['drop', 'canceled', undefined],
  ])('can be ended by the customer, for one recipient: %s', (resolution, status, nextAttemptAtMs) => {
    const progress = applyResolution(held, 1, resolution, LATER);
    expect(progress?.deliveries[0]).toBe(held.deliveries[0]);
    expect(progress?.deliveries[1]).toMatchObject({
      status,
      attempts: 1,
      reason: 'resolved',
      updatedAtMs: LATER,
    });
    expect(progress?.deliveries[1]?.nextAttemptAtMs).toBe(nextAttemptAtMs);
    expect(progress?.timeline.at(-1)).toEqual({
      type: 'resolved',
      atMs: LATER,
      recipients: [1],
      reason: resolution,
    });
    expect(progress?.possibleDuplicates).toBe(1);
  });

  test.each<[string, Progress]>([
    ['is planned for a copy', inDoubt(1)],
    ['is queued', fresh(1)],
    ['is being sent', sending(1)],
    ['is delivered', applyFinalReply(sending(1), [0], replyOf(OK), at(NOW)).progress],
    ['is of nobody', fresh(0)],
  ])('is not there where the message %s', (_, progress) => {
    expect(applyResolution(progress, 0, 'drop', LATER)).toBeUndefined();
  });
});
