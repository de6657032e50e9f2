/**
 * Carries messages over one SMTP session. The order of things is what makes a loss or a silent second copy
 * impossible, and a message cost one round trip:
 *
 * 1. one write: the final dot of the previous message, and MAIL/RCPT/DATA of this one;
 * 2. the body, but not its end;
 * 3. one commit, synced: the verdict on the previous message, and the record that this one is at its dot;
 * 4. back to 1, whose write now carries this message's dot.
 *
 * So a dot never leaves before its record is durable, and there is one sync a message. The account's status
 * and its suppressions are checked before MAIL and again before the dot, and so is cancellation; a message that may
 * not be sent any more after its 354 is stopped by dropping the connection. The record of the dot is what decides:
 * it is not written for a message that was taken back, and once it is written, nothing can be taken back.
 */

import type { AttemptContext } from '../delivery/attempt.ts';
import { isPositive } from '../delivery/classify-reply.ts';
import { applyCopyDiffers, applyRelayClosed, applyUnsendable } from '../delivery/ending.ts';
import {
  applyDoubt,
  applyEnvelope,
  applyFaultBeforeDot,
  applyFinalReply,
  applySending,
} from '../delivery/outcome.ts';
import type { Reply, SmtpSession, Transaction } from '../smtp/types.ts';
import { SmtpFault } from '../smtp/types.ts';
import type { Decision } from './bookkeeper.ts';
import type { RelayCause } from './dispatcher.ts';
import type { DotRecord, LedgerItem } from './ledger/message-row.ts';
import type { PreparedMessage } from './prepare.ts';

/** What the pump lends to a session: work, the ledger, and the clock. */
export interface Desk {
  readonly relayId: string;
  /** The next message for this relay, composed; undefined where there is none. Throws nothing. */
  next(): Promise<PreparedMessage | undefined>;
  /** Resolves when there may be work, or after the idle time, or when the session ended. */
  waitForWork(session: SmtpSession): Promise<void>;
  /** False once the account may not send, or not to these recipients, or where that cannot be found out. */
  maySend(item: LedgerItem): Promise<boolean>;
  /** Resolves once the decisions are durable. */
  commit(decisions: readonly Decision[]): Promise<readonly LedgerItem[]>;
  release(item: LedgerItem): void;
  /** True once the customer took the message back. Then `commit` leaves it as it is, without a dot. */
  isRevoked(item: LedgerItem): boolean;
  /** Closes the relay for a while. Says when, and whether elsewhere, the message may be tried again. */
  closeRelay(item: LedgerItem, cause: RelayCause): { untilMs: number; failover: boolean };
  contextOf(item: LedgerItem): AttemptContext;
  /** What becomes of this message if it falls into doubt. */
  policyOf(item: LedgerItem): 'retry' | 'hold';
  countDelivered(): void;
  /** True once the session has lived long enough: it finishes what it has, and takes nothing new. */
  isTooOld(): boolean;
}

/** A message whose dot was queued, and whose verdict is awaited. */
interface AtDot {
  readonly item: LedgerItem;
  readonly accepted: readonly number[];
  readonly transaction: Transaction;
  readonly reply: Promise<Reply | SmtpFault>;
}

/** Postfix keeps a transaction open whose dot it refused by a restriction: the next message gets a fresh session. */
const OUT_OF_STEP = 503;

/** Returns when the session has ended, or there was nothing to do for its idle time. Throws only what is a bug. */
export async function deliverOver(session: SmtpSession, desk: Desk): Promise<void> {
  let current = await nextOrWait(session, desk);
  let previous: AtDot | undefined;
  let isFirst = true;
  while (current || previous) {
    if (current && desk.isRevoked(current.item)) {
      desk.release(current.item);
      current = await desk.next();
      if (!current && !previous) current = await nextOrWait(session, desk);
      continue;
    }
    const unsendable = current && unsendableReason(current, session);
    if (current && unsendable) {
      const { item } = current;
      const step = applyUnsendable(item.progress, unsendable, desk.contextOf(item));
      await desk.commit([{ item, step, ...keptDot(item) }]);
      current = await desk.next();
      if (!current && !previous) current = await nextOrWait(session, desk);
      continue;
    }
    const transaction: Transaction | undefined = current && session.begin(current.envelope);
    const envelope = transaction && settled(transaction.envelope);
    session.flush();
    // Composed while the server thinks. A message that is streamed reads its own body only when it is its turn.
    const upcoming = current && !desk.isTooOld() ? desk.next() : undefined;
    const settledPrevious: Decision[] = previous ? [await decideFinal(previous, desk)] : [];
    previous = undefined;

    if (!current || !transaction || !envelope) {
      await desk.commit(settledPrevious);
    } else {
      previous = await sendBody(current, transaction, { envelope, settledPrevious, session, desk, isFirst });
      isFirst = false;
    }
    current = await upcoming;
    if (!previous && !session.alive) break;
    if (!previous && !current) current = await nextOrWait(session, desk);
  }
  if (current) desk.release(current.item);
  await session.quit();
}

/** What is due, or what comes within the session's idle time. */
async function nextOrWait(session: SmtpSession, desk: Desk): Promise<PreparedMessage | undefined> {
  if (!session.alive || desk.isTooOld()) return undefined;
  const message = await desk.next();
  if (message) return message;
  await desk.waitForWork(session);
  return session.alive && !desk.isTooOld() ? desk.next() : undefined;
}

/** Steps 1 to 3 for one message. Returns it at its dot, or undefined where it got no further. */
async function sendBody(
  message: PreparedMessage,
  transaction: Transaction,
  at: {
    envelope: Promise<Awaited<Transaction['envelope']> | SmtpFault>;
    settledPrevious: Decision[];
    session: SmtpSession;
    desk: Desk;
    isFirst: boolean;
  },
): Promise<AtDot | undefined> {
  const { session, desk, settledPrevious } = at;
  const { item } = message;
  const context = () => desk.contextOf(item);
  const verdict = await at.envelope;
  if (verdict instanceof SmtpFault) {
    // A connection that had carried mail before may simply have been closed while it idled: this message
    // gets a fresh one. The first message of a session takes the blame, so that none can be tried for ever.
    if (at.isFirst) {
      settledPrevious.push({
        item,
        step: applyFaultBeforeDot(item.progress, message.recipients, faultReason(verdict), context()),
        ...keptDot(item),
      });
    } else desk.release(item);
    await desk.commit(settledPrevious);
    return undefined;
  }
  if (verdict.mail.code === OUT_OF_STEP && !at.isFirst) {
    session.destroy();
    desk.release(item);
    await desk.commit(settledPrevious);
    return undefined;
  }
  const step = applyEnvelope(item.progress, message.recipients, verdict, context());
  if (step.relayFault) {
    session.destroy();
    const cause = { reason: 'relay_refused', reply: step.relayFault };
    const { untilMs, failover } = desk.closeRelay(item, cause);
    const waiting = applyRelayClosed(
      item.progress,
      { ...cause, untilMs },
      { ...context(), hasAlternative: failover },
    );
    await desk.commit([...settledPrevious, { item, step: waiting, ...keptDot(item) }]);
    return undefined;
  }
  if (step.accepted.length === 0) {
    await desk.commit([...settledPrevious, { item, step, ...keptDot(item) }]);
    return undefined;
  }
  // A long body must not keep the verdict on the message before it from being written down.
  if (message.streamed) await desk.commit(settledPrevious.splice(0));
  try {
    for await (const piece of message.body) await transaction.write(piece);
  } catch (error) {
    session.destroy();
    const reason = error instanceof SmtpFault ? faultReason(error) : 'content_unreadable';
    const delayed = applyFaultBeforeDot(step.progress, step.accepted, reason, context());
    const replyTexts = step.replyTexts;
    await desk.commit([...settledPrevious, { item, step: { ...delayed, replyTexts }, ...keptDot(item) }]);
    return undefined;
  }
  const sha256 = message.sha256();
  if (item.dot && item.dot.sha256 !== sha256) {
    // Not the copy whose fate is in doubt: sending it could deliver two different messages as one.
    session.destroy();
    await desk.commit([
      ...settledPrevious,
      { item, step: applyCopyDiffers(item.progress, context()), ...keptDot(item) },
    ]);
    return undefined;
  }
  if (desk.isRevoked(item) || !(await desk.maySend(item))) {
    session.destroy();
    await desk.commit(settledPrevious);
    desk.release(item);
    return undefined;
  }
  const progress = applySending(step.progress, step.accepted, context());
  const dot = { relayId: desk.relayId, recipients: step.accepted, sha256, pending: true };
  const written = await desk.commit([
    ...settledPrevious,
    { item, step: { progress, replyTexts: step.replyTexts }, dot },
  ]);
  const recorded = written.at(-1) ?? item;
  if (!recorded.dot?.pending) {
    // Taken back while the record was on its way.
    session.destroy();
    return undefined;
  }
  return {
    item: recorded,
    accepted: step.accepted,
    transaction,
    reply: settled(transaction.finish()),
  };
}

/** Step 1's answer for the message before. */
async function decideFinal(previous: AtDot, desk: Desk): Promise<Decision> {
  const { item, accepted, transaction } = previous;
  const reply = await previous.reply;
  // Past the dot there is no failover: another relay would make a second copy likely.
  const context = { ...desk.contextOf(item), hasAlternative: false };
  if (!(reply instanceof SmtpFault)) {
    if (isPositive(reply)) desk.countDelivered();
    const step = applyFinalReply(item.progress, accepted, reply, context);
    if (!step.relayFault)
      return { item, step, ...(step.progress.possibleDuplicates > 0 ? keptDot(item) : {}) };
    const cause = { reason: 'relay_refused', reply: step.relayFault };
    const { untilMs } = desk.closeRelay(item, cause);
    const kept = item.progress.possibleDuplicates > 0 ? keptDot(item) : {};
    return { item, step: applyRelayClosed(item.progress, { ...cause, untilMs }, context), ...kept };
  }
  if (!transaction.dotSent) {
    return {
      item,
      step: applyFaultBeforeDot(item.progress, accepted, faultReason(reply), context),
      ...keptDot(item),
    };
  }
  return { item, step: applyDoubt(item.progress, accepted, desk.policyOf(item), context), ...keptDot(item) };
}

/** The hash stays on record while a copy may exist, so that any other copy is the same. */
function keptDot(item: LedgerItem): { dot?: DotRecord } {
  return item.dot ? { dot: { ...item.dot, pending: false } } : {};
}

function unsendableReason({ envelope }: PreparedMessage, { capabilities }: SmtpSession): string | undefined {
  if (envelope.smtpUtf8 && !capabilities.smtpUtf8) return 'smtputf8_not_supported';
  if (envelope.eightBit && !capabilities.eightBitMime && !envelope.smtpUtf8) return 'eight_bit_not_supported';
  if (capabilities.size && envelope.sizeBytes > capabilities.size) return 'too_large_for_relay';
  return undefined;
}

export function faultReason(fault: SmtpFault): string {
  return `${fault.stage}_${fault.kind}`;
}

function settled<T>(promise: Promise<T>): Promise<T | SmtpFault> {
  return promise.catch((error: unknown) => {
    if (error instanceof SmtpFault) return error;
    throw error;
  });
}
