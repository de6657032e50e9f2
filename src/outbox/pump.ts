/**
 * The pump: it is kicked by `accept` and by the alarm, and runs outside `alarm()`. It opens sessions as the
 * backlog grows, and lends each of them a desk to work at (`deliver.ts`); which relay a message goes to is the
 * dispatcher's matter (`dispatcher.ts`). It rests when no session is open and nothing may be sent.
 */
import type { Settings } from '../env.ts';
import { logError } from '../log.ts';
import type { GateApi } from '../relay-gate/client.ts';
import { openRelaySession } from '../smtp/connection.ts';
import { SmtpFault, type SmtpSession } from '../smtp/types.ts';
import type { Bookkeeper } from './bookkeeper.ts';
import type { RelayUse } from './client.ts';
import { type Desk, deliverOver, faultReason } from './deliver.ts';
import { Dispatcher } from './dispatcher.ts';
import { GateKeeper } from './gate-keeper.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { RelayPool } from './relay-pool.ts';
import type { SendingRelay, SendingStateReader } from './sending-state.ts';

/** The platform lets so many connections be opened at once, and queues the next. */
const OPENING_LIMIT = 6;
const EXPIRE_AT_ONCE = 100;
const FRUITLESS_MS = 1000;
/** Sessions of a lease are given to others after 15 s. */
const RENEW_LEASE_MS = 8_000;
const EXPIRY_CHECK_MS = 60_000;

export interface PumpContext {
  readonly accountId: string;
  /** This outbox, as the gates of shared relays know it. */
  readonly holder: string;
  readonly gateOf: (relayId: string) => GateApi;
  readonly ledger: Ledger;
  readonly books: Bookkeeper;
  readonly state: SendingStateReader;
  readonly settings: Settings;
  /** Called when the pump comes to rest. */
  readonly onRest: () => void;
  /** A relay became unusable: told once for each time. */
  readonly onRelayFault: (relay: SendingRelay, reason: string, code: number | undefined) => void;
  /** A session to the relay was opened: it is usable. */
  readonly onRelayOpened: (relay: SendingRelay) => void;
}

export class Pump {
  private readonly context: PumpContext;
  private readonly gates: GateKeeper;
  private readonly dispatcher: Dispatcher;
  private readonly sessions = new Set<Promise<void>>();
  /** Wake the sessions that wait for work. */
  private readonly sleepers = new Set<() => void>();
  private isPassing = false;
  private isKicked = false;
  private expiryCheckAtMs = 0;

  constructor(context: PumpContext) {
    this.context = context;
    this.gates = new GateKeeper(context);
    this.dispatcher = new Dispatcher(context, this.gates, (pool) => this.startSession(pool));
  }

  get isRunning(): boolean {
    return this.isPassing || this.sessions.size > 0;
  }

  /** There may be work. Returns at once. */
  kick(): void {
    this.isKicked = true;
    for (const wake of this.sleepers) wake();
    if (!this.isPassing) void this.pass();
  }

  /** Relays or the account changed: forget what was read, and give every relay a fresh chance. */
  refresh(): void {
    this.context.state.forget();
    this.dispatcher.pools.reset();
  }

  /** When the first relay that is closed or paused may be used again. */
  get relayOpensAt(): number | undefined {
    return this.dispatcher.pools.opensAt(Date.now());
  }

  useOf(relayId: string): RelayUse {
    return this.dispatcher.pools.useOf(relayId);
  }

  private async pass(): Promise<void> {
    try {
      // Idle is said at once: an alarm that found the pump at work would come again at the watchdog's pace, for ever.
      this.isPassing = this.isRunning || this.hasWork;
      while (this.isPassing && this.isKicked) {
        this.isKicked = false;
        await this.expireOverdue();
        await this.openSession();
      }
    } catch (error) {
      logError('pump_failed', error, { account_id: this.context.accountId });
      // With sessions open, their work is in hand; forgetting it would be taking it twice.
      if (this.sessions.size === 0) this.context.ledger.queue.forgetHand();
    }
    this.isPassing = false;
    this.restIfDone();
  }

  /** Opens a session where work waits that the open ones do not keep up with. */
  private async openSession(): Promise<void> {
    const { ledger } = this.context;
    if (!this.hasWork) return;
    const pools = await this.dispatcher.readyPools();
    const parked = pools.find((pool) => pool.hasParked && pool.idle === 0);
    if (parked) this.startSession(parked);
    if (!ledger.queue.hasWork(Date.now())) return;
    // The first relay in order takes what comes; others get theirs when a message turns out to be for them.
    const [first] = pools;
    const isAnyIdle = pools.some((pool) => pool.idle > 0);
    if (first && !isAnyIdle) this.startSession(first);
  }

  /** True while there is something that could be sent now, if a relay is there to take it. */
  get hasWork(): boolean {
    return this.context.ledger.queue.hasWork(Date.now()) || this.dispatcher.pools.hasParked;
  }

  private startSession(pool: RelayPool): void {
    const { ledger, settings } = this.context;
    if (pool.sessions >= pool.wantedSessions(ledger.backlog, settings.SESSIONS_PER_RELAY)) return;
    if (this.dispatcher.pools.opening >= OPENING_LIMIT || !pool.mayGrow(Date.now())) return;
    pool.sessions++;
    pool.opening++;
    const session = this.runSession(pool)
      .catch((error: unknown) => logError('session_failed', error, { account_id: this.context.accountId }))
      .finally(() => {
        pool.sessions--;
        this.sessions.delete(session);
        this.kick();
      });
    this.sessions.add(session);
  }

  private async runSession(pool: RelayPool): Promise<void> {
    const { relay } = pool;
    let session: SmtpSession | undefined;
    try {
      if (await this.gates.mayOpen(pool)) session = await this.open(relay);
    } catch (error) {
      if (!(error instanceof SmtpFault)) {
        logError('relay_session_failed', error, { account_id: this.context.accountId, relay_id: relay.id });
      }
      const fault = error instanceof SmtpFault ? error : undefined;
      await this.dispatcher.closeUnreachable(pool, {
        reason: fault ? faultReason(fault) : 'session_failed',
        reply: fault?.reply,
      });
    } finally {
      pool.opening--;
    }
    if (!session) return;
    this.context.onRelayOpened(relay);
    await this.gates.reportOpened(pool);
    const { books } = this.context;
    const before = { commits: books.commits, atMs: Date.now() };
    const renewal = pool.isGated && setInterval(() => void this.gates.renew(pool), RENEW_LEASE_MS);
    await deliverOver(session, this.deskFor(pool)).finally(() => renewal && clearInterval(renewal));
    await this.gates.leave(pool);
    // A session that ended at once and changed nothing would be opened again, and again.
    if (books.commits === before.commits && Date.now() - before.atMs < FRUITLESS_MS) {
      pool.pauseUntil(Date.now() + FRUITLESS_MS);
    }
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

  private deskFor(pool: RelayPool): Desk {
    const { ledger, settings, books } = this.context;
    const { dispatcher } = this;
    const { relay } = pool;
    const openedAtMs = Date.now();
    let taken = 0;
    return {
      relayId: relay.id,
      next: async () => {
        const message = await dispatcher.next(pool);
        if (!message) return undefined;
        taken++;
        // As long as more waits than the open sessions have in hand, another one helps.
        if (ledger.queue.hasWork(Date.now())) this.startSession(pool);
        return message;
      },
      waitForWork: (session) => this.waitForWork(session, pool),
      maySend: (item) => dispatcher.maySend(relay, item),
      commit: async (decisions) => {
        const written = await books.commit(decisions);
        dispatcher.forgetFinished(written);
        await this.gates.heed(
          pool,
          decisions.flatMap(({ step }) => [...step.replyTexts.values()]),
        );
        return written;
      },
      release: (item) => dispatcher.release(item),
      isRevoked: (item) => ledger.queue.isRevoked(item.id),
      closeRelay: (item, cause) => dispatcher.closeForFault(pool, item, cause),
      contextOf: (item) => dispatcher.contextOf(pool, item),
      policyOf: (item) => dispatcher.policyOf(item),
      countDelivered: () => pool.countDelivered(Date.now()),
      isTooOld: () =>
        Date.now() - openedAtMs > settings.SESSION_MAX_AGE_MS ||
        taken >= (relay.limits.perSession ?? Number.POSITIVE_INFINITY),
    };
  }

  /** Mail that no relay takes, or that waits for a suspended account, must come to an end too. */
  private async expireOverdue(): Promise<void> {
    const { ledger, settings, books } = this.context;
    const nowMs = Date.now();
    if (nowMs < this.expiryCheckAtMs) return;
    this.expiryCheckAtMs = nowMs + Math.min(EXPIRY_CHECK_MS, settings.WATCHDOG_MS);
    // A last attempt is planned for the moment of expiry; whatever is later than that had its chance.
    const startedBeforeMs = nowMs - settings.RETRY_FOR_MS - settings.RETRY_MAX_MS;
    if (ledger.expire(startedBeforeMs, EXPIRE_AT_ONCE, nowMs) > 0) await books.sync();
  }

  /** Until the next kick, the end of the session, or the end of its idle time. */
  private async waitForWork(session: SmtpSession, pool: RelayPool): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const pausedMs = pool.opensAtMs - Date.now();
    const idleMs = this.context.settings.SESSION_IDLE_MS;
    const timer = setTimeout(resolve, pausedMs > 0 ? Math.min(pausedMs, idleMs) : idleMs);
    this.sleepers.add(resolve);
    pool.idle++;
    await Promise.race([session.ended, promise]);
    pool.idle--;
    this.sleepers.delete(resolve);
    clearTimeout(timer);
  }

  private restIfDone(): void {
    if (this.isRunning) return;
    this.context.ledger.saveLowWater();
    this.context.onRest();
  }
}
