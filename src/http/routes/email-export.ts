import { Hono } from 'hono';
import { formatMailbox } from '../../mime/address.ts';
import { type ExportedDelivery, exportEmails } from '../../services/export-emails.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { type Cell, csvLine } from '../csv.ts';
import { emailExportQuery, emailFilterOf } from '../email-query.ts';
import { isoTime } from '../pagination.ts';
import { streamOf } from '../stream-body.ts';
import { queryOf } from '../validation.ts';

/** A line for each delivery; `end` is the last one, by which a reader knows that nothing is missing. */
interface Format {
  readonly contentType: string;
  readonly start: string;
  readonly line: (delivery: ExportedDelivery) => string;
  readonly end: (count: number) => string;
}

export const emailExportRoutes = new Hono<AppTypes>().get('/', queryOf(emailExportQuery), async (c) => {
  const { format: name, ...query } = c.req.valid('query');
  const format = FORMATS[name];
  const deliveries = exportEmails(serviceContextOf(c), emailFilterOf(query));
  // Before the answer begins: what is wrong by now still has a status of its own.
  const first = await deliveries.next();
  return c.body(streamOf(linesOf(format, first, deliveries)), 200, {
    'content-type': format.contentType,
    'content-disposition': `attachment; filename="emails.${name}"`,
  });
});

/** Lines go out in chunks of about this size. */
const CHUNK_CHARACTERS = 16 * 1024;

async function* linesOf(
  format: Format,
  first: IteratorResult<ExportedDelivery, unknown>,
  rest: AsyncGenerator<ExportedDelivery>,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  let count = 0;
  let text = format.start;
  try {
    for (let next = first; !next.done; next = await rest.next()) {
      count++;
      text += format.line(next.value);
      if (text.length < CHUNK_CHARACTERS) continue;
      yield encoder.encode(text);
      text = '';
    }
    yield encoder.encode(text + format.end(count));
  } finally {
    await rest.return(undefined);
  }
}

const END = 'export_end';

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

const FORMATS: Record<'csv' | 'jsonl', Format> = {
  csv: {
    contentType: 'text/csv; charset=utf-8; header=present',
    start: csvLine(COLUMNS),
    line: (exported) => {
      const record = recordOf(exported);
      const tags = record.tags.map(({ name, value }) => `${name}:${value}`).join(' ');
      return csvLine(COLUMNS.map((column): Cell => (column === 'tags' ? tags : record[column])));
    },
    // As many cells as any other row has.
    end: (count) => csvLine([END, count, ...COLUMNS.slice(2).map(() => '')]),
  },
  jsonl: {
    contentType: 'application/jsonl; charset=utf-8',
    start: '',
    line: (exported) => `${JSON.stringify({ object: 'delivery', ...recordOf(exported) })}\n`,
    end: (count) => `${JSON.stringify({ object: END, count })}\n`,
  },
};
