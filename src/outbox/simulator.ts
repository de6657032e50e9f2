/**
 * Carries mail of test keys: composed, recorded and decided like any other, over a session that is simulated. It
 * knows no relay, no gate and no socket, and takes only from the queue that the pump never sees.
 */
import type { AttemptContext } from '../delivery/attempt.ts';
import { applyDoubt, applyFaultBeforeDot } from '../delivery/outcome.ts';
import { advance, openRecipients, startOf, type TimelineEvent } from '../delivery/progress.ts';
import { logError } from '../log.ts';
import { testOutcomeOf } from '../mime/test-address.ts';
import type { Decision } from './bookkeeper.ts';
import { type Desk, deliverOver } from './deliver.ts';
import type { LedgerItem } from './ledger/message-row.ts';
import { type MessageSummary, openSummary, recipientsOf } from './message-content.ts';
import { prepareMessage } from './prepare.ts';
import type { PumpContext } from './pump.ts';
import type { SendingState } from './sending-state.ts';
import { SIMULATOR_ID, simulatedSession } from './simulated-relay.ts';

export class Simulator {
  private readonly context: PumpContext;
  isRunning = false;

  constructor(context: PumpContext) {
    this.context = context;
  }

  /** There may be work. Returns at once. */
  kick(): void {
    const dueAtMs = this.context.ledger.tests.nextDueAt();
    if (this.isRunning || dueAtMs === undefined || dueAtMs > Date.now()) return;
    this.isRunning = true;
    void this.run();
  }

  private async run(): Promise<void> {
    const { ledger, accountId, onRest } = this.context;
    let item: LedgerItem | undefined;
    try {
      for (item = ledger.tests.take(Date.now()); item; item = ledger.tests.take(Date.now())) {
        const sending = await this.context.state.read();
        if (!sending.active) break;
        await this.carry(item, sending);
        ledger.tests.release(item);
      }
    } catch (error) {
      logError('simulator_failed', error, { account_id: accountId });
    }
    if (item) ledger.tests.release(item);
    this.isRunning = false;
    onRest();
  }

  private async carry(item: LedgerItem, sending: SendingState): Promise<void> {
    const { accountId, ledger, books } = this.context;
    const { keys } = sending;
    const dot = item.dot ? { dot: { ...item.dot, pending: false } } : {};
    let summary: MessageSummary | undefined;
    try {
      summary = openSummary(keys, { accountId, id: item.id }, item.summary);
      const policy = summary.inDoubtPolicy ?? sending.inDoubtPolicy;
      if (item.dot?.pending) {
        // Found at its dot after a restart.
        const step = applyDoubt(item.progress, item.dot.recipients, policy, this.contextOf(item));
        await books.commit([{ item, step, ...dot }]);
        return;
      }
      const message = await prepareMessage(ledger.messages, item, summary, { accountId, keys });
      const outcomes = outcomesOf(item, summary);
      const session = simulatedSession(message.recipients.flatMap((index) => outcomes[index] ?? []));
      let waiting: typeof message | undefined = message;
      await deliverOver(session, {
        ...this.deskFor(outcomes),
        next: async () => {
          const next = waiting;
          waiting = undefined;
          return next;
        },
        isTooOld: () => waiting === undefined,
        policyOf: () => policy,
      });
    } catch (error) {
      if (!ledger.tests.isRevoked(item.id))
        logError('message_unreadable', error, { account_id: accountId, message_id: item.id });
      const open = openRecipients(item.progress);
      const step = applyFaultBeforeDot(item.progress, open, 'content_unreadable', this.contextOf(item));
      await books.commit([{ item, step, ...dot }]);
    }
  }

  private deskFor(outcomes: readonly { outcome: string }[]): Omit<Desk, 'next' | 'isTooOld' | 'policyOf'> {
    const { ledger, books, state } = this.context;
    return {
      relayId: SIMULATOR_ID,
      waitForWork: async () => {},
      maySend: async () => (await state.read()).active,
      commit: (decisions) => books.commit(decisions.map((decision) => withComplaints(decision, outcomes))),
      release: (item) => ledger.tests.release(item),
      isRevoked: (item) => ledger.tests.isRevoked(item.id),
      closeRelay: () => ({ untilMs: Date.now(), failover: false }),
      contextOf: (item) => this.contextOf(item),
      countDelivered: () => {},
    };
  }

  private contextOf(item: LedgerItem): AttemptContext {
    const { RETRY_FIRST_MS, RETRY_MAX_MS, RETRY_FOR_MS } = this.context.settings;
    return {
      relayId: SIMULATOR_ID,
      acceptedAtMs: startOf(item.progress, item.acceptedAtMs),
      nowMs: Date.now(),
      random: Math.random(),
      retry: { firstMs: RETRY_FIRST_MS, maxMs: RETRY_MAX_MS, forMs: RETRY_FOR_MS },
    };
  }
}

/** By delivery. */
function outcomesOf({ progress }: LedgerItem, summary: MessageSummary) {
  return recipientsOf(summary).map((mailbox, index) => ({
    outcome: testOutcomeOf(mailbox),
    attempts: progress.deliveries[index]?.attempts ?? 0,
  }));
}

/** Whoever complains does so as soon as the mail is there. */
function withComplaints(decision: Decision, outcomes: readonly { outcome: string }[]): Decision {
  const { item, step } = decision;
  const recipients = step.progress.deliveries.flatMap(({ status }, index) => {
    const isNew = status === 'delivered' && item.progress.deliveries[index]?.status !== 'delivered';
    return isNew && outcomes[index]?.outcome === 'complained' ? [index] : [];
  });
  if (recipients.length === 0) return decision;
  const event: TimelineEvent = { type: 'complained', atMs: Date.now(), recipients, relayId: SIMULATOR_ID };
  return { ...decision, step: { ...step, progress: advance(step.progress, new Map(), [event]) } };
}
