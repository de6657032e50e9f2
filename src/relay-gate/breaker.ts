/**
 * The breaker of a relay. A fault of the relay opens it for a time that doubles with each failure; then one holder at
 * a time may probe. Its success closes the breaker, its failure opens it for longer, its silence lets the next one try.
 */
import { backoffMs } from '../delivery/retry-schedule.ts';
import type { BreakerState, GateFault, GateHealth } from './client.ts';

/** Counted from the last time its holder asked; covers a slow connect, banner and login. */
export const PROBE_MS = 60_000;
const PROBE_RETRY_MS = 2_000;

export interface SavedBreaker {
  readonly failures: number;
  readonly openUntilMs: number;
  readonly lastFault?: NonNullable<GateHealth['lastFault']>;
}

export interface BackoffSettings {
  readonly firstMs: number;
  readonly maxMs: number;
}

export type Admission =
  | { readonly kind: 'closed' }
  | { readonly kind: 'probe' }
  | { readonly kind: 'refused'; readonly untilMs: number };

export class Breaker {
  private readonly settings: BackoffSettings;
  private failures: number;
  private openUntilMs: number;
  private lastFault: GateHealth['lastFault'];
  private probe: { holder: string; untilMs: number } | undefined;

  constructor(settings: BackoffSettings, saved?: SavedBreaker) {
    this.settings = settings;
    this.failures = saved?.failures ?? 0;
    this.openUntilMs = saved?.openUntilMs ?? 0;
    this.lastFault = saved?.lastFault;
  }

  state(nowMs: number): BreakerState {
    if (this.failures === 0) return 'closed';
    return nowMs < this.reopensAt(nowMs) ? 'open' : 'half_open';
  }

  /** Whether `holder` may use the relay. Changes nothing: a probe begins with `startProbe`. */
  admit(holder: string, nowMs: number): Admission {
    const state = this.state(nowMs);
    if (state === 'closed') return { kind: 'closed' };
    if (state === 'open') return { kind: 'refused', untilMs: this.openUntilMs };
    const rival = this.probe && this.probe.holder !== holder ? this.probe : undefined;
    if (!rival || rival.untilMs <= nowMs || rival.untilMs > nowMs + PROBE_MS) return { kind: 'probe' };
    return { kind: 'refused', untilMs: Math.min(rival.untilMs, nowMs + PROBE_RETRY_MS) };
  }

  startProbe(holder: string, nowMs: number): void {
    this.probe = { holder, untilMs: nowMs + PROBE_MS };
  }

  /** A prober that leaves without a word lets the next one try. */
  forget(holder: string): void {
    if (this.probe?.holder === holder) this.probe = undefined;
  }

  /** `changed` where there is something to save. Many sessions see one outage: it counts once. */
  fail(
    holder: string,
    fault: GateFault,
    at: { nowMs: number; random: number },
  ): { closedUntilMs: number; opened: boolean; changed: boolean } {
    const { nowMs, random } = at;
    const { reason, code, retryAfterMs = 0 } = fault;
    const state = this.state(nowMs);
    const admission = this.admit(holder, nowMs);
    this.lastFault = { atMs: nowMs, reason, ...(code === undefined ? {} : { code }) };
    const asked = nowMs + Math.min(Math.max(0, retryAfterMs), this.settings.maxMs);
    if (admission.kind === 'refused') {
      if (state === 'open' && asked > this.openUntilMs) {
        this.openUntilMs = asked;
        return { closedUntilMs: asked, opened: false, changed: true };
      }
      return { closedUntilMs: admission.untilMs, opened: false, changed: false };
    }
    this.failures++;
    this.probe = undefined;
    const backoff = Math.min(backoffMs(this.failures, random, this.settings), this.settings.maxMs);
    this.openUntilMs = Math.max(nowMs + backoff, asked);
    return { closedUntilMs: this.openUntilMs, opened: state === 'closed', changed: true };
  }

  /** Only a probe can close it: an older session may still work where a new one is refused. */
  succeed(holder: string, nowMs: number): boolean {
    if (this.state(nowMs) !== 'half_open' || (this.probe && this.probe.holder !== holder)) return false;
    this.reset();
    return true;
  }

  /** True where it was not closed before. */
  reset(): boolean {
    const wasOpen = this.failures > 0;
    this.failures = 0;
    this.openUntilMs = 0;
    this.probe = undefined;
    return wasOpen;
  }

  health(nowMs: number): Pick<GateHealth, 'breaker' | 'reopensAtMs' | 'lastFault'> {
    const breaker = this.state(nowMs);
    return {
      breaker,
      ...(breaker === 'open' ? { reopensAtMs: this.openUntilMs } : {}),
      ...(this.lastFault ? { lastFault: this.lastFault } : {}),
    };
  }

  snapshot(): SavedBreaker {
    const { failures, openUntilMs, lastFault } = this;
    return { failures, openUntilMs, ...(lastFault ? { lastFault } : {}) };
  }

  /** Never further away than a backoff can be: the clock may have been ahead when it was set. */
  private reopensAt(nowMs: number): number {
    this.openUntilMs = Math.min(this.openUntilMs, nowMs + this.settings.maxMs);
    return this.openUntilMs;
  }
}
