/** Messages led through random faults the way the pump does it: only open recipients, never before they are due. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AttemptContext } from '../../src/delivery/attempt.ts';
import { applyExpiry, applyRelayClosed, applyUnsendable } from '../../src/delivery/ending.ts';
import {
  applyDoubt,
  applyEnvelope,
  applyFaultBeforeDot,
  applyFinalReply,
  applySending,
} from '../../src/delivery/outcome.ts';
import {
  isOpen,
  newProgress,
  nextDueAt,
  openRecipients,
  type Progress,
} from '../../src/delivery/progress.ts';
import type { Reply } from '../../src/smtp/types.ts';
import { replyOf } from './reply-of.ts';

const RETRY = { firstMs: 60_000, maxMs: 14_400_000, forMs: 345_600_000 };
const ENDED = ['delivered', 'failed', 'expired', 'suppressed', 'canceled'];

const someReply = fc.constantFrom<Reply[]>(
  replyOf('250 2.0.0 Ok'),
  replyOf('250 2.0.0 Ok'),
  replyOf('550 5.1.1 User unknown'),
  replyOf('552 5.2.2 Mailbox full'),
  replyOf('450 4.2.1 Busy'),
  replyOf('452 4.5.3 Too many recipients'),
  replyOf('554 5.7.1 Spam'),
  replyOf('550 5.4.5 Daily user sending limit exceeded'),
  replyOf('421 4.3.2 Closing'),
  replyOf('530 5.7.0 Authentication required'),
  replyOf('354 Go ahead'),
);
const recipientCount = fc.integer({ min: 1, max: 5 });
const someStep = fc.record({
  kind: fc.constantFrom('attempt', 'attempt', 'attempt', 'attempt', 'connection', 'closed', 'unsendable'),
  mail: fc.oneof(
    { weight: 4, arbitrary: fc.constant(replyOf('250 2.1.0 Ok')) },
    { weight: 1, arbitrary: someReply },
  ),
  recipients: fc.array(someReply, { minLength: 5, maxLength: 5 }),
  data: fc.option(fc.oneof(fc.constant(replyOf('354 Go ahead')), someReply), { nil: undefined }),
  afterwards: fc.constantFrom('reply', 'reply', 'body', 'unsent', 'retry', 'hold'),
  final: someReply,
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  pauseMs: fc.nat(86_400_000),
  hasAlternative: fc.boolean(),
});
type Step = typeof someStep extends fc.Arbitrary<infer S> ? S : never;

/** What one step made of a message: its progress, and what may be claimed about it. */
interface Led {
  readonly progress: Progress;
  readonly doubts: number;
  /** The recipients for whom an attempt was made, and counts. */
  readonly attempted: readonly number[];
}

function lead(progress: Progress, step: Step, context: AttemptContext): Led {
  const open = openRecipients(progress);
  const led = (next: { progress: Progress }, attempted: readonly number[], doubts = 0): Led => ({
    progress: next.progress,
    attempted,
    doubts,
  });
  const closed = (before: Progress, attempted: readonly number[] = [], reply?: Reply) =>
    led(
      applyRelayClosed(before, { reason: 'closed', reply, untilMs: context.nowMs + 900_000 }, context),
      attempted,
    );
  if (step.kind === 'connection')
    return led(applyFaultBeforeDot(progress, open, 'mail_closed', context), open);
  if (step.kind === 'closed') return closed(progress);
  if (step.kind === 'unsendable') return led(applyUnsendable(progress, 'too_large_for_relay', context), []);

  const recipients = step.recipients.slice(0, open.length);
  const isAnyAccepted = recipients.some(({ code }) => code === 250);
  const ready = step.data?.code === 354 && isAnyAccepted;
  const envelope = applyEnvelope(
    progress,
    open,
    { mail: step.mail, recipients, data: step.data, ready },
    context,
  );
  if (envelope.relayFault) return closed(progress, [], envelope.relayFault);
  // Those who were too many for this transaction have had no attempt.
  const attempted = open.filter(
    (_, position) => step.mail.code !== 250 || !isAnyAccepted || recipients[position]?.code !== 452,
  );
  const { accepted } = envelope;
  if (accepted.length === 0) return led(envelope, attempted);
  if (step.afterwards === 'body') {
    return led(applyFaultBeforeDot(envelope.progress, accepted, 'body_broken', context), attempted);
  }
  const atDot = applySending(envelope.progress, accepted, context);
  if (step.afterwards === 'unsent') {
    return led(applyFaultBeforeDot(atDot, accepted, 'dot_closed', context), attempted);
  }
  if (step.afterwards !== 'reply') {
    return led(applyDoubt(atDot, accepted, step.afterwards, context), attempted, 1);
  }
  const final = applyFinalReply(atDot, accepted, step.final, context);
  if (final.relayFault) return closed(atDot, attempted, final.relayFault);
  return led(final, attempted, [421, 354].includes(step.final.code) ? 1 : 0);
}

function expectLegal(before: Progress, { progress, attempted, doubts }: Led): void {
  before.deliveries.forEach((delivery, index) => {
    const after = progress.deliveries[index];
    if (ENDED.includes(delivery.status) || !isOpen(delivery)) expect(after).toBe(delivery);
    expect(after?.attempts).toBe(delivery.attempts + (attempted.includes(index) ? 1 : 0));
    expect(after?.status).not.toBe('sending');
  });
  expect(progress.possibleDuplicates).toBe(before.possibleDuplicates + doubts);
  const times = progress.timeline.map(({ atMs }) => atMs);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(times.length).toBeLessThanOrEqual(200);
  expect(progress.timeline[0]?.type).toBe('queued');
  for (const event of progress.timeline.slice(1)) expect(event.recipients).not.toEqual([]);
}

test('whatever happens to a message, each recipient ends once, attempts and doubts are counted, and the timeline is in order', () => {
  fc.assert(
    fc.property(
      recipientCount,
      fc.array(someStep, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 2 ** 41 }),
      (count, steps, acceptedAtMs) => {
        let progress = newProgress(count, acceptedAtMs);
        let nowMs = acceptedAtMs;
        for (const step of steps) {
          const dueAtMs = nextDueAt(progress);
          if (dueAtMs === undefined) break;
          nowMs = Math.max(nowMs, dueAtMs) + step.pauseMs;
          const { random, hasAlternative } = step;
          const context = { relayId: 'rly_1', acceptedAtMs, nowMs, random, retry: RETRY, hasAlternative };
          const led = lead(progress, step, context);
          expectLegal(progress, led);
          progress = led.progress;
        }
        const end = applyExpiry(progress, nowMs);
        for (const [index, delivery] of end.deliveries.entries()) {
          const before = progress.deliveries[index];
          if (before && !isOpen(before)) expect(delivery).toBe(before);
          if (delivery.status === 'in_doubt') expect(delivery.nextAttemptAtMs).toBeUndefined();
          else expect(ENDED).toContain(delivery.status);
        }
        const doubts = end.timeline.filter(({ type }) => type === 'in_doubt').length;
        expect(end.possibleDuplicates).toBe(doubts);
      },
    ),
    { numRuns: 500, endOnFailure: true },
  );
});

test('a message that only meets temporary faults expires by itself, with its last attempt at the last moment', () => {
  const someDelay = someStep.map((step) => ({
    ...step,
    kind: 'attempt' as const,
    mail: replyOf('250 2.1.0 Ok'),
    recipients: step.recipients.map(() => replyOf('450 4.2.1 Busy')),
    pauseMs: 0,
  }));
  fc.assert(
    fc.property(recipientCount, fc.infiniteStream(someDelay), (count, steps) => {
      let progress = newProgress(count, 0);
      let nowMs = 0;
      let rounds = 0;
      for (const step of steps) {
        const dueAtMs = nextDueAt(progress);
        if (dueAtMs === undefined) break;
        expect(dueAtMs === 0 || dueAtMs > nowMs).toBe(true);
        nowMs = dueAtMs;
        progress = lead(progress, step, {
          relayId: 'rly_1',
          acceptedAtMs: 0,
          nowMs,
          random: step.random,
          retry: RETRY,
        }).progress;
        rounds++;
      }
      expect(nowMs).toBe(RETRY.forMs);
      expect(rounds).toBeLessThan(50);
      for (const { status, attempts } of progress.deliveries) {
        expect({ status, attempts }).toEqual({ status: 'expired', attempts: rounds });
      }
    }),
    { numRuns: 20 },
  );
});
