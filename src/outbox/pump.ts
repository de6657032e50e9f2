/**
 * The pump: one loop per object. It is kicked by `accept` and by the alarm, runs outside `alarm()`, and ends
 * when nothing is due or nothing may be sent. It decides no delivery itself: it chooses a relay, opens a
 * session, and lends `deliverOver` its desk.
 */
import { chooseRelay, type RelayClosure } from '../delivery/choose-relay.ts';
import {
  type AttemptContext,
  applyDoubt,
  applyExpiry,
  applyFaultBeforeDot,
  applyRelayClosed,
} from '../delivery/outcome.ts';
import { openRecipients } from '../delivery/progress.ts';
import { backoffMs } from '../delivery/retry-schedule.ts';
import type { Settings } from '../env.ts';
import { logError, logEvent } from '../log.ts';
import { openRelaySession } from '../smtp/connection.ts';
import { type Reply, SmtpFault, type SmtpSession } from '../smtp/types.ts';
import { type Decision, type Desk, deliverOver, faultReason } from './deliver.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { LedgerItem } from './ledger/message-row.ts';
import { openReplies, sealReplies } from './message-content.ts';
import { type PreparedMessage, prepareMessage } from './prepare.ts';
import type { SendingRelay, SendingState, SendingStateReader } from './sending-state.ts';

/** A relay that is down is looked at again at least this often. */
const RELAY_CLOSED_MAX_MS = 15 * 60 * 1000;
/** How many commits may pass before the low-water mark is saved: what a restart walks through again. */
const COMMITS_PER_LOW_WATER = 500;
const EXPIRE_AT_ONCE = 100;

export interface PumpContext {
  readonly accountId: string;
  readonly ledger: Ledger;
  readonly state: SendingStateReader;
  readonly settings: Settings;
  /** Resolves once everything written so far is durable. */
  readonly sync: () => Promise<void>;
}

export class Pump {
  private readonly context: PumpContext;
  private readonly closures = new Map<string, RelayClosure>();
  private running: Promise<void> | undefined;
  private kicked = false;
  private wake: (() => void) | undefined;
  private commits = 0;

  constructor(context: PumpContext) {
    this.context = context;
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /** There may be work. Returns at once; the promise is for those who want to know when the pump rests. */
  kick(): Promise<void> {
    this.kicked = true;
    this.wake?.();
    this.running ??= this.run().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Relays or the account changed: forget what was read, and give every relay a fresh chance. */
  refresh(): void {
    this.context.state.forget();
    this.closures.clear();
  }

  /** When the first closed relay opens again. */
  get relayOpensAt(): number | undefined {
    const times = [...this.closures.values()]
      .map((closure) => closure.untilMs)
      .filter((at) => at > Date.now());
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  private async run(): Promise<void> {
    try {
      while (this.kicked) {
        this.kicked = false;
        await this.drain();
      }
    } catch (error) {
      logError('pump_failed', error, { account_id: this.context.accountId });
      this.context.ledger.queue.forgetHand();
    }
    this.context.ledger.queue.saveLowWater();
  }

  /** Sessions one after the other, until nothing is due or nothing may be sent. */
  private async drain(): Promise<void> {
    const { ledger, state } = this.context;
    await this.expireOverdue();
    while (ledger.queue.hasWork(Date.now())) {
      const sending = await state.read();
      if (!sending.active) return;
      const decision = chooseRelay(sending.relays, this.closures, Date.now());
      if (decision.kind !== 'relay') return;
      const before = this.commits;
      await this.sendThrough(decision.relay);
      // A session that changed nothing would be opened again at once, and again.
      if (this.commits === before) return;
    }
  }

  private async sendThrough(relay: SendingRelay): Promise<void> {
    const first = await this.nextPrepared(relay);
    if (!first) return;
    const session = await this.open(relay).catch((error: unknown) => {
      if (error instanceof SmtpFault) return error;
      logError('relay_session_failed', error, { account_id: this.context.accountId, relay_id: relay.id });
      return new SmtpFault('connect', 'broken', 'the session could not be opened');
    });
    if (session instanceof SmtpFault) {
      const cause = { reason: faultReason(session), reply: session.reply };
      const untilMs = this.closeRelay(relay, cause);
      const { item } = first;
      const step = applyRelayClosed(item.progress, { ...cause, untilMs }, this.contextOf(item, relay.id));
      await this.commit([{ item, step, ...(item.dot ? { dot: item.dot } : {}) }]);
      return;
    }
    this.closures.delete(relay.id);
    await deliverOver(session, this.deskFor(relay), first);
  }

  private open(relay: SendingRelay): Promise<SmtpSession> {
    const { settings } = this.context;
    return openRelaySession(relay.address, {
      ehloName: settings.EHLO_NAME,
      tls: relay.address.tls,
      ...(relay.credentials ? { credentials: relay.credentials } : {}),
      timeouts: {
        connectMs: settings.CONNECT_TIMEOUT_MS,
        bannerMs: settings.BANNER_TIMEOUT_MS,
        commandMs: settings.COMMAND_TIMEOUT_MS,
        dataMs: settings.DATA_TIMEOUT_MS,
        bodyWriteMs: settings.BODY_WRITE_TIMEOUT_MS,
        dotMs: settings.DOT_TIMEOUT_MS,
      },
    });
  }

  private deskFor(relay: SendingRelay): Desk {
    const { ledger, settings } = this.context;
    const openedAtMs = Date.now();
    return {
      relayId: relay.id,
      next: () => this.nextPrepared(relay),
      waitForWork: (session) => this.waitForWork(session),
      maySend: () => this.maySend(relay),
      commit: (decisions) => this.commit(decisions),
      release: (item) => ledger.queue.release(item),
      closeRelay: (cause) => this.closeRelay(relay, cause),
      contextOf: (item) => this.contextOf(item, relay.id),
      isTooOld: () => Date.now() - openedAtMs > settings.SESSION_MAX_AGE_MS,
    };
  }

  /** Takes the next message and composes it. What cannot be composed is put off, and the next one is tried. */
  private async nextPrepared(relay: SendingRelay): Promise<PreparedMessage | undefined> {
    const { ledger, accountId } = this.context;
    for (;;) {
      const sending = await this.readState();
      if (!sending?.active) return undefined;
      const item = ledger.queue.take(Date.now());
      if (!item) return undefined;
      const context = this.contextOf(item, item.dot?.relayId ?? relay.id);
      if (item.dot?.pending) {
        // Found at its dot after a restart: the verdict is lost.
        const step = applyDoubt(item.progress, item.dot.recipients, 'retry', context);
        await this.commit([{ item, step, dot: { ...item.dot, pending: false } }]);
        continue;
      }
      const open = openRecipients(item.progress);
      if (open.length === 0) {
        await this.commit([{ item, step: { progress: item.progress, replyTexts: new Map() } }]);
        continue;
      }
      try {
        return await prepareMessage(ledger.messages, item, { accountId, keys: sending.keys });
      } catch (error) {
        logError('message_unreadable', error, { account_id: accountId, message_id: item.id });
        const step = applyFaultBeforeDot(item.progress, open, 'content_unreadable', context);
        await this.commit([{ item, step, ...(item.dot ? { dot: item.dot } : {}) }]);
      }
    }
  }

  private async commit(decisions: readonly Decision[]): Promise<readonly LedgerItem[]> {
    if (decisions.length === 0) return [];
    const { ledger, sync } = this.context;
    const written = ledger.commit(
      decisions.map(({ item, step, dot }) => ({
        item,
        progress: step.progress,
        replies: this.sealedReplies(item, step.replyTexts),
        dot,
      })),
    );
    this.commits++;
    if (this.commits % COMMITS_PER_LOW_WATER === 0) ledger.queue.saveLowWater();
    await sync();
    return written;
  }

  /** Servers quote addresses in their replies, so the texts are sealed like the message itself. */
  private sealedReplies(item: LedgerItem, texts: ReadonlyMap<number, string>): Uint8Array | undefined {
    const { accountId, state } = this.context;
    const key = state.keys.at(-1);
    if (texts.size === 0 || !key) return item.replies;
    const identity = { accountId, id: item.id };
    return sealReplies(
      key,
      identity,
      new Map([...openReplies(state.keys, identity, item.replies), ...texts]),
    );
  }

  private async maySend(relay: SendingRelay): Promise<boolean> {
    const sending = await this.readState();
    return (
      sending?.active === true &&
      sending.relays.some((known) => known.id === relay.id && known.version === relay.version)
    );
  }

  private async readState(): Promise<SendingState | undefined> {
    try {
      return await this.context.state.read();
    } catch (error) {
      logError('sending_state_unavailable', error, { account_id: this.context.accountId });
      return undefined;
    }
  }

  private closeRelay(relay: SendingRelay, cause: { reason: string; reply?: Reply | undefined }): number {
    const { accountId, settings } = this.context;
    const failures = (this.closures.get(relay.id)?.failures ?? 0) + 1;
    const maxMs = Math.min(settings.RETRY_MAX_MS, RELAY_CLOSED_MAX_MS);
    const untilMs =
      Date.now() + backoffMs(failures, Math.random(), { firstMs: settings.RETRY_FIRST_MS, maxMs });
    this.closures.set(relay.id, { version: relay.version, failures, untilMs });
    logEvent('relay_closed', {
      account_id: accountId,
      relay_id: relay.id,
      code: cause.reason,
      status: cause.reply?.code,
    });
    return untilMs;
  }

  private contextOf(item: LedgerItem, relayId: string): AttemptContext {
    const { RETRY_FIRST_MS, RETRY_MAX_MS, RETRY_FOR_MS } = this.context.settings;
    return {
      relayId,
      acceptedAtMs: item.acceptedAtMs,
      nowMs: Date.now(),
      random: Math.random(),
      retry: { firstMs: RETRY_FIRST_MS, maxMs: RETRY_MAX_MS, forMs: RETRY_FOR_MS },
    };
  }

  /** Mail that no relay takes, or that waits for a suspended account, must come to an end too. */
  private async expireOverdue(): Promise<void> {
    const { ledger, settings } = this.context;
    const nowMs = Date.now();
    // A last attempt is planned for the moment of expiry; whatever is later than that had its chance.
    const items = ledger.findOverdue(nowMs - settings.RETRY_FOR_MS - settings.RETRY_MAX_MS, EXPIRE_AT_ONCE);
    await this.commit(items.map((item) => ({ item, step: applyExpiry(item.progress, nowMs) })));
  }

  /** Until the next kick, the end of the session, or the end of its idle time. */
  private async waitForWork(session: SmtpSession): Promise<void> {
    if (this.kicked) {
      this.kicked = false;
      return;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      session.ended,
      new Promise<void>((resolve) => {
        this.wake = resolve;
        timer = setTimeout(resolve, this.context.settings.SESSION_IDLE_MS);
      }),
    ]);
    clearTimeout(timer);
    this.wake = undefined;
    this.kicked = false;
  }
}
