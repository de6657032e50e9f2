/**
 * What an Outbox knows of one relay: its open sessions, what waits for it, its breaker and its pace.
 * No I/O: the pump opens sessions and asks the gate; this counts and decides.
 */
import { backoffMs } from '../delivery/retry-schedule.ts';
import type { Lease } from '../relay-gate/client.ts';
import type { RelayUse } from './client.ts';
import type { LedgerItem } from './ledger/message-row.ts';
import type { MessageSummary } from './message-content.ts';
import { DEFAULT_RELAY_ID, type SendingRelay } from './sending-state.ts';

/** A message in hand, opened far enough to know where it goes. */
export interface RoutedItem {
  readonly item: LedgerItem;
  readonly summary: MessageSummary;
}

export interface RelayFault {
  readonly atMs: number;
  readonly reason: string;
  readonly code?: number;
}

/** A further session is opened for each so many messages that wait. */
const BACKLOG_PER_SESSION = 20;
/** More than this many messages are not held in memory for a relay that is busy. */
const PARKED_LIMIT = 100;
const MINUTE_MS = 60_000;

export class RelayPool {
  relay: SendingRelay;
  /** Sessions that are open or being opened. */
  sessions = 0;
  opening = 0;
  /** Sessions that wait for work. */
  idle = 0;
  lastFault: RelayFault | undefined;
  /** The gate lent one session and one message, to find out whether the relay is back. */
  hasProbe = false;
  private readonly parked: RoutedItem[] = [];
  /** Ids of what was set aside in the queue, because so much is parked already. */
  private aside: string[] = [];
  private failures = 0;
  private closedUntilMs = 0;
  private pausedUntilMs = 0;
  private fullUntilMs = 0;
  private lease: { sessions: number; messages: number; validUntilMs: number } | undefined;
  private minute = { startMs: 0, count: 0, before: 0 };

  constructor(relay: SendingRelay) {
    this.relay = relay;
  }

  /** When the relay may be used again; in the past where it may be used now. */
  get opensAtMs(): number {
    return Math.max(this.closedUntilMs, this.pausedUntilMs);
  }

  isOpen(nowMs: number): boolean {
    return this.opensAtMs <= nowMs;
  }

  /** At fault, as opposed to paused: mail goes elsewhere if it can. A pause is waited for. */
  isClosed(nowMs: number): boolean {
    return this.closedUntilMs > nowMs;
  }

  /** True where a gate has a say: it is asked only where a limit is shared, or the relay is. */
  get isGated(): boolean {
    const { sessions, perSecond, perMinute, perDay } = this.relay.limits;
    const isLimited = [sessions, perSecond, perMinute, perDay].some((limit) => limit !== undefined);
    return isLimited || this.relay.id === DEFAULT_RELAY_ID;
  }

  get isProbing(): boolean {
    return this.failures > 0;
  }

  /** How many sessions the backlog asks for, within what relay, gate and breaker allow. */
  wantedSessions(backlog: number, settingLimit: number): number {
    const limit = Math.min(this.relay.limits.sessions ?? settingLimit, this.lease?.sessions ?? settingLimit);
    return this.isProbing
      ? 1
      : Math.min(
          limit,
          1 + Math.floor((backlog + this.parked.length + this.aside.length) / BACKLOG_PER_SESSION),
        );
  }

  /** False where too much waits for this relay already. */
  park(routed: RoutedItem): boolean {
    if (this.parked.length >= PARKED_LIMIT) return false;
    this.parked.push(routed);
    return true;
  }

  /** Puts back what was taken and cannot be sent yet. */
  unpark(routed: RoutedItem): void {
    this.parked.unshift(routed);
  }

  takeParked(): RoutedItem | undefined {
    return this.parked.shift();
  }

  takeAllParked(): RoutedItem[] {
    return this.parked.splice(0);
  }

  get hasParked(): boolean {
    return this.parked.length + this.aside.length > 0;
  }

  setAside(id: string): void {
    this.aside.push(id);
  }

  takeAside(): string | undefined {
    return this.aside.shift();
  }

  takeAllAside(): string[] {
    return this.aside.splice(0);
  }

  /** The relay is at fault: closes it for a while. True where it was in order before: the account is told once. */
  close(
    cause: { reason: string; code?: number | undefined },
    backoff: { firstMs: number; maxMs: number },
  ): boolean {
    const isNews = this.failures === 0;
    this.failures++;
    const nowMs = Date.now();
    this.closedUntilMs = nowMs + backoffMs(this.failures, Math.random(), backoff);
    this.lastFault = {
      atMs: nowMs,
      reason: cause.reason,
      ...(cause.code === undefined ? {} : { code: cause.code }),
    };
    this.lease = undefined;
    return isNews;
  }

  /** A session was opened, or mail was taken. */
  recover(): void {
    this.failures = 0;
    this.closedUntilMs = 0;
  }

  /** Relay or account changed: a fresh chance. */
  reset(relay: SendingRelay): void {
    this.relay = relay;
    this.recover();
    this.pausedUntilMs = 0;
    this.fullUntilMs = 0;
    this.lease = undefined;
  }

  /** What the gate says of the breaker that all holders share. */
  closeUntil(atMs: number): void {
    this.closedUntilMs = atMs;
  }

  pauseUntil(atMs: number): void {
    this.pausedUntilMs = Math.max(this.pausedUntilMs, atMs);
  }

  /** The gate has no more sessions to lend until then; those that are open go on. */
  growNotBefore(atMs: number): void {
    this.fullUntilMs = atMs;
  }

  mayGrow(nowMs: number): boolean {
    return this.isOpen(nowMs) && this.fullUntilMs <= nowMs;
  }

  /** What the gate granted. */
  grant(lease: Lease): void {
    const { sessions, messages, validUntilMs } = lease;
    this.hasProbe = lease.probe === true;
    this.lease = { sessions, messages, validUntilMs };
    if (lease.closedUntilMs !== undefined) this.closedUntilMs = lease.closedUntilMs;
  }

  get leasedSessions(): number {
    return this.lease?.sessions ?? 0;
  }

  /** Uses up a permit of the lease; false where a new lease is needed. */
  usePermit(nowMs: number): boolean {
    if (!this.lease || this.lease.validUntilMs <= nowMs || this.lease.messages === 0) return false;
    this.lease.messages--;
    return true;
  }

  /** Permits that are left, which are handed back with this call. */
  dropLease(): number {
    const left = this.lease?.messages ?? 0;
    this.lease = undefined;
    return left;
  }

  countDelivered(nowMs: number): void {
    this.rollMinute(nowMs);
    this.minute.count++;
  }

  use(nowMs: number): RelayUse {
    this.rollMinute(nowMs);
    const share = 1 - (nowMs - this.minute.startMs) / MINUTE_MS;
    const isClosed = this.closedUntilMs > nowMs;
    return {
      openSessions: this.sessions - this.opening,
      breaker: isClosed ? 'open' : this.failures > 0 ? 'half_open' : 'closed',
      ...(isClosed ? { reopensAtMs: this.closedUntilMs } : {}),
      ...(this.lastFault ? { lastFault: this.lastFault } : {}),
      deliveredLastMinute: this.minute.count + Math.round(this.minute.before * share),
    };
  }

  private rollMinute(nowMs: number): void {
    const startMs = nowMs - (nowMs % MINUTE_MS);
    if (startMs === this.minute.startMs) return;
    const isNext = startMs - this.minute.startMs === MINUTE_MS;
    this.minute = { startMs, count: 0, before: isNext ? this.minute.count : 0 };
  }
}
