/** Who uses the relay: what each outbox holds, wants and was given. Bounded, and forgets who is gone. */
import { type LeaseRequest, SESSION_LEASE_MS } from './client.ts';
import type { Claim } from './fair-part.ts';

export const MAX_HOLDERS = 2_000;
/** How long an outbox that asked counts as a competitor beyond the time it was told to ask again. */
const COMPETES_MS = 3_000;
const COMPETES_MAX_MS = 60_000;
const FORGOTTEN_MS = 60_000;

export type Dimension = 'second' | 'minute' | 'day';
export const WINDOW_MS: Readonly<Record<Dimension, number>> = {
  second: 1_000,
  minute: 60_000,
  day: 86_400_000,
};

/** A number of sessions that counts until a time. */
interface Reserved {
  count: number;
  untilMs: number;
}

export class Holder {
  readonly name: string;
  askedAtMs = 0;
  competesUntilMs = 0;
  wantsSessions = 0;
  wantsMessages = 0;
  servedAtMs = 0;
  /** Since when it has had a session without a break; kept after, so that turns are taken. */
  sessionsSinceMs = 0;
  readonly granted: Reserved = { count: 0, untilMs: 0 };
  /** Open beyond what was granted: to be closed after their message, and not free before. */
  readonly leaving: Reserved = { count: 0, untilMs: 0 };
  openSessions = 0;
  /** Permits of the last lease, and the times at which they were charged. */
  grant = { count: 0, atMs: 0, validUntilMs: 0, inDay: false };
  private readonly used: Record<Dimension, number> = { second: 0, minute: 0, day: 0 };
  private usedAtMs = 0;

  constructor(name: string) {
    this.name = name;
  }

  ask(request: LeaseRequest, nowMs: number): void {
    this.askedAtMs = nowMs;
    this.competesUntilMs = nowMs + COMPETES_MS;
    this.wantsSessions = wholeOf(request.sessions);
    this.wantsMessages = wholeOf(request.messages);
  }

  /** It was told to ask again then, and keeps its place until it has. */
  waitUntil(retryAtMs: number, nowMs: number): void {
    this.competesUntilMs = Math.min(retryAtMs, nowMs + COMPETES_MAX_MS) + COMPETES_MS;
  }

  competes(nowMs: number): boolean {
    return this.competesUntilMs > nowMs && this.askedAtMs <= nowMs;
  }

  occupied(nowMs: number): number {
    return countAt(this.granted, nowMs) + countAt(this.leaving, nowMs);
  }

  hold(sessions: number, openSessions: number | undefined, until: { nowMs: number; untilMs: number }): void {
    const { nowMs, untilMs } = until;
    const occupied = this.occupied(nowMs);
    // Who does not say how many are open may have all of the last lease open, until that one ends.
    const isLess = countAt(this.granted, nowMs) > sessions;
    const earlierUntilMs = Math.max(this.leaving.untilMs, isLess ? this.granted.untilMs : 0);
    this.leaving.count = Math.max(0, (openSessions ?? occupied) - sessions);
    this.leaving.untilMs = openSessions === undefined ? earlierUntilMs : untilMs;
    if (sessions > 0 && occupied === 0) this.sessionsSinceMs = nowMs;
    this.granted.count = sessions;
    this.granted.untilMs = untilMs;
    this.openSessions = openSessions ?? sessions;
  }

  letGo(): void {
    this.granted.count = 0;
    this.leaving.count = 0;
    this.openSessions = 0;
    this.competesUntilMs = 0;
  }

  serve(count: number, nowMs: number): void {
    if (count > 0) this.servedAtMs = nowMs;
    for (const dimension of ['second', 'minute', 'day'] as const)
      this.used[dimension] = Math.max(0, this.usedOf(dimension, nowMs) + count);
    this.usedAtMs = nowMs;
  }

  /** Fades over the window: what counts for fairness need not be exact. */
  usedOf(dimension: Dimension, nowMs: number): number {
    return this.used[dimension] * Math.exp(-Math.max(0, nowMs - this.usedAtMs) / WINDOW_MS[dimension]);
  }

  messageClaim(dimension: Dimension, nowMs: number): Claim {
    return {
      wants: this.wantsMessages,
      used: this.usedOf(dimension, nowMs),
      servedAtMs: this.servedAtMs,
    };
  }

  sessionClaim(nowMs: number): Claim {
    const used = this.occupied(nowMs);
    return { wants: this.wantsSessions - used, used, servedAtMs: this.sessionsSinceMs };
  }
}

export class Holders {
  private readonly byName = new Map<string, Holder>();

  get size(): number {
    return this.byName.size;
  }

  find(name: string): Holder | undefined {
    return this.byName.get(name);
  }

  /** Undefined where there are as many as there may be, all with sessions. */
  findOrAdd(name: string, nowMs: number): Holder | undefined {
    const known = this.byName.get(name);
    if (known) return known;
    if (this.byName.size >= MAX_HOLDERS) this.makeRoom(nowMs);
    if (this.byName.size >= MAX_HOLDERS) return undefined;
    const holder = new Holder(name);
    this.byName.set(name, holder);
    return holder;
  }

  *others(self: Holder): Generator<Holder> {
    for (const holder of this.byName.values()) if (holder !== self) yield holder;
  }

  occupied(nowMs: number): number {
    let sum = 0;
    for (const holder of this.byName.values()) sum += holder.occupied(nowMs);
    return sum;
  }

  openSessions(nowMs: number): number {
    let sum = 0;
    for (const holder of this.byName.values()) if (holder.occupied(nowMs) > 0) sum += holder.openSessions;
    return sum;
  }

  /** All that are gone; where nobody is, the one without sessions that asked longest ago. */
  private makeRoom(nowMs: number): void {
    let oldest: Holder | undefined;
    for (const holder of this.byName.values()) {
      if (holder.occupied(nowMs) > 0) continue;
      if (Math.abs(nowMs - holder.askedAtMs) > FORGOTTEN_MS) this.byName.delete(holder.name);
      if (!oldest || holder.askedAtMs < oldest.askedAtMs) oldest = holder;
    }
    if (this.byName.size >= MAX_HOLDERS && oldest) this.byName.delete(oldest.name);
  }
}

/** What crosses the boundary as a number is made a whole one, not below nought. */
export function wholeOf(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.floor(value)) : 0;
}

/** Never for longer than a lease: the clock may have been ahead when it was given. */
function countAt(reserved: Reserved, nowMs: number): number {
  reserved.untilMs = Math.min(reserved.untilMs, nowMs + SESSION_LEASE_MS);
  return nowMs < reserved.untilMs ? reserved.count : 0;
}
