import { Hono } from 'hono';
import * as z from 'zod';
import { AppError } from '../../errors.ts';
import * as service from '../../services/domains.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

/** What the SDK can send. A region means nothing here; what would change the mail and is not there is refused. */
export const createDomainBody = z.strictObject({
  name: z.string().min(1).max(255),
  region: z.string().max(40).optional(),
  tls: z.enum(['opportunistic', 'enforced']).optional(),
  capabilities: z
    .strictObject({ sending: z.literal('enabled'), receiving: z.literal('disabled') })
    .partial()
    .optional(),
  open_tracking: z.boolean().optional(),
  click_tracking: z.boolean().optional(),
  custom_return_path: z.string().optional(),
  tracking_subdomain: z.string().optional(),
});
const NOT_SUPPORTED = [
  'open_tracking',
  'click_tracking',
  'custom_return_path',
  'tracking_subdomain',
] as const;

type Domain = Awaited<ReturnType<typeof service.getDomain>>;

/** There are no regions here; the SDK expects a text. */
const REGION = 'auto';

export function domainSummary(domain: Domain) {
  return {
    id: domain.id,
    name: domain.name,
    status: domain.status,
    created_at: isoTime(domain.createdAt),
    region: REGION,
    open_tracking: false,
    click_tracking: false,
    capabilities: { sending: 'enabled', receiving: 'disabled' },
  };
}

export function domainBody(domain: Domain) {
  return { object: 'domain', ...domainSummary(domain), return_path: domain.returnPath, records: [] };
}

export const domainRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createDomainBody), async (c) => {
    const body = c.req.valid('json');
    const wanted = NOT_SUPPORTED.find((field) => body[field] !== undefined && body[field] !== false);
    if (wanted !== undefined) throw new AppError('field_not_supported', { field: wanted });
    const domain = await service.createDomain(serviceContextOf(c), body.name);
    return c.json(domainBody(domain), 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listDomains(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, domainSummary));
  })
  .get('/:id', async (c) =>
    c.json(domainBody(await service.getDomain(serviceContextOf(c), c.req.param('id')))),
  )
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteDomain(serviceContextOf(c), id);
    return c.json({ object: 'domain', id, deleted: true });
  });
