/** What all routes that send mail have in common on the wire. */
import type { Context } from 'hono';
import { AppError } from '../errors.ts';
import type { AppTypes } from './app-types.ts';

export function idempotencyKeyOf(c: Context<AppTypes>): string | undefined {
  const key = c.req.header('idempotency-key');
  if (key !== undefined && !/^[\x20-\x7e]{1,256}$/.test(key)) throw new AppError('invalid_idempotency_key');
  return key;
}

export function setRateHeaders(
  c: Context<AppTypes>,
  rate: { limit: number; remaining: number; resetSeconds: number },
): void {
  c.header('ratelimit-limit', String(rate.limit));
  c.header('ratelimit-remaining', String(rate.remaining));
  c.header('ratelimit-reset', String(rate.resetSeconds));
}
