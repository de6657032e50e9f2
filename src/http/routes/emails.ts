import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { settingsOf } from '../../env.ts';
import { AppError } from '../../errors.ts';
import { formatMailbox } from '../../mime/address.ts';
import type { Mailbox } from '../../mime/types.ts';
import type { TimelineEvent } from '../../outbox/client.ts';
import { readEmail } from '../../services/email-input.ts';
import { type EmailDetail, type EmailOverview, getEmail, listEmails } from '../../services/read-emails.ts';
import { checkNamedRelays } from '../../services/relays.ts';
import { resolveDelivery } from '../../services/resolve-delivery.ts';
import { RefusedByLedger, sendEmails } from '../../services/send-emails.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { emailFilterOf, emailListQuery } from '../email-query.ts';
import { jsonBody, readJson } from '../json-body.ts';
import { isoTime, listBody } from '../pagination.ts';
import { queryOf, validate } from '../validation.ts';

const addresses = z.union([z.string().max(1000), z.array(z.string().max(1000)).max(50)]);
const tagPart = z.string().regex(/^[A-Za-z0-9_-]{1,256}$/);
export const MAX_BATCH = 100;

export const attachmentItem = z.strictObject({
  content: z.unknown().optional(),
  filename: z.string().optional(),
  content_type: z.string().optional(),
  content_id: z.string().optional(),
  path: z.unknown().optional(),
});

export const emailItem = z.strictObject({
  from: z.string().max(1000),
  to: addresses,
  cc: addresses.optional(),
  bcc: addresses.optional(),
  reply_to: addresses.optional(),
  subject: z.string(),
  text: z.string().optional(),
  html: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  tags: z
    .array(z.strictObject({ name: tagPart, value: tagPart }))
    .max(50)
    .optional(),
  attachments: z.array(attachmentItem).optional(),
  // Our own.
  relay: z.string().max(64).optional(),
  in_doubt_policy: z.enum(['retry', 'hold']).optional(),
  // Fields of the wire format that are known and not served; `refuseUnserved` names them.
  template: z.unknown().optional(),
  topic_id: z.unknown().optional(),
  scheduled_at: z.unknown().optional(),
});
export const resolveBody = z.strictObject({ resolution: z.enum(['delivered', 'resend', 'drop']) });
const batchBody = z.array(z.unknown()).min(1).max(MAX_BATCH);

type Email = z.output<typeof emailItem>;

export const emailRoutes = new Hono<AppTypes>()
  .post('/', async (c) => {
    const body = await readJson(c, { limitBytes: settingsOf(c.env).REQUEST_BODY_LIMIT_BYTES });
    const [id] = await send(c, [emailOf(body, '')], () => '');
    return c.json({ id });
  })
  .post('/batch', async (c) => {
    if (c.req.header('x-batch-validation') === 'permissive') {
      throw new AppError('field_not_supported', { field: 'x-batch-validation: permissive' });
    }
    const body = await readJson(c, { limitBytes: settingsOf(c.env).REQUEST_BODY_LIMIT_BYTES });
    const items = validate(batchBody, body);
    const prefixOf = (index: number) => `[${index}].`;
    const drafts = items.map((item, index) => emailOf(item, prefixOf(index)));
    const ids = await send(c, drafts, prefixOf);
    return c.json({ data: ids.map((id) => ({ id })) });
  })
  .get('/', queryOf(emailListQuery), async (c) => {
    const query = c.req.valid('query');
    const page = await listEmails(serviceContextOf(c), query, emailFilterOf(query));
    return c.json(listBody(page, overviewBody));
  })
  .get('/:id', async (c) => c.json(detailBody(await getEmail(serviceContextOf(c), c.req.param('id')))))
  .post('/:id/deliveries/:n/resolve', jsonBody(resolveBody), async (c) => {
    const n = /^\d{1,4}$/.test(c.req.param('n')) ? Number(c.req.param('n')) : undefined;
    const decision = { n, resolution: c.req.valid('json').resolution };
    return c.json(detailBody(await resolveDelivery(serviceContextOf(c), c.req.param('id'), decision)));
  });

async function send(
  c: Context<AppTypes>,
  drafts: ReturnType<typeof readEmail>[],
  prefixOf: (index: number) => string,
): Promise<readonly string[]> {
  const idempotencyKey = c.req.header('idempotency-key');
  if (idempotencyKey !== undefined && !/^[\x20-\x7e]{1,256}$/.test(idempotencyKey)) {
    throw new AppError('invalid_idempotency_key');
  }
  try {
    const context = serviceContextOf(c);
    const relayIds = drafts.map((draft) => draft.summary.relayId);
    await checkNamedRelays(context, relayIds, (index) => `${prefixOf(index)}relay`);
    const { ids, rate } = await sendEmails(context, drafts, {
      idempotencyKey,
      boundDomainId: c.get('boundDomainId'),
    });
    setRateHeaders(c, rate);
    return ids;
  } catch (error) {
    if (error instanceof RefusedByLedger) setRateHeaders(c, error.rate);
    throw error;
  }
}

function setRateHeaders(
  c: Context<AppTypes>,
  rate: { limit: number; remaining: number; resetSeconds: number },
): void {
  c.header('ratelimit-limit', String(rate.limit));
  c.header('ratelimit-remaining', String(rate.remaining));
  c.header('ratelimit-reset', String(rate.resetSeconds));
}

function emailOf(value: unknown, prefix: string): ReturnType<typeof readEmail> {
  const input = validate(emailItem, value, prefix);
  refuseUnserved(input, prefix);
  return readEmail(input, prefix);
}

function refuseUnserved(input: Email, prefix: string): void {
  for (const field of ['template', 'topic_id', 'scheduled_at'] as const) {
    if (input[field] !== undefined) throw new AppError('field_not_supported', { field: prefix + field });
  }
  input.attachments?.forEach(({ path }, index) => {
    if (path === undefined) return;
    const field = `${prefix}attachments[${index}].path`;
    throw new AppError('field_refused', { field, reason: 'nothing is fetched by URL; send the `content`' });
  });
}

function overviewBody({ message, summary }: EmailOverview) {
  return {
    id: message.id,
    from: formatMailbox(summary.from),
    to: formatAll(summary.to),
    cc: formatAll(summary.cc),
    bcc: formatAll(summary.bcc),
    reply_to: formatAll(summary.replyTo),
    subject: summary.subject,
    created_at: isoTime(message.acceptedAtMs),
    last_event: lastEvent(message.timeline),
    scheduled_at: null,
    tags: summary.tags,
    relay: summary.relayId ?? null,
    in_doubt_policy: summary.inDoubtPolicy ?? null,
  };
}

function detailBody(detail: EmailDetail) {
  const { message, summary, head, recipients, replies } = detail;
  return {
    object: 'email' as const,
    ...overviewBody(detail),
    message_id: `<${message.id}@${summary.from.domain}>`,
    text: head?.text ?? null,
    html: head?.html ?? null,
    possible_duplicates: message.possibleDuplicates,
    deliveries: message.deliveries.map((delivery, index) => ({
      index,
      recipient: recipients[index] ?? null,
      status: delivery.status,
      relay: delivery.relayId ?? null,
      attempts: delivery.attempts,
      last_reply: replies.get(index) ?? null,
      reason: delivery.reason ?? null,
      updated_at: isoTime(delivery.updatedAtMs),
      next_attempt_at: delivery.nextAttemptAtMs === undefined ? null : isoTime(delivery.nextAttemptAtMs),
    })),
    timeline: message.timeline.map((event) => ({
      type: event.type,
      created_at: isoTime(event.atMs),
      recipients: event.recipients?.map((index) => recipients[index] ?? null) ?? recipients,
      relay: event.relayId ?? null,
      code: event.code ?? null,
      enhanced_code: event.enhanced ?? null,
      reason: event.reason ?? null,
    })),
  };
}

function formatAll(mailboxes: readonly Mailbox[]): string[] {
  return mailboxes.map(formatMailbox);
}

/** What the wire format calls our events. It knows no doubt and no expiry; what is not in here it need not know. */
const WIRE_EVENTS: Readonly<Record<string, string>> = {
  queued: 'queued',
  delivered: 'delivered',
  delivery_delayed: 'delivery_delayed',
  in_doubt: 'delivery_delayed',
  bounced: 'bounced',
  failed: 'failed',
  expired: 'failed',
  suppressed: 'suppressed',
  canceled: 'canceled',
};
const WIRE_RESOLUTIONS: Readonly<Record<string, string>> = {
  delivered: 'delivered',
  drop: 'canceled',
  resend: 'delivery_delayed',
};

function lastEvent(timeline: readonly TimelineEvent[]): string {
  const known = timeline.map(({ type, reason }) =>
    type === 'resolved' ? WIRE_RESOLUTIONS[reason ?? ''] : WIRE_EVENTS[type],
  );
  return known.findLast((event) => event !== undefined) ?? 'queued';
}
