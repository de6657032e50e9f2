/**
 * The real `deliverOver` and the real ledger between a server that keeps copies and a process that may die at any
 * commit. Whatever happens: no dot without its record, no copy that is not accounted for, nobody written to after
 * the end, `delivered` only after a 250, and every copy that one recipient gets is the same.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Step } from '../../src/delivery/attempt.ts';
import { applyDoubt } from '../../src/delivery/outcome.ts';
import { isOpen, openRecipients } from '../../src/delivery/progress.ts';
import { newMessageIds } from '../../src/ids.ts';
import { type Desk, deliverOver } from '../../src/outbox/deliver.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { DotRecord, LedgerItem } from '../../src/outbox/ledger/message-row.ts';
import type { PreparedMessage } from '../../src/outbox/prepare.ts';
import type { Envelope } from '../../src/smtp/types.ts';
import { mostlyYes, TO_DATA, TO_DOT, TO_MAIL, TO_RCPT } from './replies.ts';
import { type Script, SimulatedRelay } from './simulated-relay.ts';
import { sqliteStorage } from './sqlite-storage.ts';
import { ACCEPTED_AT, RETRY } from './world.ts';

class Crash extends Error {}

const RECIPIENTS = 3;
const someScript: fc.Arbitrary<Script> = fc.record({
  mail: mostlyYes(TO_MAIL, 4),
  recipients: fc.array(mostlyYes(TO_RCPT, 1), { minLength: RECIPIENTS, maxLength: RECIPIENTS }),
  data: mostlyYes(TO_DATA, 4),
  final: fc.constantFrom(...TO_DOT),
  cut: fc.constantFrom<Script['cut'][]>(
    ...([
      'nowhere',
      'nowhere',
      'nowhere',
      'nowhere',
      'envelope',
      'body',
      'dot unsent',
      'dot',
      'dot',
    ] as const),
  ),
  stores: fc.boolean(),
});
const someCase = fc.record({
  messages: fc.integer({ min: 1, max: 4 }),
  scripts: fc.array(someScript, { maxLength: 25 }),
  /** For each commit in turn: whether the process dies before or after it, or lives. */
  crashes: fc.array(
    fc.constantFrom<('no' | 'before' | 'after')[]>('no', 'no', 'no', 'no', 'before', 'after'),
    { maxLength: 30 },
  ),
  /** For each attempt in turn: whether the account may still send at the dot, and how the message composes. */
  stops: fc.array(fc.constantFrom(false, false, false, false, true), { maxLength: 25 }),
  editions: fc.array(fc.constantFrom('A', 'A', 'A', 'A', 'A', 'B'), { maxLength: 25 }),
  /** Before each commit and after each look at the account: whether the customer takes a message back, and which. */
  cancels: fc.array(fc.constantFrom(-1, -1, -1, -1, -1, -1, 0, 1, 2, 3), { maxLength: 30 }),
  /** Another relay is there, so far as this one knows. */
  hasAlternative: fc.boolean(),
  policy: fc.constantFrom<('retry' | 'hold')[]>('retry', 'retry', 'hold'),
});
type Case = typeof someCase extends fc.Arbitrary<infer C> ? C : never;

/** An outbox without its pump: the ledger, and a desk that dies when it is told to. */
class Office {
  nowMs = ACCEPTED_AT;
  readonly relay: SimulatedRelay;
  readonly ids: readonly string[];
  /** The account was found unable to send: nothing may leave this session any more. */
  private isStopped = false;
  ledger: Ledger;
  private readonly storage = sqliteStorage();
  private readonly plan: Case;
  private readonly crashes: Case['crashes'];
  private readonly stops: boolean[];
  private readonly editions: string[];
  private readonly cancels: number[];
  /** Answered with success: no dot of theirs may leave any more. */
  private readonly canceled = new Set<string>();

  constructor(plan: Case, calm: Script) {
    this.plan = plan;
    this.relay = new SimulatedRelay(plan.scripts, calm);
    this.crashes = [...plan.crashes];
    this.stops = [...plan.stops];
    this.editions = [...plan.editions];
    this.cancels = [...plan.cancels];
    this.ledger = new Ledger(new LedgerDatabase(this.storage));
    this.ids = newMessageIds(plan.messages, 0, ACCEPTED_AT);
    const messages = this.ids.map((id) => ({
      id,
      recipientCount: RECIPIENTS,
      summary: new Uint8Array(1),
      head: [new Uint8Array(1)],
      attachments: [],
    }));
    this.ledger.accept({ accountId: 'acc_x', keyId: 'key_x', messages }, ACCEPTED_AT);
  }

  /** One session, or what is left of it when the process dies. */
  async work(): Promise<void> {
    this.isStopped = false;
    const session = this.relay.session((what, envelope, body) => this.expectAllowed(what, envelope, body));
    try {
      await deliverOver(session, this.desk());
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      session.destroy();
      this.ledger = new Ledger(new LedgerDatabase(this.storage));
    }
  }

  find(id: string): LedgerItem {
    const item = this.ledger.messages.find(id);
    if (!item) throw new Error('a message is missing');
    return item;
  }

  private expectAllowed(what: 'envelope' | 'dot', envelope: Envelope, body: string): void {
    expect(this.isStopped).toBe(false);
    const { progress, dot } = this.find(envelope.from);
    const recipients = envelope.recipients.map(Number);
    expect(this.canceled).not.toContain(envelope.from);
    if (what === 'envelope') {
      for (const index of recipients) expect(progress.deliveries[index]).toSatisfy(isOpen);
    } else {
      expect(dot).toMatchObject({ pending: true, sha256: body });
      for (const index of dot?.recipients ?? []) {
        expect(recipients).toContain(index);
        expect(progress.deliveries[index]?.status).toBe('sending');
      }
    }
  }

  private desk(): Desk {
    const { ledger } = this;
    return {
      relayId: 'rly_1',
      next: async () => this.next(ledger),
      waitForWork: async () => {},
      maySend: async () => {
        this.isStopped ||= this.stops.shift() ?? false;
        this.cancelOne(ledger);
        return !this.isStopped;
      },
      commit: async (decisions) => {
        if (decisions.length === 0) return [];
        const crash = this.crashes.shift() ?? 'no';
        if (crash === 'before') throw new Crash();
        this.cancelOne(ledger);
        const written = this.write(ledger, decisions);
        if (crash === 'after') throw new Crash();
        return written;
      },
      isRevoked: (item) => ledger.queue.isRevoked(item.id),
      release: (item) => ledger.queue.release(item),
      closeRelay: () => ({ untilMs: this.nowMs + 1000, failover: this.plan.hasAlternative }),
      contextOf: () => this.context(),
      policyOf: () => this.plan.policy,
      countDelivered: () => {},
      isTooOld: () => false,
    };
  }

  private cancelOne(ledger: Ledger): void {
    const id = this.ids[this.cancels.shift() ?? -1];
    if (id === undefined || ledger.cancel(id, this.nowMs) !== 'canceled') return;
    this.canceled.add(id);
    const { progress, dot } = this.find(id);
    expect(openRecipients(progress)).toEqual([]);
    expect(dot?.pending ?? false).toBe(false);
  }

  /** As the dispatcher does: what was at its dot before a crash is in doubt, everything else is sent. */
  private next(ledger: Ledger): PreparedMessage | undefined {
    for (let item = ledger.queue.take(this.nowMs); item; item = ledger.queue.take(this.nowMs)) {
      if (item.dot?.pending) {
        const step = applyDoubt(item.progress, item.dot.recipients, this.plan.policy, this.context());
        this.write(ledger, [{ item, step, dot: { ...item.dot, pending: false } }]);
        continue;
      }
      const recipients = openRecipients(item.progress);
      expect(recipients.length).toBeGreaterThan(0);
      const text = this.editions.shift() ?? 'A';
      const { id } = item;
      return {
        item,
        recipients,
        envelope: {
          from: id,
          recipients: recipients.map(String),
          sizeBytes: 1,
          eightBit: false,
          smtpUtf8: false,
        },
        streamed: text === 'B',
        body: (async function* () {
          yield new TextEncoder().encode(text);
        })(),
        sha256: () => text,
      };
    }
    return undefined;
  }

  private write(ledger: Ledger, decisions: readonly { item: LedgerItem; step: Step; dot?: DotRecord }[]) {
    for (const { item, step } of decisions) {
      // Past the dot another relay would make a second copy likely.
      const news = step.progress.timeline.slice(item.progress.timeline.length).map(({ type }) => type);
      if (item.dot?.pending) expect(news).not.toContain('relay.failover');
    }
    return ledger.commit(
      decisions.map(({ item, step, dot }) => ({ item, progress: step.progress, replies: undefined, dot })),
    );
  }

  private context() {
    const { nowMs } = this;
    const { hasAlternative } = this.plan;
    return { relayId: 'rly_1', acceptedAtMs: ACCEPTED_AT, nowMs, random: 0.5, retry: RETRY, hasAlternative };
  }
}

function expectAccounted(office: Office): void {
  for (const id of office.ids) {
    const { progress, dueAtMs } = office.find(id);
    expect(dueAtMs).toBeUndefined();
    progress.deliveries.forEach((delivery, index) => {
      expect(isOpen(delivery)).toBe(false);
      const copies = office.relay.copies.filter((copy) => copy.id === id && copy.recipients.includes(index));
      expect(copies.length).toBeLessThanOrEqual(1 + progress.possibleDuplicates);
      if (delivery.status === 'delivered') {
        expect(copies.filter(({ isAnswered }) => isAnswered)).not.toEqual([]);
      } else if (progress.possibleDuplicates === 0) expect(copies).toEqual([]);
      expect(new Set(copies.map(({ body }) => body)).size).toBeLessThanOrEqual(1);
    });
  }
}

test('whatever the server says and wherever the process dies, every copy is accounted for and everything ends', async () => {
  const [mail] = TO_MAIL;
  const [recipient] = TO_RCPT;
  const [data] = TO_DATA;
  const [final] = TO_DOT;
  if (!mail || !recipient || !data || !final) throw new Error('no replies');
  const recipients = Array.from({ length: RECIPIENTS }, () => recipient);
  const calm: Script = { mail, recipients, data, final, cut: 'nowhere', stores: true };
  await fc.assert(
    fc.asyncProperty(someCase, async (plan) => {
      const office = new Office(plan, calm);
      for (let round = 0; office.ledger.backlog > 0; round++) {
        expect(round).toBeLessThan(300);
        await office.work();
        office.nowMs = Math.max(office.nowMs, office.ledger.queue.nextDueAt() ?? 0);
      }
      expectAccounted(office);
    }),
    { numRuns: 400 },
  );
}, 60_000);
