/**
 * An Outbox's dealings with the gates of its relays. Only a relay that has limits, or that accounts share, has a
 * gate: mail through any other costs no call. A gate that does not answer is treated as one that grants nothing.
 */
import { retryAfterMs } from '../delivery/retry-after.ts';
import { logError } from '../log.ts';
import type { GateApi, Lease } from '../relay-gate/client.ts';
import type { RelayCause } from './dispatcher.ts';
import type { PumpContext } from './pump.ts';
import type { RelayPool } from './relay-pool.ts';

/** Permits that are asked for in one call. */
const PERMITS_AT_ONCE = 100;
/** A relay that named a longer time is asked again after this, as at its gate. */
const MAX_PAUSE_MS = 15 * 60_000;
/** A gate that did not answer is asked again after this. */
const UNAVAILABLE_MS = 1000;

export class GateKeeper {
  private readonly context: PumpContext;

  constructor(context: PumpContext) {
    this.context = context;
  }

  /** True where the pool may open the session that was counted for it. */
  async mayOpen(pool: RelayPool): Promise<boolean> {
    if (!pool.isGated) return true;
    const lease = await this.ask(pool, 0);
    const isLent = pool.isOpen(Date.now()) && pool.sessions <= pool.leasedSessions;
    if (!isLent) pool.growNotBefore(lease?.retryAtMs ?? Date.now() + UNAVAILABLE_MS);
    return isLent;
  }

  /** A permit to start one message; asked for in lots. */
  async hasPermit(pool: RelayPool): Promise<boolean> {
    if (!pool.isGated || pool.usePermit(Date.now())) return true;
    const lease = await this.ask(pool, Math.min(PERMITS_AT_ONCE, 1 + this.context.ledger.backlog));
    if (pool.usePermit(Date.now())) return true;
    pool.pauseUntil(lease?.retryAtMs ?? Date.now() + UNAVAILABLE_MS);
    return false;
  }

  /** Keeps the sessions that are open from being given to others. */
  async renew(pool: RelayPool): Promise<void> {
    await this.ask(pool, 0);
  }

  /** A session was opened: the relay is in order again. */
  async reportOpened(pool: RelayPool): Promise<void> {
    const wasProbing = pool.isProbing || pool.hasProbe;
    pool.recover();
    if (wasProbing) await this.tell(pool, (gate, holder) => gate.reportSuccess(holder));
  }

  async reportFault(pool: RelayPool, { reason, reply }: RelayCause): Promise<void> {
    const askedMs = reply && retryAfterMs(reply.lines);
    const fault = {
      reason,
      version: pool.relay.version,
      ...(reply ? { code: reply.code } : {}),
      ...(askedMs === undefined ? {} : { retryAfterMs: askedMs }),
    };
    const answer = await this.tell(pool, (gate, holder) => gate.reportFault(holder, fault));
    if (answer) pool.closeUntil(answer.closedUntilMs);
  }

  /**
   * A 421 that names a time, or speaks of policy (4.7.x), is meant for everybody who uses the relay: it rests, here and
   * at the other outboxes. Other codes may be about one recipient (greylisting), and pause nobody else.
   */
  async heed(pool: RelayPool, replyTexts: Iterable<string>): Promise<void> {
    let pauseMs = 0;
    for (const text of replyTexts) {
      if (!text.startsWith('421 ')) continue;
      const isPolicy = pool.isGated && /^421 4\.7\.\d/.test(text);
      const askedMs = retryAfterMs([text.slice(4)]) ?? (isPolicy ? this.context.settings.RETRY_FIRST_MS : 0);
      pauseMs = Math.max(pauseMs, Math.min(askedMs, MAX_PAUSE_MS));
    }
    if (pauseMs === 0) return;
    pool.pauseUntil(Date.now() + pauseMs);
    await this.tell(pool, (gate, holder) => gate.reportThrottle(holder, pauseMs));
  }

  /** A session is over. The last one gives back what the gate lent. */
  async leave(pool: RelayPool): Promise<void> {
    if (pool.sessions > 1) return;
    const unused = pool.dropLease();
    await this.tell(pool, (gate, holder) => gate.release(holder, unused));
  }

  /** undefined where the gate does not answer. */
  private async ask(pool: RelayPool, messages: number): Promise<Lease | undefined> {
    const { ledger, settings } = this.context;
    const { perSession: _, ...limits } = pool.relay.limits;
    const lease = await this.tell(pool, (gate, holder) =>
      gate.lease({
        holder,
        limits,
        sessions: Math.max(pool.sessions, pool.wantedSessions(ledger.backlog, settings.SESSIONS_PER_RELAY)),
        openSessions: pool.sessions,
        unused: pool.dropLease(),
        messages,
        version: pool.relay.version,
      }),
    );
    if (lease) pool.grant(lease);
    return lease;
  }

  /** undefined where the relay has no gate, or its gate does not answer. */
  private async tell<T>(
    pool: RelayPool,
    say: (gate: GateApi, holder: string) => Promise<T>,
  ): Promise<T | undefined> {
    if (!pool.isGated) return undefined;
    const { accountId, holder, gateOf } = this.context;
    try {
      return await say(gateOf(pool.relay.id), holder);
    } catch (error) {
      logError('gate_unavailable', error, { account_id: accountId, relay_id: pool.relay.id });
      return undefined;
    }
  }
}
