/** What all routes that send mail have in common on the wire. */
import type { Context } from 'hono';
import { AppError } from '../errors.ts';
import { RefusedByLedger, type Sent } from '../services/send-emails.ts';
import type { AppTypes } from './app-types.ts';
import { framedJson } from './request-frame.ts';
import { sentBody } from './routes/emails-output.ts';

export function idempotencyKeyOf(c: Context<AppTypes>): string | undefined {
  const key = c.req.header('idempotency-key');
  if (key !== undefined && !/^[\x20-\x7e]{1,256}$/.test(key)) throw new AppError('invalid_idempotency_key');
  return key;
}

/** The answer about one email. The state of the key's send limit stands in its headers, as it does in a refusal's. */
export async function answerSent(c: Context<AppTypes>, sending: Promise<Sent>): Promise<Response> {
  return answer(c, sending, ([email]) => sentBody(email));
}

/** The answer about several. */
export async function answerBatch(
  c: Context<AppTypes>,
  sending: Promise<Sent>,
  more: { readonly errors?: readonly unknown[] } = {},
): Promise<Response> {
  return answer(c, sending, (emails) => ({ data: emails.map(sentBody), ...more }));
}

async function answer(
  c: Context<AppTypes>,
  sending: Promise<Sent>,
  bodyOf: (emails: Sent['emails']) => unknown,
): Promise<Response> {
  try {
    const { emails, rate } = await sending;
    return framedJson(c, bodyOf(emails), rateHeaders(rate));
  } catch (error) {
    if (error instanceof RefusedByLedger) {
      for (const [name, value] of Object.entries(rateHeaders(error.rate))) c.header(name, value);
    }
    throw error;
  }
}

function rateHeaders({ limit, remaining, resetSeconds }: Sent['rate']): Readonly<Record<string, string>> {
  return {
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(resetSeconds),
  };
}
