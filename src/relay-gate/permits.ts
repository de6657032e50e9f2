/**
 * Permits to start a message: at most so many in a second, a minute and a day, each window sliding.
 *
 * A permit counts in its minute and its day from the moment it is granted until one window after the last moment at which
 * it may be used, so the bound holds for messages started and not only for permits granted. In its second it counts from the
 * grant alone: counting its validity too would halve the rate. So N a second means never more than N granted in any second.
 */
import type { GateLimits } from './client.ts';
import { fairPart } from './fair-part.ts';
import { type Dimension, type Holder, WINDOW_MS, wholeOf } from './holders.ts';
import { RateWindow, type SlotCounts } from './rate-window.ts';

const SLOT_MS: Readonly<Record<Dimension, number>> = { second: 50, minute: 500, day: 15 * 60_000 };
/** Asking for each permit as it comes free would cost a call for each message. */
const MIN_RETRY_MS: Readonly<Record<Dimension, number>> = { second: 250, minute: 2_000, day: 60_000 };
/** When what was left for others may be had after all. */
const FAIR_RETRY_MS = 1_000;
/** Long enough for the answer to arrive and a batch to start, short enough to lose little of the window. */
const VALID_MS: Readonly<Record<Dimension | 'none', number>> = {
  second: 1_000,
  minute: 2_000,
  day: 15_000,
  none: 15_000,
};
export const MAX_VALID_MS = 15_000;
/** A part of the day's limit that is written down before it is granted; a crash loses the rest of it. */
const DAY_BLOCKS = 100;

export interface PermitGrant {
  readonly messages: number;
  readonly validUntilMs: number;
  readonly retryAtMs?: number;
}

export interface SavedWindows {
  readonly minute: SlotCounts;
  readonly day: SlotCounts;
}

type Limits = Partial<Record<Dimension, number>>;

export class Permits {
  private readonly second = new RateWindow(WINDOW_MS.second, SLOT_MS.second);
  private readonly minute: RateWindow;
  private readonly day: RateWindow;
  /** What was granted, by the time of the grant: for people to look at. */
  private readonly granted = new RateWindow(WINDOW_MS.minute, 1_000);
  /** What storage says of the present slot of the day. */
  private savedDay: { slot: number; count: number } = { slot: -1, count: 0 };
  private dayLimit = 0;

  constructor(saved?: SavedWindows) {
    this.minute = new RateWindow(WINDOW_MS.minute, SLOT_MS.minute, saved?.minute);
    this.day = new RateWindow(WINDOW_MS.day, SLOT_MS.day, saved?.day);
  }

  /** What was granted until `untilMs` is not known, but for the day. */
  forgetUntil(untilMs: number): void {
    this.forgetSecond(untilMs);
    this.minute.blockedUntilMs = untilMs + VALID_MS.minute + WINDOW_MS.minute;
  }

  /** The second is never saved. */
  forgetSecond(untilMs: number): void {
    this.second.blockedUntilMs = untilMs + WINDOW_MS.second;
  }

  advance(nowMs: number): void {
    this.second.advance(nowMs, nowMs);
    this.minute.advance(nowMs, nowMs + MAX_VALID_MS);
    this.day.advance(nowMs, nowMs + MAX_VALID_MS);
    this.granted.advance(nowMs, nowMs);
  }

  get grantedLastMinute(): number {
    return this.granted.total;
  }

  /** Grants and counts. `slowed` is a bound on the minute that does not come from the settings. */
  grant(
    holder: Holder,
    others: readonly Holder[],
    request: { wants: number; limits: GateLimits; slowed: number | undefined; nowMs: number },
  ): PermitGrant {
    const { wants, nowMs } = request;
    const limits = limitsOf(request.limits, request.slowed);
    const validUntilMs = nowMs + validityOf(limits);
    let messages = wants;
    const parts = new Map<Dimension, number>();
    for (const dimension of ['second', 'minute', 'day'] as const) {
      const limit = limits[dimension];
      if (limit === undefined) continue;
      const available = this[dimension].available(limit, nowMs);
      const claims = others.map((other) => other.messageClaim(dimension, nowMs));
      const part = fairPart({ ...holder.messageClaim(dimension, nowMs), wants }, claims, {
        available,
        limit,
      });
      parts.set(dimension, part);
      messages = Math.min(messages, part);
    }
    this.count(holder, messages, { nowMs, validUntilMs, limits });
    if (messages === wants) return { messages, validUntilMs };
    let retryAtMs = nowMs;
    for (const [dimension, part] of parts)
      if (part < wants)
        retryAtMs = Math.max(retryAtMs, this.retryAt(dimension, limits[dimension] ?? 0, nowMs));
    return { messages, validUntilMs, retryAtMs };
  }

  /** Takes back what `holder` did not use of its last lease. */
  giveBack(holder: Holder, unused: number, nowMs: number): void {
    const { grant } = holder;
    const count = Math.min(wholeOf(unused), grant.count);
    if (count === 0) return;
    grant.count -= count;
    this.second.giveBack(count, grant.atMs);
    this.minute.giveBack(count, grant.validUntilMs);
    if (grant.inDay) this.day.giveBack(count, grant.validUntilMs);
    this.granted.giveBack(count, grant.atMs);
    holder.serve(-count, nowMs);
  }

  /** True where the day has more granted than storage says. */
  get isDayUnsaved(): boolean {
    const { slot, count } = this.savedDay;
    return slot >= 0 && this.dayCount(slot) > count;
  }

  /** With `ahead`, the present slot of the day is written with a block that may then be granted without writing. */
  snapshot({ ahead }: { ahead: boolean }): SavedWindows {
    const { slot } = this.savedDay;
    const room = ahead ? Math.max(0, this.dayLimit - this.day.total) : 0;
    const count = this.dayCount(slot) + Math.min(room, Math.ceil(this.dayLimit / DAY_BLOCKS));
    this.savedDay = { slot, count };
    const day = this.day.counts().filter(([other]) => other !== slot);
    return { minute: this.minute.counts(), day: count > 0 ? [...day, [slot, count]] : day };
  }

  private count(
    holder: Holder,
    messages: number,
    at: { nowMs: number; validUntilMs: number; limits: Limits },
  ): void {
    const { nowMs, validUntilMs, limits } = at;
    const inDay = limits.day !== undefined;
    holder.serve(messages, nowMs);
    holder.grant = { count: messages, atMs: nowMs, validUntilMs, inDay };
    if (messages === 0) return;
    this.second.charge(messages, nowMs);
    this.minute.charge(messages, validUntilMs);
    this.granted.charge(messages, nowMs);
    if (!inDay) return;
    this.day.charge(messages, validUntilMs);
    this.dayLimit = limits.day ?? 0;
    const slot = this.day.slotOf(validUntilMs);
    if (slot !== this.savedDay.slot) this.savedDay = { slot, count: 0 };
  }

  private dayCount(slot: number): number {
    return this.day.countAt(slot * SLOT_MS.day);
  }

  private retryAt(dimension: Dimension, limit: number, nowMs: number): number {
    const window = this[dimension];
    if (window.available(limit, nowMs) > 0) return nowMs + FAIR_RETRY_MS;
    return Math.max(window.freeAt(limit, nowMs), nowMs + MIN_RETRY_MS[dimension]);
  }
}

function limitsOf({ perSecond, perMinute, perDay }: GateLimits, slowed: number | undefined): Limits {
  const limits: Limits = {};
  if (perSecond !== undefined) limits.second = wholeOf(perSecond);
  if (perMinute !== undefined || slowed !== undefined)
    limits.minute = wholeOf(
      Math.min(perMinute ?? Number.MAX_SAFE_INTEGER, slowed ?? Number.MAX_SAFE_INTEGER),
    );
  if (perDay !== undefined) limits.day = wholeOf(perDay);
  return limits;
}

function validityOf(limits: Limits): number {
  if (limits.second !== undefined) return VALID_MS.second;
  if (limits.minute !== undefined) return VALID_MS.minute;
  return limits.day === undefined ? VALID_MS.none : VALID_MS.day;
}
