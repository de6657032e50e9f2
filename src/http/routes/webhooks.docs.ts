import * as z from 'zod';
import { EVENT_TYPES } from '../../services/event-types.ts';
import {
  deletedOf,
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  examplePage,
  idOf,
  isoTime,
  PAGE_TEXTS,
  pageOf,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { pageQuery } from '../pagination.ts';
import { eventExample, eventPayload } from './events.docs.ts';
import {
  createWebhookBody,
  replaySinceBody,
  rotateSecretBody,
  updateWebhookBody,
  webhookEventsQuery,
} from './webhooks.ts';

const id = exampleId('webhook');
const event = exampleId('event');
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=';

const fields = {
  id: idOf('webhook'),
  endpoint: z.string(),
  created_at: isoTime,
  status: z.enum(['enabled', 'disabled']),
  events: z.array(z.enum(EVENT_TYPES)).nullable().meta({ description: '`null`: every type.' }),
  disabled_reason: z
    .string()
    .nullable()
    .meta({ description: '`gone`: the endpoint answered 410, and the service disabled it.' }),
};
const named = z.object({ object: z.literal('webhook'), id: idOf('webhook') });
const withSecret = named
  .extend({ signing_secret: z.string().meta({ description: 'For `webhooks.verify` and the like.' }) })
  .meta({ id: 'WebhookSecret' });
const secretExample = { object: 'webhook', id, signing_secret: secret };
const example = {
  id,
  endpoint: 'https://hooks.example.com/mail',
  created_at: EXAMPLE_TIME,
  status: 'enabled',
  events: ['email.delivered', 'email.bounced'],
  disabled_reason: null,
};

const status = z
  .enum(['success', 'pending', 'failed', 'attempting'])
  .meta({ description: '`pending`: not sent yet, or to be tried again.' });
const eventFields = { id: idOf('event'), type: z.string(), created_at: isoTime, status };
const eventListExample = { id: event, type: 'email.delivered', created_at: EXAMPLE_TIME, status: 'success' };
const answer = {
  http_status_code: z.int().meta({ description: '0 where there was no answer; `response` says why.' }),
  response: z.string().meta({ description: 'The first 256 bytes of the answer.' }),
  sent_at: isoTime,
};
const answerExample = { http_status_code: 200, response: 'ok', sent_at: EXAMPLE_TIME };
const FIELD_TEXTS = {
  endpoint: 'An https URL on port 443 with a host name that leads to public addresses.',
  events: 'The types it is told of; `null`, or left away: all of them.',
} as const;
const EVENT = { event: 'The id of the event.' };
const EVENT_PAGE = {
  limit: PAGE_TEXTS.limit,
  after: 'The id of the last object of a page: returns those that follow it, which are older.',
};

export const webhookDocs: ResourceDocs = {
  tag: 'Webhooks',
  description: 'Endpoints that are told what happens, with signatures of Standard Webhooks.',
  operations: {
    'POST /v1/webhooks': {
      operationId: 'createWebhook',
      summary: 'Add a webhook',
      body: {
        schema: describeFields(createWebhookBody, {
          ...FIELD_TEXTS,
          backfill:
            'Whether it is sent the events of the last seven days too, as it is where nothing is said.',
        }),
        example: { endpoint: example.endpoint, events: example.events },
      },
      responses: {
        201: { description: 'The secret it signs with.', schema: withSecret, example: secretExample },
      },
      errors: ['field_refused', 'host_not_looked_up', 'conflict'],
    },
    'GET /v1/webhooks': {
      operationId: 'listWebhooks',
      summary: 'List the webhooks',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'A page of webhooks.',
          schema: pageOf(z.object(fields)),
          example: examplePage(example),
        },
      },
    },
    'GET /v1/webhooks/:id': {
      operationId: 'getWebhook',
      summary: 'Read a webhook',
      responses: {
        200: {
          description: 'The webhook and its secret.',
          schema: withSecret.extend(fields).meta({ id: 'Webhook' }),
          example: { ...secretExample, ...example },
        },
      },
    },
    'PATCH /v1/webhooks/:id': {
      operationId: 'updateWebhook',
      summary: 'Change a webhook',
      description: 'One that is enabled again is told what happens from then on; a replay gives it the rest.',
      body: {
        schema: describeFields(updateWebhookBody, {
          ...FIELD_TEXTS,
          status: 'Whether it is told anything.',
        }),
        example: { status: 'disabled' },
      },
      responses: {
        200: { description: 'It is changed.', schema: named, example: { object: 'webhook', id } },
      },
      errors: ['field_refused', 'host_not_looked_up'],
    },
    'DELETE /v1/webhooks/:id': {
      operationId: 'deleteWebhook',
      summary: 'Delete a webhook',
      responses: {
        200: {
          description: 'It is told nothing more.',
          schema: deletedOf('webhook', 'webhook'),
          example: { object: 'webhook', id, deleted: true },
        },
      },
    },
    'POST /v1/webhooks/:id/signing-secret/rotate': {
      operationId: 'rotateWebhookSecret',
      summary: 'Change the signing secret',
      description: 'For some time everything is signed with both, the old one and the new one.',
      body: {
        schema: describeFields(rotateSecretBody, {
          overlap_seconds: 'How long the old secret is used too; a day where it is not said.',
        }),
        example: { overlap_seconds: 3600 },
        optional: true,
      },
      responses: { 200: { description: 'The new secret.', schema: withSecret, example: secretExample } },
    },
    'POST /v1/webhooks/:id/test': {
      operationId: 'testWebhook',
      summary: 'Send a test event now',
      description: 'Of type `webhook.test`, whatever the webhook listens to. It is not tried again.',
      responses: {
        200: {
          description: 'What the endpoint answered; also where that was an error.',
          schema: z.object({
            object: z.literal('webhook_test'),
            webhook: idOf('webhook'),
            event_id: idOf('event'),
            ...answer,
          }),
          example: { object: 'webhook_test', webhook: id, event_id: event, ...answerExample },
        },
      },
      errors: ['field_refused', 'host_not_looked_up', 'conflict'],
    },
    'POST /v1/webhooks/:id/replay': {
      operationId: 'replayWebhook',
      summary: 'Send everything since a time once more',
      description: 'Each event has the `webhook-id` that it had before.',
      body: {
        schema: describeFields(replaySinceBody, { since: 'A time in ISO 8601.' }),
        example: { since: EXAMPLE_TIME },
      },
      responses: {
        200: { description: 'It is under way.', schema: named, example: { object: 'webhook', id } },
      },
      errors: ['conflict'],
    },
    'GET /v1/webhooks/:id/events': {
      operationId: 'listWebhookEvents',
      summary: 'List the events that a webhook was sent',
      description: 'Those that were attempted at least once, newest first.',
      query: describeFields(webhookEventsQuery, EVENT_PAGE),
      responses: {
        200: {
          description: 'A page of events.',
          schema: pageOf(z.object(eventFields)),
          example: examplePage(eventListExample),
        },
      },
    },
    'GET /v1/webhooks/:id/events/:event': {
      operationId: 'getWebhookEvent',
      summary: 'Read an event of a webhook',
      path: EVENT,
      responses: {
        200: {
          description: 'The event, and how its delivery stands.',
          schema: z.object({
            object: z.literal('webhook_event'),
            ...eventFields,
            next_attempt_at: isoTime.nullable(),
            payload: eventPayload,
          }),
          example: {
            object: 'webhook_event',
            ...eventListExample,
            next_attempt_at: null,
            payload: eventExample,
          },
        },
      },
    },
    'POST /v1/webhooks/:id/events/:event/replay': {
      operationId: 'replayWebhookEvent',
      summary: 'Send an event once more',
      path: EVENT,
      responses: {
        200: {
          description: 'It is under way.',
          schema: z.object({ object: z.literal('webhook_event'), id: idOf('event') }),
          example: { object: 'webhook_event', id: event },
        },
      },
      errors: ['conflict'],
    },
    'GET /v1/webhooks/:id/events/:event/attempts': {
      operationId: 'listWebhookEventAttempts',
      summary: 'List the attempts to deliver an event',
      path: EVENT,
      query: describeFields(webhookEventsQuery, EVENT_PAGE),
      responses: {
        200: {
          description: 'A page of attempts, newest first.',
          schema: pageOf(z.object({ id: z.string(), ...answer })),
          example: examplePage({ id: `${event}_wz2e5c9tgkbn4m7w_1`, ...answerExample }),
        },
      },
    },
  },
};
