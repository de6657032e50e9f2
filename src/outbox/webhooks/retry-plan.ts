/**
 * What an attempt at a webhook means. Pure.
 * - 2xx is success; 410 ends the webhook; everything else, a redirect too, is tried again by the schedule.
 * - Retry-After, and the answers of a server that is overloaded, hold up everything that goes to the endpoint.
 */
export interface AttemptResult {
  readonly atMs: number;
  /** Absent where there was no answer. */
  readonly status?: number;
  /** The first bytes of the answer, or a fixed word where there was none. */
  readonly response: string;
  readonly tookMs: number;
  readonly retryAfterMs?: number;
}

export interface NextStep {
  readonly outcome: 'success' | 'pending' | 'failed';
  readonly nextAtMs?: number;
  /** The endpoint wants no more: the webhook is to be disabled. */
  readonly isGone: boolean;
  /** Nothing goes to this endpoint before. */
  readonly pausedUntilMs?: number;
}

const THROTTLED: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;
const JITTER = 0.2;

/** `tries` counts this attempt too; `delaysMs` are those before each attempt, the first one included. */
export function planNext(
  result: AttemptResult,
  tries: number,
  options: { readonly delaysMs: readonly number[]; readonly random: number },
): NextStep {
  const { status } = result;
  if (status !== undefined && status >= 200 && status < 300) return { outcome: 'success', isGone: false };
  if (status === 410) return { outcome: 'failed', isGone: true };
  const endedAtMs = result.atMs + result.tookMs;
  const askedMs = Math.min(result.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
  const isThrottled = status !== undefined && THROTTLED.has(status);
  const pauseMs = Math.max(askedMs, isThrottled ? (options.delaysMs[1] ?? 0) : 0);
  const pause = pauseMs > 0 ? { pausedUntilMs: endedAtMs + pauseMs } : {};
  const delayMs = options.delaysMs[tries];
  if (delayMs === undefined) return { outcome: 'failed', isGone: false, ...pause };
  // Never earlier than the schedule says.
  const waitMs = Math.max(Math.ceil(delayMs * (1 + JITTER * options.random)), pauseMs);
  return { outcome: 'pending', nextAtMs: endedAtMs + waitMs, isGone: false, ...pause };
}

/** Seconds or a date. Undefined for anything else. */
export function retryAfterOf(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header.trim()) * 1000;
  const atMs = /GMT$/.test(header.trim()) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
