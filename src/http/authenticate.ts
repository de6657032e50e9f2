/**
 * Who asks? Keys come only in `Authorization: Bearer`. This runs on everything under /v1 before routing
 * looks at the rest of the path, so no spelling of a path gets around it.
 */
import type { Context, MiddlewareHandler } from 'hono';
import { equalSecrets } from '../crypto/equal.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { authenticateKey } from '../services/authenticate-key.ts';
import type { AppTypes } from './app-types.ts';
import { clientIpOf } from './client-ip.ts';
import { publicOriginOf } from './public-origin.ts';

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
  const clientIp = () => clientIpOf(c);
  const found = await authenticateKey(c.env, { token: bearerToken(c), clientIp }, (work) => {
    c.executionCtx.waitUntil(work.catch(() => undefined));
  });
  if (!found) throw await failureOf(c.env, clientIp());
  const { key, scope, isTest } = found;
  const sends = c.req.method === 'POST' && SENDING_PATHS.has(c.req.path);
  if (key.permission !== 'full_access' && !sends) throw new AppError('restricted_api_key');
  if (isTest && changesMoreThanMail(c)) throw new AppError('test_key_refused');
  if (key.accountStatus === 'closed') throw new AppError('account_closed');
  if (key.accountStatus === 'suspended' && sends) throw new AppError('account_suspended');
  c.set('service', {
    env: c.env,
    scope,
    actor: { kind: 'api_key', keyId: key.id, ...(isTest ? { isTest } : {}) },
    requestId: c.get('requestId'),
    // Few requests make a link: only those parse the URL for it.
    get origin() {
      return publicOriginOf(c);
    },
  });
  if (key.domainId !== null) c.set('boundDomainId', key.domainId);
  await next();
};

/**
 * What somebody gets who has no key of ours. Failures are counted by address and after the look-up, so nobody's
 * valid key is ever locked out by another one's attempts.
 */
async function failureOf(env: Env, clientIp: string | undefined): Promise<AppError> {
  const outcome = await env.FAILED_KEY_LIMIT?.limit({ key: clientIp ?? 'unknown' });
  return new AppError(outcome?.success === false ? 'too_many_failures' : 'invalid_api_key');
}

/** A test key lies in places where a live one must not: it changes nothing but test mail. */
function changesMoreThanMail(c: Context<AppTypes>): boolean {
  return c.req.method !== 'GET' && c.req.path !== '/v1/emails' && !c.req.path.startsWith('/v1/emails/');
}

function bearerToken(c: Context<AppTypes>): string {
  const header = c.req.header('authorization');
  if (header === undefined || header.trim() === '') throw new AppError('missing_api_key');
  const token = /^Bearer +([^\s]+)$/i.exec(header)?.[1];
  // Another scheme carries no API key at all.
  if (token === undefined)
    throw new AppError(/^Bearer\b/i.test(header) ? 'invalid_api_key' : 'missing_api_key');
  return token;
}
