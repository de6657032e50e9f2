import { Hono } from 'hono';
import * as z from 'zod';
import { AppError } from '../../errors.ts';
import { listBroadcastRecipients } from '../../services/broadcast-recipients.ts';
import * as service from '../../services/broadcasts.ts';
import { createBroadcastOnce } from '../../services/create-broadcast.ts';
import * as sending from '../../services/send-broadcast.ts';
import { sendEmails } from '../../services/send-emails.ts';
import { MAX_CONTENT_BYTES } from '../../services/template-content.ts';
import { readBroadcastTest } from '../../services/test-broadcast.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody, optionalJsonBody } from '../json-body.ts';
import { listBody, pageQuery } from '../pagination.ts';
import { answerSent, idempotencyKeyOf } from '../sending.ts';
import { queryOf } from '../validation.ts';
import { detailBody, overviewBody, recipientBody, steeredBody } from './broadcasts-output.ts';
import { addresses, emailTemplate } from './emails-input.ts';

/** Escapes make JSON longer than what it says. */
const BODY_LIMIT_BYTES = 4 * MAX_CONTENT_BYTES;

const address = z.string().max(1000);
const id = z.string().min(1).max(64);
const time = z.string().max(100);

const fields = {
  name: z.string().max(200).nullable().optional(),
  segment_id: id.optional(),
  audience_id: id.optional(),
  // Our own.
  list_id: id.optional(),
  from: address.nullable().optional(),
  subject: z.string().max(2000).nullable().optional(),
  reply_to: addresses.nullable().optional(),
  preview_text: z.string().nullable().optional(),
  html: z.string().nullable().optional(),
  text: z.string().nullable().optional(),
  template: emailTemplate.nullable().optional(),
  topic_id: id.nullable().optional(),
};
export const createBroadcastBody = z.strictObject({
  ...fields,
  send: z.boolean().optional(),
  scheduled_at: time.optional(),
});
export const updateBroadcastBody = z.strictObject(fields);
export const sendBroadcastBody = z.strictObject({ scheduled_at: time.optional() });
export const sampleContact = z.strictObject({
  email: address.optional(),
  first_name: z.string().max(200).nullable().optional(),
  last_name: z.string().max(200).nullable().optional(),
  properties: z
    .record(z.string().max(100), z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .optional(),
});
export const testBroadcastBody = z.strictObject({ to: address, contact: sampleContact.optional() });

export const RECIPIENT_TYPES = ['sent', 'delivered', 'bounced', 'suppressed'] as const;
const UNKNOWN_TYPES = ['opened', 'clicked', 'complained', 'unsubscribed'] as const;
export const recipientQuery = pageQuery.safeExtend({
  type: z.enum([...RECIPIENT_TYPES, ...UNKNOWN_TYPES]).default('sent'),
  email: z.string().min(1).max(320).optional(),
  bounce_type: z.enum(['permanent', 'transient', 'undetermined']).optional(),
});

const large = { limitBytes: BODY_LIMIT_BYTES };
const NAMES = ['segment_id', 'audience_id', 'list_id'] as const;

/** The list, under whichever of its names. */
function listOf(body: z.output<typeof updateBroadcastBody>): {
  readonly field: string;
  readonly id?: string;
} {
  const [first, ...others] = NAMES.flatMap((field) => {
    const named = body[field];
    return named === undefined ? [] : [{ field, id: named }];
  });
  const other = others.find((named) => named.id !== first?.id);
  if (other) {
    throw new AppError('invalid_field', {
      field: other.field,
      reason: 'names another list than the other field',
    });
  }
  return first ?? { field: 'segment_id' };
}

function draftOf(body: z.output<typeof updateBroadcastBody>): service.BroadcastDraftInput {
  return { ...body, listId: listOf(body).id, topicId: body.topic_id };
}

export const broadcastRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createBroadcastBody, large), async (c) => {
    const context = serviceContextOf(c);
    const { send = false, scheduled_at: scheduledAt, ...body } = c.req.valid('json');
    const fieldOfList = listOf(body).field;
    if (scheduledAt !== undefined && !send) {
      throw new AppError('invalid_field', { field: 'scheduled_at', reason: 'goes only with `send: true`' });
    }
    const made = await createBroadcastOnce(context, draftOf(body), {
      send,
      scheduledAt,
      fieldOfList,
      boundDomainId: c.get('boundDomainId'),
      idempotencyKey: idempotencyKeyOf(c),
    });
    return c.json({ object: 'broadcast', id: made }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listBroadcasts(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, overviewBody));
  })
  .get('/:id', async (c) => {
    const broadcast = await service.getBroadcast(serviceContextOf(c), c.req.param('id'));
    return c.json(detailBody(broadcast, Date.now()));
  })
  .patch('/:id', jsonBody(updateBroadcastBody, large), async (c) => {
    const { id } = c.req.param();
    const body = c.req.valid('json');
    await service.updateBroadcast(serviceContextOf(c), id, draftOf(body), listOf(body).field);
    return c.json({ object: 'broadcast', id });
  })
  .delete('/:id', async (c) => {
    const { id } = c.req.param();
    await service.deleteBroadcast(serviceContextOf(c), id);
    return c.json({ object: 'broadcast', id, deleted: true });
  })
  .post('/:id/send', optionalJsonBody(sendBroadcastBody), async (c) => {
    const { id } = c.req.param();
    const options = { scheduledAt: c.req.valid('json').scheduled_at, boundDomainId: c.get('boundDomainId') };
    const run = await sending.sendBroadcast(serviceContextOf(c), id, options);
    return c.json(steeredBody(id, run));
  })
  .post('/:id/cancel', async (c) => {
    const { id } = c.req.param();
    const run = await sending.cancelBroadcast(serviceContextOf(c), id);
    return c.json(steeredBody(id, run));
  })
  .post('/:id/pause', async (c) => {
    const { id } = c.req.param();
    const run = await sending.steerBroadcast(serviceContextOf(c), id, 'pause');
    return c.json(steeredBody(id, run));
  })
  .post('/:id/resume', async (c) => {
    const { id } = c.req.param();
    const run = await sending.steerBroadcast(serviceContextOf(c), id, 'resume');
    return c.json(steeredBody(id, run));
  })
  .post('/:id/duplicate', async (c) => {
    const made = await service.duplicateBroadcast(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'broadcast', id: made });
  })
  .post('/:id/test', jsonBody(testBroadcastBody), async (c) => {
    const context = serviceContextOf(c);
    const draft = await readBroadcastTest(context, c.req.param('id'), c.req.valid('json'));
    const options = { idempotencyKey: idempotencyKeyOf(c), boundDomainId: c.get('boundDomainId') };
    return answerSent(c, sendEmails(context, [draft], options));
  })
  .get('/:id/recipients', queryOf(recipientQuery), async (c) => {
    const { type, email, bounce_type: bounceType, ...page } = c.req.valid('query');
    const known = RECIPIENT_TYPES.find((one) => one === type);
    if (!known) {
      const reason =
        'opens, clicks and complaints are not tracked, and the unsubscribed are not kept by broadcast';
      throw new AppError('field_refused', { field: 'type', reason });
    }
    if (bounceType !== undefined && known !== 'bounced') {
      throw new AppError('invalid_field', { field: 'bounce_type', reason: 'goes only with `type=bounced`' });
    }
    const query = { type: known, email, bounceType };
    const found = await listBroadcastRecipients(serviceContextOf(c), c.req.param('id'), page, query);
    return c.json(listBody(found, (email) => recipientBody(email, known)));
  });
