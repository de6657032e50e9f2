/**
 * Which message goes to which relay. A session asks for the next message for its relay; what turns up for
 * another one is parked there, and a session is opened for it.
 *
 * A message that a relay could not take before its final dot goes on to the next candidate in the same pass;
 * `tried` remembers which it has seen. Where none is left it waits, in the ledger, for the first to open.
 */

import type { AttemptContext } from '../delivery/attempt.ts';
import { rankRelays } from '../delivery/choose-relay.ts';
import { applyCancel, applyRelayClosed, applySuppressed } from '../delivery/ending.ts';
import { applyDoubt, applyFaultBeforeDot } from '../delivery/outcome.ts';
import { openRecipients, startOf } from '../delivery/progress.ts';
import { logError } from '../log.ts';
import type { Reply } from '../smtp/types.ts';
import type { GateKeeper } from './gate-keeper.ts';
import type { LedgerItem } from './ledger/message-row.ts';
import { openSummary } from './message-content.ts';
import { type PreparedMessage, prepareMessage } from './prepare.ts';
import type { PumpContext } from './pump.ts';
import type { RelayPool, RoutedItem } from './relay-pool.ts';
import { RelayPools } from './relay-pools.ts';
import { Routes } from './routes.ts';
import type { SendingRelay, SendingState } from './sending-state.ts';
import { findSuppressedRecipients } from './suppressed-recipients.ts';

export interface RelayCause {
  readonly reason: string;
  readonly reply?: Reply | undefined;
}

/** A relay that is down is looked at again at least this often. */
const RELAY_CLOSED_MAX_MS = 15 * 60 * 1000;

export class Dispatcher {
  readonly pools = new RelayPools();
  private readonly context: PumpContext;
  private readonly startSession: (pool: RelayPool) => void;
  private readonly routes: Routes;
  private sending: SendingState | undefined;
  private readonly gates: GateKeeper;

  constructor(context: PumpContext, gates: GateKeeper, startSession: (pool: RelayPool) => void) {
    this.context = context;
    this.gates = gates;
    this.routes = new Routes(this.pools, context.settings.RETRY_FIRST_MS);
    this.startSession = startSession;
  }

  /** The relays that may be used now, in the order of their priority. Empty where the account may not send. */
  async readyPools(): Promise<RelayPool[]> {
    const sending = await this.readState();
    if (!sending?.active) return [];
    const nowMs = Date.now();
    const pools = [...sending.relays]
      .sort((one, other) => one.priority - other.priority)
      .map((relay) => this.pools.of(relay));
    // What was parked for a relay that is gone finds another way.
    for (const pool of this.pools.all()) {
      if (pools.includes(pool)) continue;
      for (const { item } of pool.takeAllParked()) this.release(item);
      this.releaseAside(pool);
      if (pool.sessions === 0) this.pools.drop(pool);
    }
    return pools.filter((pool) => pool.isOpen(nowMs));
  }

  /** The next message for this relay, composed; undefined where there is none now. */
  async next(pool: RelayPool): Promise<PreparedMessage | undefined> {
    const { accountId, ledger, books } = this.context;
    for (;;) {
      const sending = await this.readState();
      if (!sending?.active || !pool.isOpen(Date.now())) return undefined;
      const routed =
        pool.takeParked() ?? (await this.takeAside(pool, sending)) ?? (await this.takeFor(pool, sending));
      if (!routed) return undefined;
      if (ledger.queue.isRevoked(routed.item.id)) {
        this.release(routed.item);
        continue;
      }
      if (ledger.parts.isStopping(routed.item.progress.broadcastId)) {
        await this.cancel(routed.item);
        continue;
      }
      const suppressed = await findSuppressedRecipients(this.context, sending, routed);
      if (!suppressed) {
        // D1 does not answer: it waits, unchecked mail is not sent.
        pool.unpark(routed);
        return undefined;
      }
      if (suppressed.length > 0) {
        const { item } = routed;
        const step = applySuppressed(item.progress, suppressed, Date.now());
        // What is left of its recipients comes back by the ledger.
        this.forgetFinished(await books.commit([{ item, step, ...(item.dot ? { dot: item.dot } : {}) }]));
        continue;
      }
      if (!(await this.gates.hasPermit(pool))) {
        pool.unpark(routed);
        return undefined;
      }
      const { item, summary } = routed;
      this.routes.markTried(item.id, pool.relay.id);
      try {
        return await prepareMessage(ledger.messages, item, summary, { accountId, keys: sending.keys });
      } catch (error) {
        // What is canceled meanwhile may have lost its content.
        if (!ledger.queue.isRevoked(item.id))
          logError('message_unreadable', error, { account_id: accountId, message_id: item.id });
        await this.endUnreadable(item, this.contextOf(pool, item));
      }
    }
  }

  /**
   * False once the account may not send, or not to all of these recipients, or where that cannot be found out,
   * or the relay was changed.
   */
  async maySend(relay: SendingRelay, item: LedgerItem): Promise<boolean> {
    const sending = await this.readState();
    if (!sending?.active) return false;
    if (!sending.relays.some((known) => known.id === relay.id && known.version === relay.version))
      return false;
    const routed = this.routes.find(item.id)?.routed;
    if (!routed) return false;
    return (await findSuppressedRecipients(this.context, sending, routed))?.length === 0;
  }

  release(item: LedgerItem): void {
    this.context.ledger.queue.release(item);
    this.routes.forget(item.id);
  }

  /** What is written and no longer at its dot is out of hand; what waits for a time starts afresh then. */
  forgetFinished(written: readonly LedgerItem[]): void {
    const nowMs = Date.now();
    for (const { id, dot, dueAtMs } of written) {
      if (dot?.pending) continue;
      if (dueAtMs === undefined || dueAtMs > nowMs) this.routes.forget(id);
      else this.routes.putDown(id);
    }
  }

  policyOf(item: LedgerItem): 'retry' | 'hold' {
    const summary = this.routes.find(item.id)?.routed.summary;
    return summary?.inDoubtPolicy ?? this.sending?.inDoubtPolicy ?? 'retry';
  }

  contextOf(pool: RelayPool, item: LedgerItem): AttemptContext {
    return {
      ...this.attemptAt(pool.relay.id, item),
      hasAlternative: this.routes.targetOf(item.id) !== undefined,
    };
  }

  /** A reply to a message was about the relay. Says when the message may be tried again. */
  closeForFault(
    pool: RelayPool,
    item: LedgerItem,
    cause: RelayCause,
  ): { untilMs: number; failover: boolean } {
    this.close(pool, cause);
    void this.gates.reportFault(pool, cause);
    const { target, untilMs } = this.routes.nextChance(item.id);
    return { untilMs, failover: target !== undefined };
  }

  /** No session could be opened: what waited for this relay goes elsewhere, or waits in the ledger. */
  async closeUnreachable(pool: RelayPool, cause: RelayCause): Promise<void> {
    this.close(pool, cause);
    const waiting = pool.takeAllParked();
    this.releaseAside(pool);
    if (waiting.length === 0) {
      // One message tells the customer what is wrong; the others are not touched.
      const sending = await this.readState();
      const item = sending?.active ? this.context.ledger.queue.take(Date.now()) : undefined;
      const routed = item && (await this.routedOf(item, sending));
      if (routed) waiting.push(routed);
    }
    await this.gates.reportFault(pool, cause);
    for (const routed of waiting) {
      this.routes.markTried(routed.item.id, pool.relay.id);
      await this.passOn(routed, pool, cause);
    }
  }

  private close(pool: RelayPool, cause: RelayCause): void {
    const { settings, onRelayFault } = this.context;
    const maxMs = Math.min(settings.RETRY_MAX_MS, RELAY_CLOSED_MAX_MS);
    const code = cause.reply?.code;
    const isNews = pool.close({ reason: cause.reason, code }, { firstMs: settings.RETRY_FIRST_MS, maxMs });
    if (isNews) onRelayFault(pool.relay, cause.reason, code);
  }

  /** Its broadcast was canceled, and it had not been reached yet. */
  private async cancel(item: LedgerItem): Promise<void> {
    const progress = applyCancel(item.progress, Date.now()) ?? item.progress;
    const step = { progress, replyTexts: new Map<number, string>() };
    const written = await this.context.books.commit([{ item, step, ...(item.dot ? { dot: item.dot } : {}) }]);
    this.forgetFinished(written);
  }

  /** To another relay where there is one; else it waits for the first that opens, without using up an attempt. */
  private async passOn(routed: RoutedItem, from: RelayPool, cause: RelayCause): Promise<void> {
    const { item } = routed;
    const { target, untilMs } = this.routes.nextChance(item.id);
    const context = { ...this.contextOf(from, item), hasAlternative: target !== undefined };
    const isOrphan = this.routes.find(item.id)?.candidates.length === 0;
    const told = isOrphan ? { reason: 'no_relay_for_message' } : cause;
    const step = applyRelayClosed(item.progress, { ...told, untilMs }, context);
    const written = await this.context.books.commit([{ item, step, ...(item.dot ? { dot: item.dot } : {}) }]);
    this.forgetFinished(written);
    if (target) this.startSession(target);
  }

  /** Takes messages from the ledger until one is for this pool. */
  private async takeFor(pool: RelayPool, sending: SendingState): Promise<RoutedItem | undefined> {
    const { queue } = this.context.ledger;
    for (let item = queue.take(Date.now()); item; item = queue.take(Date.now())) {
      const routed = await this.routedOf(item, sending);
      if (!routed) continue;
      const target = this.routes.targetOf(item.id);
      if (target === pool) return routed;
      if (!target) await this.passOn(routed, pool, { reason: 'relay_closed' });
      else if (target.park(routed)) this.startSession(target);
      else {
        // Too much is held in memory for that relay. Others must not wait for it.
        this.routes.forget(item.id);
        queue.setAside(item);
        target.setAside(item.id);
      }
    }
    return undefined;
  }

  /** What was set aside for this pool, as far as it is still for it. */
  private async takeAside(pool: RelayPool, sending: SendingState): Promise<RoutedItem | undefined> {
    const { queue } = this.context.ledger;
    for (let id = pool.takeAside(); id !== undefined; id = pool.takeAside()) {
      const item = queue.takeAside(id);
      const routed = item && (await this.routedOf(item, sending));
      if (routed && this.routes.targetOf(routed.item.id) === pool) return routed;
      if (routed) this.release(routed.item);
    }
    return undefined;
  }

  private releaseAside(pool: RelayPool): void {
    for (const id of pool.takeAllAside()) {
      const item = this.context.ledger.queue.takeAside(id);
      if (item) this.release(item);
    }
  }

  /** Opens a message far enough to route it. Settles here what needs no relay; undefined then. */
  private async routedOf(
    item: LedgerItem,
    sending: SendingState | undefined,
  ): Promise<RoutedItem | undefined> {
    const { accountId, books } = this.context;
    const keys = sending?.keys ?? [];
    if (openRecipients(item.progress).length === 0) {
      await books.commit([{ item, step: { progress: item.progress, replyTexts: new Map() } }]);
      return undefined;
    }
    try {
      const routed = { item, summary: openSummary(keys, { accountId, id: item.id }, item.summary) };
      const { from, relayId } = routed.summary;
      const named = item.dot?.relayId ?? relayId;
      const message = { fromDomain: from.domain, ...(relayId === undefined ? {} : { relayId }) };
      const ranked = rankRelays(sending?.relays ?? [], message, Math.random);
      // A copy of what is in doubt goes to the relay that may have the first.
      const candidates = [...ranked].sort(
        (one, other) => Number(other.id === named) - Number(one.id === named),
      );
      this.routes.set(item.id, { routed, candidates });
      if (item.dot?.pending) {
        await this.recordDoubt(item);
        return undefined;
      }
      return routed;
    } catch (error) {
      logError('message_unreadable', error, { account_id: accountId, message_id: item.id });
      if (item.dot?.pending) {
        await this.recordDoubt(item);
        return undefined;
      }
      await this.endUnreadable(item, this.attemptAt(item.dot?.relayId ?? 'none', item));
      return undefined;
    }
  }

  /** Found at its dot after a restart: the verdict is lost. */
  private async recordDoubt(item: LedgerItem): Promise<void> {
    if (!item.dot) return;
    const context = this.attemptAt(item.dot.relayId, item);
    const step = applyDoubt(item.progress, item.dot.recipients, this.policyOf(item), context);
    this.forgetFinished(
      await this.context.books.commit([{ item, step, dot: { ...item.dot, pending: false } }]),
    );
  }

  private async endUnreadable(item: LedgerItem, context: AttemptContext): Promise<void> {
    const { progress, dot } = item;
    const step = applyFaultBeforeDot(progress, openRecipients(progress), 'content_unreadable', context);
    this.forgetFinished(await this.context.books.commit([{ item, step, ...(dot ? { dot } : {}) }]));
  }

  private attemptAt(relayId: string, item: LedgerItem): AttemptContext {
    const { RETRY_FIRST_MS, RETRY_MAX_MS, RETRY_FOR_MS } = this.context.settings;
    return {
      relayId,
      acceptedAtMs: startOf(item.progress, item.acceptedAtMs),
      nowMs: Date.now(),
      random: Math.random(),
      retry: { firstMs: RETRY_FIRST_MS, maxMs: RETRY_MAX_MS, forMs: RETRY_FOR_MS },
    };
  }

  private async readState(): Promise<SendingState | undefined> {
    try {
      this.sending = await this.context.state.read();
      return this.sending;
    } catch (error) {
      logError('sending_state_unavailable', error, { account_id: this.context.accountId });
      return undefined;
    }
  }
}
