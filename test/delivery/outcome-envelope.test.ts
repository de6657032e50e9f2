import { describe, expect, test } from 'vitest';
import { applyEnvelope } from '../../src/delivery/outcome.ts';
import { nextDueAt } from '../../src/delivery/progress.ts';
import type { EnvelopeVerdict } from '../../src/smtp/types.ts';
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
  LOGIN,
  NO_SUCH_USER,
  NOW,
  OK,
  SPAM,
  statuses,
  verdictOf,
} from './outcome-fixtures.ts';
import { replyOf } from './reply-of.ts';

describe('after the envelope', () => {
  test('each recipient has the outcome that its own reply says', () => {
    const step = applyEnvelope(
      fresh(3),
      [0, 1, 2],
      verdictOf(OK, [OK, NO_SUCH_USER, GREYLISTED], GO),
      at(NOW),
    );
    expect(step.accepted).toEqual([0]);
    expect(step.progress.deliveries).toEqual([
      { status: 'queued', attempts: 0, updatedAtMs: ACCEPTED_AT },
      {
        status: 'failed',
        attempts: 1,
        relayId: 'rly_1',
        code: 550,
        enhanced: '5.1.1',
        reason: 'no_such_mailbox',
        updatedAtMs: NOW,
      },
      {
        status: 'deferred',
        attempts: 1,
        relayId: 'rly_1',
        code: 450,
        enhanced: '4.7.1',
        updatedAtMs: NOW,
        nextAttemptAtMs: FIRST_RETRY,
      },
    ]);
    expect(step.progress.timeline.slice(1)).toEqual([
      {
        type: 'bounced',
        atMs: NOW,
        recipients: [1],
        relayId: 'rly_1',
        code: 550,
        enhanced: '5.1.1',
        reason: 'no_such_mailbox',
      },
      {
        type: 'delivery_delayed',
        atMs: NOW,
        recipients: [2],
        relayId: 'rly_1',
        code: 450,
        enhanced: '4.7.1',
      },
    ]);
    expect([...step.replyTexts]).toEqual([
      [1, NO_SUCH_USER],
      [2, GREYLISTED],
    ]);
    expect(step.relayFault).toBeUndefined();
  });

  test.each<[string, string[], string, string[], string[]]>([
    [
      'all do not exist',
      [NO_SUCH_USER, NO_SUCH_USER],
      '554 5.5.1 Error: no valid recipients',
      ['failed', 'failed'],
      ['bounced', 'bounced'],
    ],
    [
      'one is refused and one delayed',
      [NO_SUCH_USER, GREYLISTED],
      '503 no',
      ['failed', 'deferred'],
      ['bounced', 'delivery_delayed'],
    ],
    [
      'one is refused by policy',
      [SPAM, GREYLISTED],
      '503 no',
      ['failed', 'deferred'],
      ['failed', 'delivery_delayed'],
    ],
    [
      'there are too many',
      [GREYLISTED, '452 4.5.3 Error: too many recipients'],
      '503 no',
      ['deferred', 'deferred'],
      ['delivery_delayed', 'delivery_delayed'],
    ],
    [
      'the server goes away',
      [CLOSING, CLOSING],
      CLOSING,
      ['deferred', 'deferred'],
      ['delivery_delayed', 'delivery_delayed'],
    ],
  ])('no one goes into a body where %s', (_, recipients, data, expected, events) => {
    const step = applyEnvelope(fresh(2), [0, 1], verdictOf(OK, recipients, data), at(NOW));
    expect(step.accepted).toEqual([]);
    expect(statuses(step.progress)).toEqual(expected);
    expect(attempts(step.progress)).toEqual([1, 1]);
    expect(eventTypes(step.progress)).toEqual(events);
  });

  test.each<[string, string, string, object]>([
    [
      'a refused sender fails',
      '553 5.7.1 Sender address rejected: not owned by user',
      'failed',
      { code: 553 },
    ],
    ['a message that is too large fails', '552 5.3.4 Message too big', 'failed', { code: 552 }],
    [
      'a full disk delays',
      '452 4.3.1 Insufficient system storage',
      'deferred',
      { code: 452, nextAttemptAtMs: FIRST_RETRY },
    ],
    [
      'a daily limit delays',
      '550 5.4.5 Daily user sending limit exceeded',
      'deferred',
      { code: 550, nextAttemptAtMs: FIRST_RETRY },
    ],
    ['a 421 delays', CLOSING, 'deferred', { code: 421, nextAttemptAtMs: FIRST_RETRY }],
    ['a 334 delays', '334 what', 'deferred', { code: 334, nextAttemptAtMs: FIRST_RETRY }],
  ])('at MAIL, %s all recipients: %s', (_, mail, status, detail) => {
    const step = applyEnvelope(fresh(2), [0, 1], verdictOf(mail), at(NOW));
    expect(step.accepted).toEqual([]);
    for (const delivery of step.progress.deliveries) {
      expect(delivery).toMatchObject({ status, attempts: 1, relayId: 'rly_1', ...detail });
    }
    expect(eventTypes(step.progress)).toEqual([status === 'failed' ? 'failed' : 'delivery_delayed']);
    expect([...step.replyTexts.values()]).toEqual([mail, mail]);
  });

  test.each<[string, string, string, string | undefined]>([
    ['a permanent refusal fails', '554 5.6.0 No', 'failed', undefined],
    ['a policy refusal fails', '550 5.7.1 Rejected', 'failed', 'policy'],
    ['a temporary refusal delays', '451 4.3.0 queue file write error', 'deferred', undefined],
    ['a 421 delays', CLOSING, 'deferred', undefined],
    ['a 250 delays', '250 2.0.0 Ok', 'deferred', undefined],
  ])(
    'at DATA, %s those who were accepted, and the others keep their verdicts: %s',
    (_, data, status, reason) => {
      const verdict = verdictOf(OK, [OK, NO_SUCH_USER, OK, GREYLISTED], data);
      const step = applyEnvelope(fresh(4), [0, 1, 2, 3], verdict, at(NOW));
      expect(step.accepted).toEqual([]);
      expect(statuses(step.progress)).toEqual([status, 'failed', status, 'deferred']);
      expect(attempts(step.progress)).toEqual([1, 1, 1, 1]);
      const [first, bounced] = step.progress.deliveries;
      expect(first?.reason).toBe(reason);
      expect(first?.code).toBe(Number(data.slice(0, 3)));
      expect(bounced).toMatchObject({ code: 550, reason: 'no_such_mailbox' });
      expect([...step.replyTexts].sort()).toEqual([
        [0, data],
        [1, NO_SUCH_USER],
        [2, data],
        [3, GREYLISTED],
      ]);
    },
  );

  test.each<[string, EnvelopeVerdict]>([
    ['MAIL', verdictOf(LOGIN)],
    ['RCPT', verdictOf(OK, [LOGIN, LOGIN], '503 no')],
    ['DATA', verdictOf(OK, [OK, OK], LOGIN)],
  ])('a reply to %s about the relay leaves every recipient as it was', (_, verdict) => {
    const before = fresh(2);
    const step = applyEnvelope(before, [0, 1], verdict, at(NOW));
    expect(step.relayFault).toEqual(replyOf(LOGIN));
    expect(step.accepted).toEqual([]);
    expect(step.progress).toEqual(before);
    expect([...step.replyTexts]).toEqual([]);
  });

  test('a reply about the relay is not lost among those about recipients', () => {
    const step = applyEnvelope(fresh(3), [0, 1, 2], verdictOf(OK, [OK, LOGIN, NO_SUCH_USER], GO), at(NOW));
    expect(step.relayFault).toEqual(replyOf(LOGIN));
  });

  test.each([
    '452 4.5.3 Error: too many recipients',
    '552 5.5.3 Too many recipients this session',
    '452 too many recipients',
    '552 Too many recipients',
  ])('those who are too many for one transaction stay as they were, for one of their own: %s', (tooMany) => {
    const before = fresh(3);
    const step = applyEnvelope(before, [0, 1, 2], verdictOf(OK, [OK, tooMany, NO_SUCH_USER], GO), at(NOW));
    expect(step.accepted).toEqual([0]);
    expect(step.progress.deliveries[1]).toBe(before.deliveries[1]);
    expect([...step.replyTexts.keys()]).toEqual([2]);
    expect(eventTypes(step.progress)).toEqual(['bounced']);
    const alone = applyEnvelope(fresh(2), [0, 1], verdictOf(OK, [tooMany, tooMany]), at(NOW));
    expect(statuses(alone.progress)).toEqual(['deferred', 'deferred']);
    expect(attempts(alone.progress)).toEqual([1, 1]);
  });

  test.each(['452 4.2.2 Mailbox full', '452 Insufficient system storage', '552 5.2.2 too many recipients'])(
    'a refusal that is about the recipient is not taken for one of too many: %s',
    (reply) => {
      const step = applyEnvelope(fresh(2), [0, 1], verdictOf(OK, [OK, reply], GO), at(NOW));
      expect(attempts(step.progress)).toEqual([0, 1]);
    },
  );

  test.each([
    ['longer than the schedule', '450 4.7.1 Greylisted, try again in 300 seconds', NOW + 300_000],
    ['beyond the expiry', '450 4.7.1 Greylisted, try again in 20 hours', EXPIRED],
    ['none', GREYLISTED, FIRST_RETRY],
  ])('the time that a server asks to wait is kept: %s', (_, reply, expected) => {
    const step = applyEnvelope(fresh(1), [0], verdictOf(OK, [reply]), at(NOW));
    expect(step.progress.deliveries[0]?.nextAttemptAtMs).toBe(expected);
  });

  test('a delay is none where another relay is there', () => {
    const context = { ...at(NOW), hasAlternative: true };
    const step = applyEnvelope(fresh(2), [0, 1], verdictOf(OK, [GREYLISTED, NO_SUCH_USER]), context);
    expect(step.progress.deliveries).toMatchObject([
      { status: 'deferred', attempts: 1, nextAttemptAtMs: NOW },
      { status: 'failed' },
    ]);
    expect(eventTypes(step.progress)).toEqual(['relay.failover', 'bounced']);
    const late = applyEnvelope(fresh(1), [0], verdictOf(OK, [GREYLISTED]), { ...context, nowMs: EXPIRED });
    expect(statuses(late.progress)).toEqual(['expired']);
  });

  test('a recipient without a reply is delayed', () => {
    const step = applyEnvelope(fresh(2), [0, 1], verdictOf(OK, [NO_SUCH_USER]), at(NOW));
    expect(step.progress.deliveries).toMatchObject([
      { status: 'failed' },
      { status: 'deferred', reason: 'no_reply', nextAttemptAtMs: FIRST_RETRY },
    ]);
  });

  test('an accepted recipient is delayed where DATA has no reply', () => {
    const step = applyEnvelope(fresh(1), [0], verdictOf(OK, [OK]), at(NOW));
    expect(step.accepted).toEqual([]);
    expect(step.progress.deliveries).toMatchObject([{ status: 'deferred', reason: 'no_reply', attempts: 1 }]);
  });

  test('replies belong to the recipients of this envelope, which may be few of the message', () => {
    const before = applyEnvelope(
      fresh(3),
      [0, 1, 2],
      verdictOf(OK, [NO_SUCH_USER, GREYLISTED, GREYLISTED]),
      at(NOW),
    );
    const later = applyEnvelope(
      before.progress,
      [1, 2],
      verdictOf(OK, [NO_SUCH_USER, OK], GO),
      at(NOW + 60_000),
    );
    expect(later.accepted).toEqual([2]);
    expect(statuses(later.progress)).toEqual(['failed', 'failed', 'deferred']);
    expect(attempts(later.progress)).toEqual([1, 2, 1]);
    expect(later.progress.deliveries[0]).toBe(before.progress.deliveries[0]);
  });

  test('a delay after the last moment is the end', () => {
    const step = applyEnvelope(fresh(2), [0, 1], verdictOf(OK, [GREYLISTED, NO_SUCH_USER]), at(EXPIRED));
    expect(statuses(step.progress)).toEqual(['expired', 'failed']);
    expect(step.progress.deliveries[0]).not.toHaveProperty('nextAttemptAtMs');
    expect(eventTypes(step.progress)).toEqual(['expired', 'bounced']);
    expect(nextDueAt(step.progress)).toBeUndefined();
  });

  test('a text that is too long is cut', () => {
    const step = applyEnvelope(fresh(1), [0], verdictOf(`550 5.1.1 ${'x'.repeat(1_500)}`), at(NOW));
    expect(step.replyTexts.get(0)).toHaveLength(500);
  });
});
