/** The query of lists of emails and of their export: filters, all of which must be true. */
import * as z from 'zod';
import { DELIVERY_STATUSES } from '../outbox/client.ts';
import type { EmailFilter } from '../services/email-filter.ts';
import { pageQuery } from './pagination.ts';

const tag = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,256}(?::[A-Za-z0-9_-]{1,256})?$/, 'must be `name` or `name:value`');
const time = z.iso.datetime({ offset: true, error: 'must be a time like `2026-11-24T09:00:00Z`' });
const id = z.string().min(1).max(64);

const filters = {
  status: z.enum(DELIVERY_STATUSES).optional(),
  recipient: z.string().min(1).max(320).optional(),
  tag: z.union([tag, z.array(tag).max(10)]).optional(),
  created_after: time.optional(),
  created_before: time.optional(),
  relay: id.optional(),
  broadcast_id: id.optional(),
};

export const emailListQuery = pageQuery.safeExtend(filters);
export const emailExportQuery = z.strictObject({ format: z.enum(['csv', 'jsonl']), ...filters });

export function emailFilterOf(query: Omit<z.output<typeof emailExportQuery>, 'format'>): EmailFilter {
  const tags = query.tag === undefined ? [] : [query.tag].flat();
  return {
    status: query.status,
    recipient: query.recipient,
    tags: tags.map((text) => {
      const [name = '', value] = text.split(':');
      return { name, value };
    }),
    relayId: query.relay,
    broadcastId: query.broadcast_id,
    sinceMs: msOf(query.created_after),
    untilMs: msOf(query.created_before),
  };
}

function msOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}
