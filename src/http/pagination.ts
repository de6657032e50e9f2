import * as z from 'zod';
import type { Page } from '../services/listing.ts';

const cursor = z.string().min(1).max(64);

/** How many objects of a list: `?limit=1..100`. */
export const limitQuery = z
  .string()
  .regex(/^[1-9]\d{0,2}$/, 'must be from 1 to 100')
  .transform(Number)
  .refine((limit) => limit <= 100, 'must be from 1 to 100')
  .default(20);

/** `?limit=1..100` and either `after` or `before`, each the id of an object of the list. */
export const pageQuery = z
  .strictObject({
    limit: limitQuery,
    after: cursor.optional(),
    before: cursor.optional(),
  })
  .refine((query) => query.after === undefined || query.before === undefined, {
    message: 'cannot be used together with `after`',
    path: ['before'],
  });

/** Newest first. */
export function listBody<T, B>(page: Page<T>, toBody: (row: T) => B) {
  return { object: 'list' as const, has_more: page.hasMore, data: page.rows.map(toBody) };
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
