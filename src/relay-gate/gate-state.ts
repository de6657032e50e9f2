/**
 * The state of a gate, without clock, chance or storage: the object around it passes them in.
 *
 * - Sessions: what all holders have open, or may open, is never more than the limit. A lease that is not renewed ends.
 * - Permits: see permits.ts. - Faults: see breaker.ts. - "Try again in N": see pace.ts.
 * - Nothing is written for a message. Written are changes of the breaker, blocks of the day's limit, and, where there are
 *   limits that a crash could make us forget, that leases may be out (at most once a minute) and that none is any more.
 */
import { type BackoffSettings, Breaker, type SavedBreaker } from './breaker.ts';
import {
  type GateFault,
  type GateHealth,
  type GateLimits,
  type Lease,
  type LeaseRequest,
  SESSION_LEASE_MS,
} from './client.ts';
import { fairPart } from './fair-part.ts';
import { type Holder, Holders, wholeOf } from './holders.ts';
import { Pace } from './pace.ts';
import { type PermitGrant, Permits, type SavedWindows } from './permits.ts';

/** One row says that leases may be out until a minute later. */
const LEASES_OUT_MS = 60_000;
/** Where there are fewer sessions than holders, one keeps its own for so long before it is the next one's turn. */
const TURN_MS = 30_000;
const SESSION_RETRY_MS = 2_000;
const FULL_RETRY_MS = 1_000;
/** A pause that is over sooner is not worth a row. */
const SAVED_PAUSE_MS = 30_000;

export interface SavedGate {
  readonly breaker: SavedBreaker;
  readonly windows: SavedWindows;
  readonly version: number;
  readonly pausedUntilMs: number;
  /** Leases that are not in this record may have been given until then. */
  readonly leasesOutUntilMs: number;
  readonly savedAtMs: number;
}

export class GateState {
  private readonly breaker: Breaker;
  private readonly permits: Permits;
  private readonly pace: Pace;
  private readonly holders = new Holders();
  private version: number;
  private leasesOutUntilMs = 0;
  /** Until then sessions may be open that this object does not know of. */
  private readonly blindUntilMs: number;
  private leasesEndAtMs = 0;
  private savedPauseMs: number;
  private dirty = false;

  constructor(settings: BackoffSettings, saved: SavedGate | undefined, nowMs: number) {
    this.breaker = new Breaker(settings, saved?.breaker);
    this.permits = new Permits(saved?.windows);
    this.savedPauseMs = saved?.pausedUntilMs ?? 0;
    this.pace = new Pace(this.savedPauseMs);
    this.version = saved?.version ?? 0;
    const unknownUntilMs = Math.min(saved?.leasesOutUntilMs ?? 0, nowMs);
    this.blindUntilMs = unknownUntilMs && unknownUntilMs + SESSION_LEASE_MS;
    this.permits.forgetSecond(Math.min(saved?.savedAtMs ?? 0, nowMs));
    if (unknownUntilMs > 0) this.permits.forgetUntil(unknownUntilMs);
  }

  lease(request: LeaseRequest, nowMs: number): Lease {
    this.renew(request.version);
    this.permits.advance(nowMs);
    const holder = this.holders.findOrAdd(request.holder, nowMs);
    if (!holder) return refusal(nowMs, nowMs + FULL_RETRY_MS);
    this.permits.giveBack(holder, request.unused ?? 0, nowMs);
    holder.ask(request, nowMs);
    const admission = this.breaker.admit(holder.name, nowMs);
    if (admission.kind === 'refused') {
      this.hold(holder, 0, request, nowMs);
      return { ...refusal(nowMs, admission.untilMs), closedUntilMs: admission.untilMs };
    }
    const isProbe = admission.kind === 'probe';
    const lease = this.grant(holder, isProbe ? probeOf(request) : request, nowMs);
    if (lease.retryAtMs !== undefined) holder.waitUntil(lease.retryAtMs, nowMs);
    if (!isProbe) return lease;
    if (lease.sessions === 0 || (lease.messages === 0 && request.messages > 0)) {
      this.permits.giveBack(holder, lease.messages, nowMs);
      this.hold(holder, 0, request, nowMs);
      const retryAtMs = lease.retryAtMs ?? nowMs + SESSION_RETRY_MS;
      return { ...refusal(nowMs, retryAtMs), closedUntilMs: retryAtMs };
    }
    this.breaker.startProbe(holder.name, nowMs);
    return { ...lease, probe: true };
  }

  release(name: string, unused: number, nowMs: number): void {
    const holder = this.holders.find(name);
    this.breaker.forget(name);
    if (!holder) return;
    this.permits.advance(nowMs);
    this.permits.giveBack(holder, unused, nowMs);
    holder.letGo();
    this.settle(nowMs);
  }

  reportFault(
    holder: string,
    fault: GateFault,
    at: { nowMs: number; random: number },
  ): { closedUntilMs: number; opened: boolean } {
    if (fault.version !== undefined && fault.version < this.version)
      return { closedUntilMs: at.nowMs, opened: false };
    this.renew(fault.version);
    const { closedUntilMs, opened, changed } = this.breaker.fail(holder, fault, at);
    this.dirty ||= changed;
    return { closedUntilMs, opened };
  }

  reportThrottle(retryAfterMs: number, nowMs: number): void {
    this.permits.advance(nowMs);
    this.pace.throttle(retryAfterMs, this.permits.grantedLastMinute, nowMs);
    const pauseEndMs = this.pace.pauseEnd(nowMs);
    if (pauseEndMs - nowMs > SAVED_PAUSE_MS && pauseEndMs - this.savedPauseMs > SAVED_PAUSE_MS)
      this.dirty = true;
  }

  reportSuccess(holder: string, nowMs: number): { closed: boolean } {
    const closed = this.breaker.succeed(holder, nowMs);
    this.dirty ||= closed;
    return { closed };
  }

  health(nowMs: number): GateHealth {
    this.permits.advance(nowMs);
    return {
      ...this.breaker.health(nowMs),
      openSessions: this.holders.openSessions(nowMs),
      grantedLastMinute: this.permits.grantedLastMinute,
    };
  }

  /** While leases are out whose loss would matter, the object must not be evicted. Undefined where none is. */
  leasesEndAt(nowMs: number): number | undefined {
    return this.leasesOutUntilMs > 0 && this.leasesEndAtMs > nowMs ? this.leasesEndAtMs : undefined;
  }

  /** Where no lease is out any more, what is in memory is all there is to know: it is saved once, as it is. */
  settle(nowMs: number): void {
    if (this.leasesOutUntilMs === 0 || nowMs < this.blindUntilMs || this.holders.occupied(nowMs) > 0) return;
    this.leasesOutUntilMs = 0;
    this.dirty = true;
  }

  /** What must be durable before the last answer leaves; undefined where nothing must. */
  takeUnsaved(nowMs: number): SavedGate | undefined {
    if (!this.dirty && !this.permits.isDayUnsaved) return undefined;
    this.dirty = false;
    this.savedPauseMs = this.pace.pauseEnd(nowMs);
    return {
      breaker: this.breaker.snapshot(),
      windows: this.permits.snapshot({ ahead: this.leasesOutUntilMs > 0 }),
      version: this.version,
      pausedUntilMs: this.savedPauseMs,
      leasesOutUntilMs: this.leasesOutUntilMs,
      savedAtMs: nowMs,
    };
  }

  private grant(holder: Holder, request: LeaseRequest, nowMs: number): Lease {
    const rivals = [...this.holders.others(holder)].filter((other) => other.competes(nowMs));
    const sessions = this.sessionsFor(holder, rivals, request, nowMs);
    this.hold(holder, sessions, request, nowMs);
    const sessionsMissing = sessions < wholeOf(request.sessions);
    const permits = this.permitsFor(holder, rivals, {
      request,
      nowMs,
      idle: sessions === 0 && sessionsMissing,
    });
    const retryAtMs = Math.max(permits.retryAtMs ?? 0, sessionsMissing ? nowMs + SESSION_RETRY_MS : 0);
    if (sessions + permits.messages > 0) this.noteLease(request.limits, nowMs);
    return {
      sessions,
      sessionsUntilMs: nowMs + SESSION_LEASE_MS,
      messages: permits.messages,
      validUntilMs: permits.validUntilMs,
      ...(retryAtMs > 0 ? { retryAtMs } : {}),
    };
  }

  private sessionsFor(
    holder: Holder,
    rivals: readonly Holder[],
    request: LeaseRequest,
    nowMs: number,
  ): number {
    const wants = wholeOf(request.sessions);
    if (request.limits.sessions === undefined) return wants;
    const limit = wholeOf(request.limits.sessions);
    const own = holder.occupied(nowMs);
    const known = nowMs < this.blindUntilMs ? Math.max(own, wholeOf(request.openSessions ?? 0)) : limit;
    const available = Math.max(0, Math.min(known, limit - (this.holders.occupied(nowMs) - own)));
    const claims = rivals.map((rival) => rival.sessionClaim(nowMs));
    const part = fairPart({ ...holder.sessionClaim(nowMs), used: 0, wants }, claims, { available, limit });
    const isInTurn = own > 0 && Math.abs(nowMs - holder.sessionsSinceMs) < TURN_MS;
    return isInTurn ? Math.max(part, Math.min(1, wants, available)) : part;
  }

  /** Permits without a session to use them on, or in a pause, would only be lost. */
  private permitsFor(
    holder: Holder,
    rivals: readonly Holder[],
    { request, nowMs, idle }: { request: LeaseRequest; nowMs: number; idle: boolean },
  ): PermitGrant {
    const wants = wholeOf(request.messages);
    const pauseEndMs = this.pace.pauseEnd(nowMs);
    if (wants > 0 && pauseEndMs > nowMs) return { messages: 0, validUntilMs: nowMs, retryAtMs: pauseEndMs };
    if (idle) return { messages: 0, validUntilMs: nowMs };
    const slowed = this.pace.limit(nowMs);
    return this.permits.grant(holder, rivals, { wants, limits: request.limits, slowed, nowMs });
  }

  private hold(holder: Holder, sessions: number, request: LeaseRequest, nowMs: number): void {
    const open = request.openSessions === undefined ? undefined : wholeOf(request.openSessions);
    holder.hold(sessions, open, { nowMs, untilMs: nowMs + SESSION_LEASE_MS });
  }

  private noteLease({ sessions, perSecond, perMinute, perDay }: GateLimits, nowMs: number): void {
    if ((sessions ?? perSecond ?? perMinute ?? perDay) === undefined) return;
    this.leasesEndAtMs = nowMs + SESSION_LEASE_MS;
    if (nowMs < this.leasesOutUntilMs) return;
    this.leasesOutUntilMs = nowMs + LEASES_OUT_MS;
    this.dirty = true;
  }

  /** A relay that was changed starts afresh: its fault may be mended. */
  private renew(version: number | undefined): void {
    if (version === undefined || version <= this.version) return;
    this.version = version;
    this.pace.reset();
    if (this.breaker.reset()) this.dirty = true;
  }
}

function refusal(nowMs: number, retryAtMs: number): Lease {
  return { sessions: 0, sessionsUntilMs: nowMs, messages: 0, validUntilMs: nowMs, retryAtMs };
}

function probeOf(request: LeaseRequest): LeaseRequest {
  return { ...request, sessions: 1, messages: Math.min(1, wholeOf(request.messages)) };
}
