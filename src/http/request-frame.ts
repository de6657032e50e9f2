/** What every request gets: an id, headers that fit an API for servers, and one line in the log. */
import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { settingsOf } from '../env.ts';
import { newId } from '../ids.ts';
import { logEvent } from '../log.ts';
import type { AppTypes } from './app-types.ts';

const FIXED_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

function frameHeaders(c: Context<AppTypes>) {
  return { 'x-request-id': c.get('requestId'), ...FIXED_HEADERS };
}

/**
 * An answer with all its headers made in one step, for the routes where many are: each header that is set alone takes as
 * long as making the answer.
 */
export function framedJson(
  c: Context<AppTypes>,
  body: unknown,
  headers: Readonly<Record<string, string>>,
): Response {
  c.set('isFramed', true);
  return new Response(JSON.stringify(body), {
    headers: { 'content-type': 'application/json', ...frameHeaders(c), ...headers },
  });
}

export const requestFrame: MiddlewareHandler<AppTypes> = async (c, next) => {
  const startedMs = Date.now();
  const requestId = newId('request', startedMs);
  c.set('requestId', requestId);
  try {
    await next();
  } finally {
    c.get('releaseBody')?.();
  }
  if (!c.get('isFramed')) {
    // On the answer itself: Hono would copy it.
    const { headers } = c.res;
    for (const [name, value] of Object.entries(frameHeaders(c))) headers.set(name, value);
  }
  if (c.res.status < 400 && settingsOf(c.env).LOG_REQUESTS === 'errors') return;
  logEvent('request', {
    request_id: requestId,
    method: c.req.method,
    // The pattern, never the URL: its path and query carry addresses.
    route: routePath(c, -1),
    status: c.res.status,
    account_id: c.get('service')?.scope.accountId,
    ms: Date.now() - startedMs,
    code: c.get('errorCode'),
  });
};
