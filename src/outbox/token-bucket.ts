/** An exact limit per API key, in the memory of the object that accepts for it. */
import type { RateState } from './client.ts';

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Keys that have been quiet for longer than it takes to fill up need no bucket. */
const MAX_BUCKETS = 1000;

export class TokenBuckets {
  private readonly buckets = new Map<string, Bucket>();
  private readonly perSecond: number;
  private readonly capacity: number;

  /** Holds at most what a batch request needs, or one second's worth. */
  constructor(perSecond: number) {
    this.perSecond = perSecond;
    this.capacity = Math.max(perSecond, 100);
  }

  /** Takes `count` tokens if there are as many; says how long to wait otherwise. */
  take(
    key: string,
    count: number,
    nowMs: number,
  ): { ok: boolean; rate: RateState; retryAfterSeconds: number } {
    const bucket = this.buckets.get(key) ?? { tokens: this.capacity, atMs: nowMs };
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(this.capacity, bucket.tokens + (elapsedMs * this.perSecond) / 1000);
    bucket.atMs = nowMs;
    const ok = bucket.tokens >= count;
    if (ok) bucket.tokens -= count;
    this.buckets.delete(key);
    this.buckets.set(key, bucket);
    if (this.buckets.size > MAX_BUCKETS) this.buckets.delete(this.buckets.keys().next().value ?? '');
    const missing = Math.max(0, count - bucket.tokens);
    return {
      ok,
      rate: this.stateOf(bucket),
      retryAfterSeconds: Math.max(1, Math.ceil(missing / this.perSecond)),
    };
  }

  private stateOf(bucket: Bucket): RateState {
    return {
      limit: this.capacity,
      remaining: Math.floor(bucket.tokens),
      resetSeconds: Math.ceil((this.capacity - bucket.tokens) / this.perSecond),
    };
  }
}
