import { Hono } from 'hono';
import * as z from 'zod';
import { AppError } from '../../errors.ts';
import { EVENT_TYPES } from '../../services/event-types.ts';
import * as events from '../../services/webhook-events.ts';
import * as service from '../../services/webhooks.ts';
import { type AppContext, type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody, optionalJsonBody } from '../json-body.ts';
import { isoTime, limitQuery, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

const MAX_OVERLAP_SECONDS = 7 * 24 * 60 * 60;
const MAX_REPLAY_MS = 30 * 24 * 60 * 60 * 1000;

const fields = {
  endpoint: z.string().min(1).max(2000),
  events: z.array(z.enum(EVENT_TYPES)).min(1).max(100).nullable(),
};
export const createWebhookBody = z.strictObject({
  endpoint: fields.endpoint,
  events: fields.events.optional(),
  // Our own.
  backfill: z.boolean().optional(),
});
export const updateWebhookBody = z
  .strictObject({ ...fields, status: z.enum(['enabled', 'disabled']) })
  .partial();
export const rotateSecretBody = z
  .strictObject({ overlap_seconds: z.int().min(0).max(MAX_OVERLAP_SECONDS) })
  .partial();
export const replaySinceBody = z.strictObject({ since: z.iso.datetime({ offset: true }) });
export const webhookEventsQuery = z.strictObject({
  limit: limitQuery,
  after: z.string().min(1).max(128).optional(),
});

function webhookSummary(webhook: service.Webhook) {
  return {
    id: webhook.id,
    endpoint: webhook.endpoint,
    created_at: isoTime(webhook.createdAt),
    status: webhook.status,
    events: webhook.events,
    disabled_reason: webhook.disabledReason,
  };
}

function eventSummary({ id, payload, status }: events.WebhookEventDetail) {
  return { id, type: payload.type, created_at: payload.created_at, status };
}

/** Where there was no answer, the status is 0 and the text says why. */
function attemptBody({ id, status, response, atMs }: events.WebhookEventDetail['attempts'][number]) {
  return { id, http_status_code: status, response, sent_at: isoTime(atMs) };
}

function ownHostOf(c: AppContext): string {
  return new URL(c.req.url).hostname;
}

export const webhookRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createWebhookBody), async (c) => {
    const { endpoint, events: types, backfill } = c.req.valid('json');
    const input = { endpoint, events: types ?? null, backfill: backfill ?? true, ownHost: ownHostOf(c) };
    const { id, secret } = await service.createWebhook(serviceContextOf(c), input);
    return c.json({ object: 'webhook', id, signing_secret: secret }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listWebhooks(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, webhookSummary));
  })
  .get('/:id', async (c) => {
    const context = serviceContextOf(c);
    const webhook = await service.getWebhook(context, c.req.param('id'));
    const secret = await service.readSecret(context, webhook);
    return c.json({ object: 'webhook', ...webhookSummary(webhook), signing_secret: secret });
  })
  .patch('/:id', jsonBody(updateWebhookBody), async (c) => {
    const id = c.req.param('id');
    const change = { ...c.req.valid('json'), ownHost: ownHostOf(c) };
    await service.updateWebhook(serviceContextOf(c), id, change);
    return c.json({ object: 'webhook', id });
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteWebhook(serviceContextOf(c), id);
    return c.json({ object: 'webhook', id, deleted: true });
  })
  .post('/:id/signing-secret/rotate', optionalJsonBody(rotateSecretBody), async (c) => {
    const { overlap_seconds: seconds } = c.req.valid('json');
    const overlapMs = seconds === undefined ? undefined : seconds * 1000;
    const { id, secret } = await service.rotateSecret(serviceContextOf(c), c.req.param('id'), overlapMs);
    return c.json({ object: 'webhook', id, signing_secret: secret });
  })
  .post('/:id/test', async (c) => {
    const id = c.req.param('id');
    const { atMs, eventId, status, response } = await events.testWebhook(serviceContextOf(c), id);
    const sent = { http_status_code: status ?? 0, response, sent_at: isoTime(atMs) };
    return c.json({ object: 'webhook_test', webhook: id, event_id: eventId, ...sent });
  })
  .post('/:id/replay', jsonBody(replaySinceBody), async (c) => {
    const id = c.req.param('id');
    const sinceMs = Date.parse(c.req.valid('json').since);
    if (sinceMs > Date.now()) {
      throw new AppError('invalid_field', { field: 'since', reason: 'must not be in the future' });
    }
    await events.replaySince(serviceContextOf(c), id, Math.max(sinceMs, Date.now() - MAX_REPLAY_MS));
    return c.json({ object: 'webhook', id });
  })
  .get('/:id/events', queryOf(webhookEventsQuery), async (c) => {
    const id = c.req.param('id');
    const page = await events.listWebhookEvents(serviceContextOf(c), id, c.req.valid('query'));
    return c.json(listBody(page, eventSummary));
  })
  .get('/:id/events/:event', async (c) => {
    const { id, event } = c.req.param();
    const detail = await events.getWebhookEvent(serviceContextOf(c), id, event);
    const { nextAttemptAtMs, payload } = detail;
    return c.json({
      object: 'webhook_event',
      ...eventSummary(detail),
      next_attempt_at: nextAttemptAtMs === undefined ? null : isoTime(nextAttemptAtMs),
      payload,
    });
  })
  .post('/:id/events/:event/replay', async (c) => {
    const { id, event } = c.req.param();
    await events.replayWebhookEvent(serviceContextOf(c), id, event);
    return c.json({ object: 'webhook_event', id: event });
  })
  .get('/:id/events/:event/attempts', queryOf(webhookEventsQuery), async (c) => {
    const { id, event } = c.req.param();
    const { limit, after } = c.req.valid('query');
    const detail = await events.getWebhookEvent(serviceContextOf(c), id, event);
    const newestFirst = [...detail.attempts].reverse();
    const start = after === undefined ? 0 : newestFirst.findIndex((attempt) => attempt.id === after) + 1;
    // A cursor that is none has nothing after it.
    const rest = after !== undefined && start === 0 ? [] : newestFirst.slice(start);
    return c.json(listBody({ rows: rest.slice(0, limit), hasMore: rest.length > limit }, attemptBody));
  });
