/** What all routes that send mail have in common on the wire. */
import type { Context } from 'hono';
import { AppError } from '../errors.ts';
import { RefusedByLedger, type Sent } from '../services/send-emails.ts';
import type { AppTypes } from './app-types.ts';

export function idempotencyKeyOf(c: Context<AppTypes>): string | undefined {
  const key = c.req.header('idempotency-key');
  if (key !== undefined && !/^[\x20-\x7e]{1,256}$/.test(key)) throw new AppError('invalid_idempotency_key');
  return key;
}

function setRateHeaders(
  c: Context<AppTypes>,
  rate: { limit: number; remaining: number; resetSeconds: number },
): void {
  c.header('ratelimit-limit', String(rate.limit));
  c.header('ratelimit-remaining', String(rate.remaining));
  c.header('ratelimit-reset', String(rate.resetSeconds));
}

/** What was sent, with the state of the key's send limit in the headers; also where it was refused. */
export async function withRateHeaders(c: Context<AppTypes>, sending: Promise<Sent>): Promise<Sent['emails']> {
  try {
    const { emails, rate } = await sending;
    setRateHeaders(c, rate);
    return emails;
  } catch (error) {
    if (error instanceof RefusedByLedger) setRateHeaders(c, error.rate);
    throw error;
  }
}
