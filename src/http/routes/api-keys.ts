import { Hono } from 'hono';
import * as z from 'zod';
import * as service from '../../services/api-keys.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

const MAX_OVERLAP_HOURS = 30 * 24;
const DEFAULT_OVERLAP_HOURS = 24;
const HOUR_MS = 60 * 60 * 1000;

const name = z.string().max(200);
/** With a zone; made milliseconds. */
const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
const limits = {
  allowed_ips: z.array(z.string().max(64)).max(100),
  expires_at: time.nullable(),
};
export const createApiKeyBody = z.strictObject({
  name,
  permission: z.enum(['full_access', 'sending_access']).default('full_access'),
  domain_id: z.string().max(64).optional(),
  allowed_ips: limits.allowed_ips.optional(),
  expires_at: limits.expires_at.optional(),
  mode: z.enum(['live', 'test']).optional(),
});
export const changeApiKeyBody = z.strictObject({ name, ...limits }).partial();
export const rotateApiKeyBody = z
  .strictObject({
    /** For how long the secrets from before stay good; 0: they end at once. */
    overlap_hours: z.number().min(0).max(MAX_OVERLAP_HOURS),
    until: time,
  })
  .partial()
  .refine((body) => body.overlap_hours === undefined || body.until === undefined, {
    message: 'cannot be used together with `overlap_hours`',
    path: ['until'],
  });

function keyBody(key: Awaited<ReturnType<typeof service.getApiKey>>) {
  return {
    object: 'api_key',
    id: key.id,
    name: key.name,
    mode: modeOf(key),
    // Enough to tell keys apart, of no use to anybody else.
    token_hint: `${key.prefix}_…${key.lastFour}`,
    permission: key.permission,
    domain_id: key.domainId,
    allowed_ips: key.allowedIps,
    expires_at: timeOrNull(key.expiresAt),
    previous_valid_until: timeOrNull(key.previousValidUntil),
    created_at: isoTime(key.createdAt),
    last_used_at: lastUsedAt(key),
  };
}

function modeOf({ prefix }: { readonly prefix: string }): 'live' | 'test' {
  return prefix === 'er_test' ? 'test' : 'live';
}

function lastUsedAt({ lastUsedOn }: { readonly lastUsedOn: string | null }): string | null {
  return lastUsedOn === null ? null : `${lastUsedOn}T00:00:00.000Z`;
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms);
}

export const apiKeyRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createApiKeyBody), async (c) => {
    const body = c.req.valid('json');
    const key = await service.createApiKey(serviceContextOf(c), {
      name: body.name,
      permission: body.permission,
      domainId: body.domain_id,
      allowedIps: body.allowed_ips,
      expiresAt: body.expires_at,
      mode: body.mode,
    });
    return c.json({ object: 'api_key', id: key.id, token: key.token }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listApiKeys(serviceContextOf(c), c.req.valid('query'));
    return c.json(
      listBody(page, (key) => ({
        id: key.id,
        name: key.name,
        mode: modeOf(key),
        created_at: isoTime(key.createdAt),
        last_used_at: lastUsedAt(key),
      })),
    );
  })
  .get('/:id', async (c) => c.json(keyBody(await service.getApiKey(serviceContextOf(c), c.req.param('id')))))
  .patch('/:id', jsonBody(changeApiKeyBody), async (c) => {
    const id = c.req.param('id');
    const { name, allowed_ips: allowedIps, expires_at: expiresAt } = c.req.valid('json');
    await service.changeApiKey(serviceContextOf(c), id, { name, allowedIps, expiresAt });
    return c.json({ object: 'api_key', id });
  })
  .post('/:id/rotate', jsonBody(rotateApiKeyBody), async (c) => {
    const { overlap_hours: hours = DEFAULT_OVERLAP_HOURS, until } = c.req.valid('json');
    const validUntil = until ?? Date.now() + hours * HOUR_MS;
    const key = await service.rotateApiKey(serviceContextOf(c), c.req.param('id'), validUntil);
    return c.json({
      object: 'api_key',
      id: key.id,
      token: key.token,
      previous_valid_until: timeOrNull(key.previousValidUntil),
    });
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteApiKey(serviceContextOf(c), id);
    return c.json({ object: 'api_key', id, deleted: true });
  });
