/** What may have arrived is not called failed or expired because a later copy of it was refused. */
import { describe, expect, test } from 'vitest';
import { applyResolution } from '../../src/delivery/ending.ts';
import {
  applyEnvelope,
  applyFaultBeforeDot,
  applyFinalReply,
  applySending,
} from '../../src/delivery/outcome.ts';
import type { Progress } from '../../src/delivery/progress.ts';
import {
  at,
  CLOSING,
  EXPIRED,
  eventTypes,
  GREYLISTED,
  inDoubt,
  NO_SUCH_USER,
  NOW,
  OK,
  SPAM,
  sending,
  statuses,
  verdictOf,
} from './outcome-fixtures.ts';
import { replyOf } from './reply-of.ts';

const BUSY = '450 4.2.0 busy';
const FULL = '552 5.2.2 mailbox full';

/** The second copy of a message that is in doubt, at its dot. */
const secondCopy = (count: number, nowMs = NOW): Progress => applySending(inDoubt(count), [0], at(nowMs));

describe('the second copy of what is in doubt', () => {
  test.each([
    [BUSY, NOW, 'in_doubt', true],
    [GREYLISTED, NOW, 'in_doubt', true],
    [BUSY, EXPIRED, 'in_doubt', false],
    [SPAM, NOW, 'in_doubt', false],
    ['250 2.0.0 Queued', NOW, 'delivered', false],
  ])('that gets %s to its dot (at %d) ends as %s', (reply, nowMs, status, isPlanned) => {
    const { progress } = applyFinalReply(secondCopy(1, nowMs), [0], replyOf(reply), at(nowMs));
    expect(statuses(progress)).toEqual([status]);
    expect(progress.deliveries[0]?.nextAttemptAtMs !== undefined).toBe(isPlanned);
    expect(progress.possibleDuplicates).toBe(1);
    expect(eventTypes(progress).filter((type) => type === 'expired' || type === 'failed')).toEqual([]);
  });

  test.each([
    [NO_SUCH_USER, 'failed', 'no_such_mailbox', ['in_doubt', 'bounced']],
    [FULL, 'in_doubt', 'refused_after_doubt', ['in_doubt']],
  ])('that gets %s to its RCPT ends as %s', (reply, status, reason, events) => {
    const { progress } = applyEnvelope(inDoubt(1), [0], verdictOf(OK, [reply]), at(NOW));
    expect(progress.deliveries).toMatchObject([{ status, reason, code: replyOf(reply).code }]);
    expect(progress.deliveries[0]?.nextAttemptAtMs).toBeUndefined();
    expect(eventTypes(progress)).toEqual(events);
  });

  test('that is refused fails those who have nothing in doubt, and no other', () => {
    // The first copy went to one of the two: the other had been too many.
    const before = {
      ...inDoubt(2),
      timeline: inDoubt(2).timeline.map((event) => ({ ...event, recipients: [0] })),
    };
    const again = applySending(before, [0, 1], at(NOW));
    const { progress, replyTexts } = applyFinalReply(again, [0, 1], replyOf(SPAM), at(NOW));
    expect(statuses(progress)).toEqual(['in_doubt', 'failed']);
    expect(progress.timeline.at(-1)).toMatchObject({ type: 'failed', recipients: [1] });
    expect([...replyTexts.keys()]).toEqual([0, 1]);
  });

  test('that never left expires into the doubt that was there before', () => {
    const { progress } = applyFaultBeforeDot(secondCopy(1, EXPIRED), [0], 'dot_closed', at(EXPIRED));
    expect(statuses(progress)).toEqual(['in_doubt']);
    expect(eventTypes(progress)).toEqual(['in_doubt']);
  });

  test('and was refused is for the customer to end', () => {
    const { progress } = applyFinalReply(secondCopy(1), [0], replyOf(SPAM), at(NOW));
    expect(applyResolution(progress, 0, 'drop', NOW)?.deliveries).toMatchObject([{ status: 'canceled' }]);
    expect(applyResolution(progress, 0, 'resend', NOW)?.deliveries).toMatchObject([
      { status: 'in_doubt', nextAttemptAtMs: NOW },
    ]);
  });
});

test('a 421 to the dot is an answer: what was refused by it, and then for good, has failed', () => {
  const closing = applyFinalReply(sending(1), [0], replyOf(CLOSING), at(NOW)).progress;
  const { progress } = applyFinalReply(applySending(closing, [0], at(NOW)), [0], replyOf(SPAM), at(NOW));
  expect(statuses(progress)).toEqual(['failed']);
});
