import * as z from 'zod';
import { DELIVERY_STATUSES } from '../../outbox/client.ts';
import {
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
import { emailListQuery } from '../email-query.ts';
import { FILTER_TEXTS } from './email-export.docs.ts';
import { sendQuery } from './emails.ts';
import { emailInput as email } from './emails-input.docs.ts';
import { MAX_BATCH, rescheduleBody, resolveBody } from './emails-input.ts';

const id = exampleId('message');

const delivery = z
  .object({
    index: z.int().min(0).meta({ description: 'Its place; `resolve` takes it.' }),
    recipient: z.string().nullable(),
    status: z.enum(DELIVERY_STATUSES),
    relay: z.string().nullable(),
    attempts: z.int().min(0),
    last_reply: z
      .string()
      .nullable()
      .meta({ description: 'What the server said last about this recipient.' }),
    reason: z.string().nullable().meta({ description: 'A fixed word where something else decided.' }),
    updated_at: isoTime,
    next_attempt_at: isoTime.nullable(),
  })
  .meta({ id: 'Delivery', description: 'One recipient of an email.' });

const overviewFields = {
  id: idOf('message'),
  from: z.string(),
  to: z.array(z.string()),
  cc: z.array(z.string()),
  bcc: z.array(z.string()),
  reply_to: z.array(z.string()),
  subject: z.string(),
  created_at: isoTime,
  last_event: z
    .enum([
      'queued',
      'scheduled',
      'delivered',
      'delivery_delayed',
      'bounced',
      'complained',
      'failed',
      'suppressed',
      'canceled',
    ])
    .meta({ description: 'In the words of the wire format; `deliveries` and `timeline` say it exactly.' }),
  scheduled_at: isoTime.nullable(),
  tags: z.array(z.object({ name: z.string(), value: z.string() })),
  template_id: idOf('template').nullable().meta({ description: 'What it was rendered from.' }),
  broadcast_id: idOf('broadcast').nullable().meta({ description: 'What it is a part of.' }),
  topic_id: z.string().nullable(),
  relay: z.string().nullable().meta({ description: 'The relay that was asked for.' }),
  in_doubt_policy: z.enum(['retry', 'hold']).nullable(),
  mode: z.enum(['live', 'test']).meta({ description: 'Mail of a test key goes to nobody.' }),
  deliveries: z.array(delivery),
};

const timelineEvent = z
  .object({
    type: z.enum([
      'queued',
      'scheduled',
      'complained',
      'delivered',
      'delivery_delayed',
      'bounced',
      'failed',
      'expired',
      'suppressed',
      'canceled',
      'in_doubt',
      'relay.failover',
      'resolved',
    ]),
    created_at: isoTime,
    recipients: z.array(z.string().nullable()),
    relay: z.string().nullable(),
    code: z.int().nullable().meta({ description: 'The SMTP code.' }),
    enhanced_code: z.string().nullable(),
    reason: z.string().nullable(),
  })
  .meta({ id: 'TimelineEvent' });

const detail = z
  .object({
    object: z.literal('email'),
    ...overviewFields,
    message_id: z.string().meta({ description: 'The `Message-ID` header.' }),
    text: z.string().nullable().meta({ description: '`null` also once the body is no longer kept.' }),
    html: z.string().nullable(),
    content: z
      .object({
        available: z.boolean().meta({ description: 'False: texts, headers and attachments are gone.' }),
        kept_until: isoTime
          .nullable()
          .meta({ description: 'Null while a delivery has yet to end, and once the content is gone.' }),
      })
      .meta({ description: 'Whether the content is still kept (see `retention` of the account).' }),
    possible_duplicates: z.int().min(0).meta({ description: 'Copies there may be more than one.' }),
    timeline: z.array(timelineEvent),
  })
  .meta({ id: 'Email' });

const emailExample = {
  from: 'Example <news@mail.example.com>',
  to: ['ada@example.org'],
  subject: 'Hello',
  text: 'Hello, Ada.',
};

const overviewExample = {
  id,
  from: emailExample.from,
  to: emailExample.to,
  cc: [],
  bcc: [],
  reply_to: [],
  subject: emailExample.subject,
  created_at: EXAMPLE_TIME,
  last_event: 'delivered',
  scheduled_at: null,
  tags: [],
  template_id: null,
  broadcast_id: null,
  topic_id: null,
  relay: null,
  in_doubt_policy: null,
  mode: 'live',
  deliveries: [
    {
      index: 0,
      recipient: 'ada@example.org',
      status: 'delivered',
      relay: exampleId('relay'),
      attempts: 1,
      last_reply: '250 2.0.0 Ok: queued',
      reason: null,
      updated_at: EXAMPLE_TIME,
      next_attempt_at: null,
    },
  ],
};

const detailExample = {
  object: 'email',
  ...overviewExample,
  message_id: `<${id}@mail.example.com>`,
  text: emailExample.text,
  html: null,
  content: { available: true, kept_until: '2026-12-02T00:00:00.000Z' },
  possible_duplicates: 0,
  timeline: [
    {
      type: 'delivered',
      created_at: EXAMPLE_TIME,
      recipients: ['ada@example.org'],
      relay: exampleId('relay'),
      code: 250,
      enhanced_code: '2.0.0',
      reason: null,
    },
  ],
};

export const acceptedEmail = z.object({ id: idOf('message'), deliveries: z.array(delivery) }).meta({
  id: 'AcceptedEmail',
  description:
    'Of a repeated request `id` is that of the first one, `deliveries` are the same recipients with what became of them since, and empty once the email is past its retention.',
});
export const acceptedExample = {
  id,
  deliveries: [
    {
      index: 0,
      recipient: 'ada@example.org',
      status: 'queued',
      relay: null,
      attempts: 0,
      last_reply: null,
      reason: null,
      updated_at: EXAMPLE_TIME,
      next_attempt_at: null,
    },
  ],
};

const explainedRelay = z.object({ relay: z.string(), reason: z.string() });
export const dryRun = z
  .object({
    object: z.literal('dry_run'),
    from: z.string(),
    to: z.array(z.string()),
    cc: z.array(z.string()),
    bcc: z.array(z.string()),
    reply_to: z.array(z.string()),
    subject: z.string(),
    created_at: isoTime,
    scheduled_at: isoTime.nullable(),
    tags: z.array(z.object({ name: z.string(), value: z.string() })),
    template_id: idOf('template').nullable(),
    topic_id: z.string().nullable(),
    in_doubt_policy: z.enum(['retry', 'hold']).nullable(),
    mode: z.enum(['live', 'test']),
    deliveries: z.array(delivery),
    message_id: z.string(),
    envelope: z.object({ from: z.string(), recipients: z.array(z.string()) }),
    relay: z.string().nullable().meta({ description: 'The relay that would carry it now.' }),
    relay_reason: z.string().meta({ description: 'Why this one.' }),
    other_relays: z.array(explainedRelay).meta({ description: 'What speaks against each of the others.' }),
    size_bytes: z.int().min(0),
    mime_base64: z.string().meta({ description: 'The composed message.' }),
  })
  .meta({ id: 'DryRun', description: 'The answer to `dry_run=true`.' });

export const IDEMPOTENCY_KEY = z
  .string()
  .regex(/^[\x20-\x7e]{1,256}$/)
  .optional()
  .meta({
    description:
      'A repeated request with the same key and body sends nothing. It is answered with the same ids and the same recipients in their order; `status` and what else `deliveries` say are as they are by then.',
  });

export const SEND_HEADERS = {
  'ratelimit-limit': 'Messages that the key may send in a second.',
  'ratelimit-remaining': 'How many are left.',
  'ratelimit-reset': 'Seconds until all are there again.',
};

export const SEND_ERRORS = [
  'field_not_supported',
  'field_refused',
  'invalid_from',
  'invalid_attachment',
  'domain_not_verified',
  'no_relay',
  'invalid_idempotency_key',
  'idempotency_mismatch',
  'idempotency_in_progress',
  'rate_limited',
  'daily_quota_exceeded',
  'monthly_quota_exceeded',
  'backlog_full',
] as const;

export const emailDocs: ResourceDocs = {
  tag: 'Emails',
  description: 'Sending, and what became of it.',
  operations: {
    'POST /v1/emails': {
      operationId: 'sendEmail',
      summary: 'Send an email',
      description: 'It is on the ledger when this answers; `GET /v1/emails/{id}` says what became of it.',
      access: 'sending_key',
      headers: z.object({ 'Idempotency-Key': IDEMPOTENCY_KEY }),
      query: describeFields(sendQuery, {
        dry_run:
          '`true` sends nothing, and answers what would happen: the envelope, the relay and why, and the message.',
      }),
      body: { schema: email, example: emailExample },
      responses: {
        200: {
          description: 'Accepted.',
          headers: SEND_HEADERS,
          schema: z.union([acceptedEmail, dryRun]),
          example: acceptedExample,
        },
      },
      errors: SEND_ERRORS,
    },
    'POST /v1/emails/batch': {
      operationId: 'sendBatch',
      summary: 'Send up to 100 emails',
      description:
        'All are accepted or none, and an error names the email by its place: `[3].to`. In permissive mode `errors` tells of each that was left out.',
      access: 'sending_key',
      headers: z.object({
        'Idempotency-Key': IDEMPOTENCY_KEY,
        'x-batch-validation': z
          .enum(['strict', 'permissive'])
          .optional()
          .meta({ description: '`strict`, the default: all or none. `permissive`: the good ones go.' }),
      }),
      body: {
        schema: z.array(email).min(1).max(MAX_BATCH).meta({ id: 'BatchInput' }),
        example: [emailExample],
      },
      responses: {
        200: {
          description: 'Accepted, in the order given.',
          headers: SEND_HEADERS,
          schema: z.object({
            data: z.array(acceptedEmail),
            errors: z
              .array(z.object({ index: z.int().min(0), message: z.string(), code: z.string() }))
              .optional()
              .meta({ description: 'In permissive mode only.' }),
          }),
          example: { data: [acceptedExample] },
        },
      },
      errors: SEND_ERRORS,
    },
    'GET /v1/emails': {
      operationId: 'listEmails',
      summary: 'List emails',
      description: 'Newest first. All filters must be true.',
      query: describeFields(emailListQuery, { ...PAGE_TEXTS, ...FILTER_TEXTS }),
      responses: {
        200: {
          description: 'A page of emails.',
          schema: pageOf(z.object(overviewFields).meta({ id: 'EmailOverview' })),
          example: examplePage(overviewExample),
        },
      },
    },
    'GET /v1/emails/:id': {
      operationId: 'getEmail',
      summary: 'Read an email',
      description: 'With what became of each recipient, and how.',
      responses: { 200: { description: 'The email.', schema: detail, example: detailExample } },
    },
    'PATCH /v1/emails/:id': {
      operationId: 'rescheduleEmail',
      summary: 'Change when an email is sent',
      description: 'While it is scheduled. A time that is not ahead means at once.',
      body: {
        schema: describeFields(rescheduleBody, { scheduled_at: 'As in sending.' }),
        example: { scheduled_at: 'in 2 hours' },
      },
      responses: { 200: { description: 'The email as it is now.', schema: detail, example: detailExample } },
      errors: ['not_scheduled', 'test_key_refused'],
    },
    'POST /v1/emails/:id/cancel': {
      operationId: 'cancelEmail',
      summary: 'Take an email back',
      description:
        'Once this answers 200, no copy leaves any more. What was delivered stays so. Repeating it changes nothing.',
      responses: { 200: { description: 'The email as it is now.', schema: detail, example: detailExample } },
      errors: ['already_sent', 'send_in_progress', 'test_key_refused'],
    },
    'POST /v1/emails/:id/deliveries/:n/resolve': {
      operationId: 'resolveDelivery',
      summary: 'Decide about a delivery in doubt',
      path: { n: 'The `index` of the delivery.' },
      body: {
        schema: describeFields(resolveBody, {
          resolution: '`delivered`: it arrived. `resend`: send a copy. `drop`: send nothing more.',
        }),
        example: { resolution: 'delivered' },
      },
      responses: { 200: { description: 'The email as it is now.', schema: detail, example: detailExample } },
      errors: ['conflict', 'test_key_refused'],
    },
  },
};
