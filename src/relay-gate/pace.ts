/**
 * What follows when a relay says "try again in N": no message until then, and after that half of what it was given in
 * the minute before, doubling each minute until it no longer matters.
 */

/** A relay that named a longer time is asked again after this. */
const MAX_PAUSE_MS = 15 * 60_000;
/** A relay that throttles one message is not to bring the rest to a halt. */
const LEAST_PER_MINUTE = 30;
const SLOW_MINUTES = 10;
const MINUTE_MS = 60_000;

export class Pace {
  private pausedUntilMs: number;
  private perMinute: number | undefined;

  constructor(pausedUntilMs = 0) {
    this.pausedUntilMs = pausedUntilMs;
  }

  throttle(retryAfterMs: number, grantedLastMinute: number, nowMs: number): void {
    const untilMs = nowMs + Math.min(Math.max(0, retryAfterMs), MAX_PAUSE_MS);
    // The sessions that run into one pause are one sign of haste, not many.
    if (nowMs >= this.pauseEnd(nowMs)) {
      const half = Math.floor(Math.min(grantedLastMinute, this.limit(nowMs) ?? grantedLastMinute) / 2);
      this.perMinute = Math.max(LEAST_PER_MINUTE, half);
    }
    this.pausedUntilMs = Math.max(this.pausedUntilMs, untilMs);
  }

  /** Not after now where there is no pause. */
  pauseEnd(nowMs: number): number {
    this.pausedUntilMs = Math.min(this.pausedUntilMs, nowMs + MAX_PAUSE_MS);
    return this.pausedUntilMs;
  }

  /** Messages per minute for now; undefined where the relay is not being slowed. */
  limit(nowMs: number): number | undefined {
    if (this.perMinute === undefined) return undefined;
    const minutes = Math.floor(Math.max(0, nowMs - this.pauseEnd(nowMs)) / MINUTE_MS);
    if (minutes >= SLOW_MINUTES) this.perMinute = undefined;
    return this.perMinute && this.perMinute * 2 ** minutes;
  }

  reset(): void {
    this.pausedUntilMs = 0;
    this.perMinute = undefined;
  }
}
