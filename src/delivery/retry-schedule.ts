/** When to try again. Pure: the caller gives the clock and the random number. */

export interface RetrySettings {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Counted from acceptance; after it a delivery expires. */
  readonly forMs: number;
}

/**
 * The time of the next attempt after `attempts` failed ones: doubling from `firstMs` to `maxMs`, plus or
 * minus a fifth so that a crowd spreads out, never past the time at which the message expires.
 * Undefined where that time has come already.
 */
export function nextAttemptAt(
  attempts: number,
  times: { acceptedAtMs: number; nowMs: number; random: number },
  settings: RetrySettings,
): number | undefined {
  const expiresAtMs = times.acceptedAtMs + settings.forMs;
  if (times.nowMs >= expiresAtMs) return undefined;
  return Math.min(times.nowMs + backoffMs(attempts, times.random, settings), expiresAtMs);
}

/** `random` in [0, 1). */
export function backoffMs(
  failures: number,
  random: number,
  settings: { firstMs: number; maxMs: number },
): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 30);
  const base = Math.min(settings.firstMs * 2 ** doublings, settings.maxMs);
  return Math.round(base * (0.8 + 0.4 * random));
}
