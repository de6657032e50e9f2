/** An exact limit per API key, in the memory of the object that accepts for it. */
import type { RateState } from './client.ts';
import { shareOf } from './shards.ts';

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Keys that have been quiet for longer than it takes to fill up need no bucket. */
const MAX_BUCKETS = 1000;
/** A batch request. */
const MAX_TAKEN = 100;

export class TokenBuckets {
  private readonly buckets = new Map<string, Bucket>();
  private readonly perSecond: number;

  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  /**
   * Takes `count` tokens if there are as many; says how long to wait otherwise. A bucket holds at most what a
   * batch request needs, or one second's worth; of several shards each has an equal part of the limit.
   */
  take(
    key: string,
    count: number,
    nowMs: number,
    shards = 1,
  ): { ok: boolean; rate: RateState; retryAfterSeconds: number } {
    const perSecond = shareOf(this.perSecond, shards);
    const capacity = Math.max(perSecond, MAX_TAKEN);
    const bucket = this.buckets.get(key) ?? { tokens: capacity, atMs: nowMs };
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(capacity, bucket.tokens + (elapsedMs * perSecond) / 1000);
    bucket.atMs = nowMs;
    const ok = bucket.tokens >= count;
    if (ok) bucket.tokens -= count;
    this.buckets.delete(key);
    this.buckets.set(key, bucket);
    if (this.buckets.size > MAX_BUCKETS) this.buckets.delete(this.buckets.keys().next().value ?? '');
    const missing = Math.max(0, count - bucket.tokens);
    return {
      ok,
      rate: {
        limit: capacity,
        remaining: Math.floor(bucket.tokens),
        resetSeconds: Math.ceil((capacity - bucket.tokens) / perSecond),
      },
      retryAfterSeconds: Math.max(1, Math.ceil(missing / perSecond)),
    };
  }
}
