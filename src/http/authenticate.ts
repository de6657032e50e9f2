/**
 * Who asks? Keys come only in `Authorization: Bearer`. This runs on everything under /v1 before routing
 * looks at the rest of the path, so no spelling of a path gets around it.
 */
import type { Context, MiddlewareHandler } from 'hono';
import { equalSecrets } from '../crypto/equal.ts';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { authenticateKey } from '../services/authenticate-key.ts';
import type { AppTypes } from './app-types.ts';

/** All that a key with `sending_access` may call. */
const SENDING_PATHS = new Set(['/v1/emails', '/v1/emails/batch', '/v1/emails/raw']);

/** Routes of the operator: the operator token instead of an API key. */
export const requireOperator: MiddlewareHandler<AppTypes> = async (c, next) => {
  const token = bearerToken(c);
  if (!equalSecrets(token, settingsOf(c.env).ADMIN_TOKEN)) throw new AppError('invalid_admin_token');
  c.set('operator', true);
  await next();
};

export const requireApiKey: MiddlewareHandler<AppTypes> = async (c, next) => {
  if (c.get('operator')) return next();
  const found = await authenticateKey(c.env, bearerToken(c), (work) => {
    c.executionCtx.waitUntil(work.catch(() => undefined));
  });
  if (!found) throw new AppError('invalid_api_key');
  const { key, scope } = found;
  const sends = c.req.method === 'POST' && SENDING_PATHS.has(c.req.path);
  if (key.permission !== 'full_access' && !sends) throw new AppError('restricted_api_key');
  if (key.accountStatus === 'closed') throw new AppError('account_closed');
  if (key.accountStatus === 'suspended' && sends) throw new AppError('account_suspended');
  c.set('service', {
    env: c.env,
    scope,
    actor: { kind: 'api_key', keyId: key.id },
    requestId: c.get('requestId'),
  });
  if (key.domainId !== null) c.set('boundDomainId', key.domainId);
  await next();
};

function bearerToken(c: Context<AppTypes>): string {
  const header = c.req.header('authorization');
  if (header === undefined || header.trim() === '') throw new AppError('missing_api_key');
  const token = /^Bearer +([^\s]+)$/i.exec(header)?.[1];
  // Another scheme carries no API key at all.
  if (token === undefined)
    throw new AppError(/^Bearer\b/i.test(header) ? 'invalid_api_key' : 'missing_api_key');
  return token;
}
