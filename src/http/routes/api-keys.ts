import { Hono } from 'hono';
import * as z from 'zod';
import * as service from '../../services/api-keys.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

const name = z.string().max(200);
export const createApiKeyBody = z.strictObject({
  name,
  permission: z.enum(['full_access', 'sending_access']).default('full_access'),
  domain_id: z.string().max(64).optional(),
  mode: z.enum(['live', 'test']).optional(),
});
export const renameApiKeyBody = z.strictObject({ name });

export const apiKeyRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createApiKeyBody), async (c) => {
    const body = c.req.valid('json');
    const { name, permission, domain_id: domainId, mode } = body;
    const key = await service.createApiKey(serviceContextOf(c), { name, permission, domainId, mode });
    return c.json({ object: 'api_key', id: key.id, token: key.token }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listApiKeys(serviceContextOf(c), c.req.valid('query'));
    return c.json(
      listBody(page, (key) => ({
        id: key.id,
        name: key.name,
        mode: key.prefix === 'er_test' ? 'test' : 'live',
        created_at: isoTime(key.createdAt),
        last_used_at: key.lastUsedOn === null ? null : `${key.lastUsedOn}T00:00:00.000Z`,
      })),
    );
  })
  .patch('/:id', jsonBody(renameApiKeyBody), async (c) => {
    const id = c.req.param('id');
    await service.renameApiKey(serviceContextOf(c), id, c.req.valid('json').name);
    return c.json({ object: 'api_key', id });
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteApiKey(serviceContextOf(c), id);
    return c.json({ object: 'api_key', id, deleted: true });
  });
