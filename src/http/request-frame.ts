/** What every request gets: an id, headers that fit an API for servers, and one line in the log. */
import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { settingsOf } from '../env.ts';
import { newId } from '../ids.ts';
import { logEvent } from '../log.ts';
import type { AppTypes } from './app-types.ts';

export const requestFrame: MiddlewareHandler<AppTypes> = async (c, next) => {
  const startedMs = Date.now();
  const requestId = newId('request', startedMs);
  c.set('requestId', requestId);
  // Before the answer is made: headers that are set later are copied once more.
  c.header('x-request-id', requestId);
  c.header('cache-control', 'no-store');
  c.header('x-content-type-options', 'nosniff');
  try {
    await next();
  } finally {
    c.get('releaseBody')?.();
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
