import { Hono } from 'hono';
import * as z from 'zod';
import { AppError } from '../../errors.ts';
import * as service from '../../services/suppressions.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

const MAX_BATCH = 100;
const email = z.string().min(1).max(1000);

export const addSuppressionBody = z.strictObject({ email });
export const addSuppressionsBody = z.strictObject({ emails: z.array(email).min(1).max(MAX_BATCH) });
export const removeSuppressionsBody = z.strictObject({
  emails: z.array(email).min(1).max(MAX_BATCH).optional(),
  ids: z.array(z.string().max(64)).min(1).max(MAX_BATCH).optional(),
});
export const suppressionQuery = pageQuery.safeExtend({
  origin: z.enum(['manual', 'bounce', 'complaint', 'unsubscribe']).optional(),
});

function suppressionBody({ id, email, origin, sourceId, createdAt }: service.Suppression) {
  return { id, email, origin, source_id: sourceId, created_at: isoTime(createdAt) };
}

export const suppressionRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(addSuppressionBody), async (c) => {
    const body = c.req.valid('json');
    const [id] = await service.addSuppressions(serviceContextOf(c), [body.email], () => 'email');
    return c.json({ object: 'suppression', id }, 201);
  })
  .post('/batch/add', jsonBody(addSuppressionsBody), async (c) => {
    const { emails } = c.req.valid('json');
    const fieldOf = (index: number) => `emails[${index}]`;
    const ids = await service.addSuppressions(serviceContextOf(c), emails, fieldOf);
    return c.json({ data: ids.map((id) => ({ object: 'suppression', id })) }, 201);
  })
  .post('/batch/remove', jsonBody(removeSuppressionsBody), async (c) => {
    const { emails, ids } = c.req.valid('json');
    if (emails === undefined && ids === undefined)
      throw new AppError('missing_field', { field: 'emails` or `ids' });
    const wanted = { emails: emails ?? [], ids: ids ?? [] };
    const removed = await service.removeSuppressions(serviceContextOf(c), wanted);
    return c.json({ data: removed.map((id) => ({ object: 'suppression', id, deleted: true })) });
  })
  .get('/', queryOf(suppressionQuery), async (c) => {
    const page = await service.listSuppressions(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, suppressionBody));
  })
  .get('/:id', async (c) => {
    const found = await service.getSuppression(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'suppression', ...suppressionBody(found) });
  })
  .delete('/:id', async (c) => {
    const id = await service.removeSuppression(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'suppression', id, deleted: true });
  });
