/**
 * What is the case, whatever our code believes: the copies that the server stored, what it answered, what of it we
 * read, and so what each recipient's state has to be.
 */
import type { AttemptContext } from '../../src/delivery/attempt.ts';
import type { Said } from './replies.ts';

export const RETRY = { firstMs: 60_000, maxMs: 3_600_000, forMs: 36_000_000 };
export const ACCEPTED_AT = 1_000_000_000_000;

export type End = 'delivered' | 'failed' | 'expired' | 'canceled';

export interface Recipient {
  state: 'open' | 'held' | End;
  attempts: number;
  /** A verdict was lost: that copy may have arrived. */
  isDoubted: boolean;
  copies: number;
  /** A copy was stored, and we read its 250. */
  isAnswered: boolean;
  /** The customer said that it arrived. */
  isVouchedFor: boolean;
}

export class World {
  nowMs = ACCEPTED_AT;
  station: 'rest' | 'taken' | 'body' | 'dot recorded' | 'dot sent' = 'rest';
  recipients: readonly Recipient[];
  /** As they were before the envelope: its verdicts become durable with the record of the dot. */
  beforeEnvelope: readonly Recipient[] | undefined;
  doubts = 0;
  offered: readonly number[] = [];
  accepted: readonly number[] = [];
  /** A verdict was lost by a crash, and is still to be recorded. */
  isVerdictLost = false;

  constructor(count: number) {
    this.recipients = Array.from({ length: count }, () => ({
      state: 'open',
      attempts: 0,
      isDoubted: false,
      copies: 0,
      isAnswered: false,
      isVouchedFor: false,
    }));
  }

  context(random: number, hasAlternative: boolean): AttemptContext {
    return {
      relayId: 'rly_1',
      acceptedAtMs: ACCEPTED_AT,
      nowMs: this.nowMs,
      random,
      retry: RETRY,
      hasAlternative,
    };
  }

  get isOver(): boolean {
    return this.nowMs >= ACCEPTED_AT + RETRY.forMs;
  }

  open(): number[] {
    return this.recipients.flatMap(({ state }, index) => (state === 'open' ? [index] : []));
  }

  held(): number[] {
    return this.recipients.flatMap(({ state }, index) => (state === 'held' ? [index] : []));
  }

  of(index: number): Recipient {
    const recipient = this.recipients[index];
    if (!recipient) throw new Error('no such recipient');
    return recipient;
  }

  /** What is on record. */
  get onRecord(): readonly Recipient[] {
    return this.beforeEnvelope ?? this.recipients;
  }

  startEnvelope(): void {
    this.beforeEnvelope = this.recipients.map((recipient) => ({ ...recipient }));
  }

  keepEnvelope(): void {
    this.beforeEnvelope = undefined;
  }

  forgetEnvelope(): void {
    this.recipients = this.onRecord;
    this.beforeEnvelope = undefined;
    this.rest();
  }

  /** The server's word on some recipients, or the loss of the connection to it, before the dot. */
  judge(indexes: readonly number[], means: Said['means'] | 'lost'): void {
    for (const index of indexes) {
      const recipient = this.of(index);
      if (means === 'yes' || means === 'relay') continue;
      recipient.attempts++;
      if (means === 'never' || means === 'gone') this.refuse(recipient, means);
      else if (this.isOver) recipient.state = recipient.isDoubted ? 'held' : 'expired';
    }
  }

  /** The dot may leave from now on: the attempt counts. */
  recordDot(): void {
    this.station = 'dot recorded';
    for (const index of this.accepted) this.of(index).attempts++;
  }

  store(): void {
    for (const index of this.accepted) this.of(index).copies++;
  }

  judgeFinal(means: Said['means'] | 'lost'): void {
    for (const index of this.accepted) {
      const recipient = this.of(index);
      if (means === 'yes') {
        recipient.isAnswered = true;
        this.endAs(recipient, 'delivered');
      } else if (means === 'never' || means === 'gone') this.refuse(recipient, means);
      else if (means !== 'relay' && this.isOver) recipient.state = recipient.isDoubted ? 'held' : 'expired';
    }
    this.rest();
  }

  loseVerdict(policy: 'retry' | 'hold'): void {
    this.doubts++;
    for (const index of this.accepted) {
      this.of(index).isDoubted = true;
      if (policy === 'hold' || this.isOver) this.of(index).state = 'held';
    }
    this.isVerdictLost = false;
    this.rest();
  }

  /** Nothing of it can be sent, or its time is over: what is in doubt is held, the rest ends. */
  endOpen(as: End): void {
    for (const index of this.open()) {
      const recipient = this.of(index);
      if (recipient.isDoubted) recipient.state = 'held';
      else this.endAs(recipient, as);
    }
    this.rest();
  }

  /** A refused copy says nothing of the one before it, unless there is no such mailbox. */
  refuse(recipient: Recipient, means: 'never' | 'gone'): void {
    if (recipient.isDoubted && means === 'never') recipient.state = 'held';
    else this.endAs(recipient, 'failed');
  }

  endAs(recipient: Recipient, end: End): void {
    recipient.state = end;
    recipient.isDoubted = false;
  }

  rest(): void {
    this.station = 'rest';
    if (!this.isVerdictLost) {
      this.offered = [];
      this.accepted = [];
    }
  }
}
