/**
 * One message, led by the pure functions the way `outbox/deliver.ts` and `outbox/dispatcher.ts` lead it. What is
 * durable and what only memory has are kept apart, so that a crash forgets just the latter.
 */
import type { AttemptContext } from '../../src/delivery/attempt.ts';
import {
  applyCancel,
  applyCopyDiffers,
  applyExpiry,
  applyRelayClosed,
  applyResolution,
  applyUnsendable,
} from '../../src/delivery/ending.ts';
import {
  applyDoubt,
  applyEnvelope,
  applyFaultBeforeDot,
  applyFinalReply,
  applySending,
  type EnvelopeStep,
} from '../../src/delivery/outcome.ts';
import { newProgress, openRecipients, type Progress } from '../../src/delivery/progress.ts';
import type { EnvelopeVerdict, Reply } from '../../src/smtp/types.ts';

export type Policy = 'retry' | 'hold';

export class MessageUnderTest {
  progress: Progress;
  /** The durable record of the dot. */
  dot: { recipients: readonly number[]; pending: boolean } | undefined;
  /** In memory: the recipients of this transaction, and what the envelope made of them. */
  private offered: readonly number[] = [];
  private envelope: EnvelopeStep | undefined;

  constructor(recipientCount: number, acceptedAtMs: number) {
    this.progress = newProgress(recipientCount, acceptedAtMs);
  }

  /** The recipients that go into the envelope; undefined where only a lost verdict had to be recorded. */
  take(policy: Policy, context: AttemptContext): readonly number[] | undefined {
    if (this.dot?.pending) {
      this.write(applyDoubt(this.progress, this.dot.recipients, policy, context).progress, false);
      return undefined;
    }
    this.offered = openRecipients(this.progress);
    return this.offered;
  }

  /** The recipients that the body goes to; empty where the transaction is over. */
  hear(verdict: EnvelopeVerdict, closed: { untilMs: number }, context: AttemptContext): readonly number[] {
    const step = applyEnvelope(this.progress, this.offered, verdict, context);
    if (step.relayFault) this.closeRelay({ ...closed, reply: step.relayFault }, context);
    else if (step.accepted.length === 0) this.write(step.progress, false);
    else this.envelope = step;
    return step.relayFault ? [] : step.accepted;
  }

  closeRelay(closed: { untilMs: number; reply?: Reply }, context: AttemptContext): void {
    this.write(
      applyRelayClosed(this.progress, { reason: 'relay_closed', ...closed }, context).progress,
      false,
    );
  }

  loseEnvelope(context: AttemptContext): void {
    this.write(applyFaultBeforeDot(this.progress, this.offered, 'mail_closed', context).progress, false);
  }

  loseBody(context: AttemptContext): void {
    const { envelope } = this;
    if (!envelope) throw new Error('no body is under way');
    this.write(
      applyFaultBeforeDot(envelope.progress, envelope.accepted, 'body_closed', context).progress,
      false,
    );
  }

  refuseToSend(differs: boolean, context: AttemptContext): void {
    const step = differs
      ? applyCopyDiffers(this.progress, context)
      : applyUnsendable(this.progress, 'too_large_for_relay', context);
    this.write(step.progress, false);
  }

  recordDot(context: AttemptContext): void {
    const { envelope } = this;
    if (!envelope) throw new Error('no body is under way');
    this.dot = { recipients: envelope.accepted, pending: true };
    this.progress = applySending(envelope.progress, envelope.accepted, context);
  }

  loseUnsentDot(context: AttemptContext): void {
    this.write(applyFaultBeforeDot(this.progress, this.accepted, 'dot_closed', context).progress, false);
  }

  hearFinal(reply: Reply, closed: { untilMs: number }, context: AttemptContext): void {
    const step = applyFinalReply(this.progress, this.accepted, reply, context);
    if (step.relayFault) this.closeRelay({ ...closed, reply }, context);
    else this.write(step.progress, step.progress.possibleDuplicates === 0);
  }

  loseVerdict(policy: Policy, context: AttemptContext): void {
    this.write(applyDoubt(this.progress, this.accepted, policy, context).progress, false);
  }

  forgetMemory(): void {
    this.offered = [];
    this.envelope = undefined;
  }

  expire(nowMs: number): void {
    this.progress = applyExpiry(this.progress, nowMs);
  }

  resolve(recipient: number, resolution: 'delivered' | 'resend' | 'drop', nowMs: number): boolean {
    const progress = applyResolution(this.progress, recipient, resolution, nowMs);
    if (progress) this.progress = progress;
    return progress !== undefined;
  }

  /** False where the dot may have left, or nothing is open. What the pump holds in memory is void then. */
  cancel(nowMs: number): boolean {
    const progress = this.dot?.pending ? undefined : applyCancel(this.progress, nowMs);
    if (!progress) return false;
    this.progress = progress;
    this.forgetMemory();
    return true;
  }

  private get accepted(): readonly number[] {
    return this.dot?.recipients ?? [];
  }

  private write(progress: Progress, isCertain: boolean): void {
    this.progress = progress;
    this.dot = this.dot && !isCertain ? { ...this.dot, pending: false } : undefined;
    this.forgetMemory();
  }
}
