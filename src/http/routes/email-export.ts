import { Hono } from 'hono';
import { formatMailbox } from '../../mime/address.ts';
import { type ExportedDelivery, exportEmails } from '../../services/export-emails.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { emailExportQuery, emailFilterOf } from '../email-query.ts';
import { type ExportTable, exportResponse } from '../export-lines.ts';
import { isoTime } from '../pagination.ts';
import { queryOf } from '../validation.ts';

export const emailExportRoutes = new Hono<AppTypes>().get('/', queryOf(emailExportQuery), async (c) => {
  const { format, ...query } = c.req.valid('query');
  return exportResponse(c, format, DELIVERIES, exportEmails(serviceContextOf(c), emailFilterOf(query)));
});

function recordOf({ message, summary, recipient, index, delivery, lastReply }: ExportedDelivery) {
  return {
    email_id: message.id,
    created_at: isoTime(message.acceptedAtMs),
    from: formatMailbox(summary.from),
    subject: summary.subject,
    tags: summary.tags,
    index,
    recipient,
    status: delivery.status,
    relay: delivery.relayId ?? null,
    attempts: delivery.attempts,
    last_reply: lastReply ?? null,
    reason: delivery.reason ?? null,
    updated_at: isoTime(delivery.updatedAtMs),
    next_attempt_at: delivery.nextAttemptAtMs === undefined ? null : isoTime(delivery.nextAttemptAtMs),
  };
}

const COLUMNS = [
  'email_id',
  'created_at',
  'from',
  'subject',
  'tags',
  'index',
  'recipient',
  'status',
  'relay',
  'attempts',
  'last_reply',
  'reason',
  'updated_at',
  'next_attempt_at',
] as const satisfies readonly (keyof ReturnType<typeof recordOf>)[];

/** A line for each delivery. */
const DELIVERIES: ExportTable<ExportedDelivery> = {
  name: 'emails',
  object: 'delivery',
  end: 'export_end',
  columns: COLUMNS,
  recordOf,
  cellsOf: (exported) => {
    const record = recordOf(exported);
    const tags = record.tags.map(({ name, value }) => `${name}:${value}`).join(' ');
    return COLUMNS.map((column) => (column === 'tags' ? tags : record[column]));
  },
};
