import { Hono } from 'hono';
import * as z from 'zod';
import { EVENT_TYPES } from '../../services/event-types.ts';
import { readEvents } from '../../services/read-events.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { limitQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

/** A place in each of 64 shards. */
const MAX_CURSOR = 1000;

export const eventsQuery = z.strictObject({
  after: z.string().min(1).max(MAX_CURSOR).optional(),
  types: z
    .string()
    .max(1000)
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(EVENT_TYPES)).min(1))
    .optional(),
  limit: limitQuery,
  wait: z
    .string()
    .regex(/^(?:1?\d|2[0-5])$/, 'must be from 0 to 25')
    .transform(Number)
    .default(0),
});

export const eventRoutes = new Hono<AppTypes>().get('/', queryOf(eventsQuery), async (c) => {
  const { after, types, limit, wait } = c.req.valid('query');
  const query = { after, types, limit, waitMs: wait * 1000 };
  const { events, cursor, hasMore } = await readEvents(serviceContextOf(c), query);
  return c.json({ object: 'list', has_more: hasMore, data: events, next: cursor });
});
