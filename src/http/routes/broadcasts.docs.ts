import * as z from 'zod';
import { DELIVERY_STATUSES } from '../../outbox/client.ts';
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
import {
  createBroadcastBody,
  recipientQuery,
  sampleContact,
  sendBroadcastBody,
  testBroadcastBody,
  updateBroadcastBody,
} from './broadcasts.ts';
import { acceptedEmail, acceptedExample, IDEMPOTENCY_KEY, SEND_ERRORS, SEND_HEADERS } from './emails.docs.ts';

const id = exampleId('broadcast');
const listId = exampleId('list');
const path = { id: 'The id of the broadcast.' };

const STATUSES = ['draft', 'scheduled', 'queued', 'sending', 'paused', 'sent', 'canceled', 'failed'] as const;
const status = z.enum(STATUSES);

const texts = {
  name: 'For yourself.',
  segment_id: 'Whom it is for: the id of a list. One of the three names is needed.',
  audience_id: 'Another name for `segment_id`.',
  list_id: 'Another name for `segment_id`.',
  from: 'The sender, of a verified domain.',
  subject: 'A template too; nothing in it is escaped, and it stays on one line.',
  reply_to: 'Where replies go.',
  preview_text: 'What an inbox shows beside the subject; a template too. It needs `html`.',
  html: 'A template: `{{contact.first_name|there}}`, `{{{unsubscribe_url}}}`. See docs/broadcasts.md.',
  text: 'The body as plain text, a template too. Made from the HTML where it is absent; empty: there is none.',
  template:
    'In place of `html` and `text`: a published template, as it is when the broadcast is sent. Its `from`, `subject` and `reply_to` are used where the broadcast has none.',
  topic_id: 'What it is about: only who wants the topic gets it, and the link to unsubscribe ends the topic.',
};

const overviewFields = {
  id: idOf('broadcast'),
  name: z.string(),
  segment_id: z.string(),
  audience_id: z.string(),
  list_id: z.string(),
  topic_id: z.string().nullable(),
  status,
  created_at: isoTime,
  scheduled_at: isoTime.nullable(),
  sent_at: isoTime.nullable().meta({ description: 'When its last email was accepted.' }),
};

const count = z.int().min(0);
const progress = z
  .object({
    total: count.nullable().meta({ description: 'How many it is for; `null` until they are counted.' }),
    queued: count.meta({ description: 'Emails on the ledger so far.' }),
    delivered: count,
    failed: count,
    suppressed: count,
    canceled: count,
    in_doubt: count.meta({ description: 'Held for your decision.' }),
    skipped: count.meta({ description: 'Contacts for whom no email could be made.' }),
    estimated_end: isoTime.nullable().meta({ description: 'As if the rest went on as before.' }),
    waiting_for: z
      .enum(['backlog', 'quota', 'account_suspended', 'unavailable'])
      .nullable()
      .meta({ description: 'Why nothing is taken from the list at the moment.' }),
    started_at: isoTime.nullable(),
    finished_at: isoTime.nullable(),
  })
  .meta({ id: 'BroadcastProgress' });

const detail = z
  .object({
    object: z.literal('broadcast'),
    ...overviewFields,
    from: z.string().nullable(),
    subject: z.string().nullable(),
    reply_to: z.array(z.string()).nullable(),
    preview_text: z.string().nullable(),
    html: z.string().nullable(),
    text: z.string().nullable(),
    template: z.object({ id: z.string(), variables: z.record(z.string(), z.unknown()) }).nullable(),
    reason: z.string().nullable().meta({ description: 'Why it failed.' }),
    progress: progress.nullable().meta({ description: '`null` for a draft.' }),
  })
  .meta({ id: 'Broadcast' });

const overviewExample = {
  id,
  name: 'November news',
  segment_id: listId,
  audience_id: listId,
  list_id: listId,
  topic_id: null,
  status: 'sending',
  created_at: EXAMPLE_TIME,
  scheduled_at: null,
  sent_at: null,
};

const inputExample = {
  name: 'November news',
  segment_id: listId,
  from: 'News <news@mail.example.com>',
  subject: 'News for {{{contact.first_name|you}}}',
  preview_text: 'What is new in November',
  html: '<p>Hello {{contact.first_name|there}},</p><p><a href="{{{unsubscribe_url}}}">Unsubscribe</a></p>',
};

const named = z.object({ object: z.literal('broadcast'), id: idOf('broadcast') });
const namedExample = { object: 'broadcast', id };
const steered = named.extend({ status });
const steeredTo = (to: (typeof STATUSES)[number]) => ({ ...namedExample, status: to });

const CHECKS = [
  'conflict',
  'invalid_from',
  'domain_not_verified',
  'no_relay',
  'account_suspended',
  'account_unconfirmed',
] as const;

const recipient = z.object({
  id: idOf('message').meta({ description: 'A cursor for the next page.' }),
  contact_id: z.string().nullable(),
  email: z.string().nullable(),
  email_id: idOf('message').meta({ description: 'The email, for `GET /v1/emails/{id}`.' }),
  status: z.enum(DELIVERY_STATUSES).nullable(),
  bounce_type: z
    .enum(['permanent', 'transient', 'undetermined'])
    .optional()
    .meta({ description: 'Only with `type=bounced`: refused for good, or for now until time ran out.' }),
});

export const broadcastDocs: ResourceDocs = {
  tag: 'Broadcasts',
  description: 'One email to everybody on a list, each in their own words.',
  operations: {
    'POST /v1/broadcasts': {
      operationId: 'createBroadcast',
      summary: 'Create a broadcast',
      description: 'As a draft; with `send` it is sent at once, or at `scheduled_at`.',
      headers: z.object({
        'Idempotency-Key': IDEMPOTENCY_KEY.meta({
          description:
            'A repeated request with the same key and body makes no other broadcast, as long as that one is kept.',
        }),
      }),
      body: {
        schema: describeFields(createBroadcastBody, {
          ...texts,
          send: 'Send it. What cannot be sent is not created.',
          scheduled_at: 'When: ISO 8601 with an offset, or like `in 2 hours`. Only with `send`.',
        }),
        example: inputExample,
      },
      responses: { 201: { description: 'It is there.', schema: named, example: namedExample } },
      errors: [
        ...CHECKS,
        'field_refused',
        'invalid_idempotency_key',
        'idempotency_mismatch',
        'idempotency_in_progress',
      ],
    },
    'GET /v1/broadcasts': {
      operationId: 'listBroadcasts',
      summary: 'List the broadcasts',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'A page of broadcasts, without their contents.',
          schema: pageOf(z.object(overviewFields)),
          example: examplePage(overviewExample),
        },
      },
    },
    'GET /v1/broadcasts/:id': {
      operationId: 'getBroadcast',
      summary: 'Read a broadcast',
      description: 'With what it says, and how far it has come.',
      path,
      responses: {
        200: {
          description: 'The broadcast.',
          schema: detail,
          example: {
            object: 'broadcast',
            ...overviewExample,
            from: inputExample.from,
            subject: inputExample.subject,
            reply_to: null,
            preview_text: inputExample.preview_text,
            html: inputExample.html,
            text: null,
            template: null,
            reason: null,
            progress: {
              total: 5000,
              queued: 1200,
              delivered: 1000,
              failed: 3,
              suppressed: 7,
              canceled: 0,
              in_doubt: 0,
              skipped: 0,
              estimated_end: EXAMPLE_TIME,
              waiting_for: null,
              started_at: EXAMPLE_TIME,
              finished_at: null,
            },
          },
        },
      },
    },
    'PATCH /v1/broadcasts/:id': {
      operationId: 'updateBroadcast',
      summary: 'Change a draft',
      description:
        '`null` takes a field away. `template` takes the place of `html` and `text`, and they its.',
      path,
      body: {
        schema: describeFields(updateBroadcastBody, texts),
        example: { subject: 'Other news' },
      },
      responses: { 200: { description: 'It is changed.', schema: named, example: namedExample } },
      errors: ['conflict', 'invalid_from', 'field_refused'],
    },
    'DELETE /v1/broadcasts/:id': {
      operationId: 'removeBroadcast',
      summary: 'Remove a broadcast',
      description: 'A draft, or one that is over. The emails that it was sent as stay.',
      path,
      responses: {
        200: {
          description: 'It is gone.',
          schema: deletedOf('broadcast', 'broadcast'),
          example: { ...namedExample, deleted: true },
        },
      },
      errors: ['conflict'],
    },
    'POST /v1/broadcasts/:id/send': {
      operationId: 'sendBroadcast',
      summary: 'Send a draft',
      description: 'At once, or at `scheduled_at`. From then on it is not changed any more.',
      path,
      body: {
        schema: describeFields(sendBroadcastBody, {
          scheduled_at: 'When: ISO 8601 with an offset, or like `in 2 hours`.',
        }),
        example: { scheduled_at: 'in 2 hours' },
        optional: true,
      },
      responses: {
        200: { description: 'It is handed over.', schema: steered, example: steeredTo('scheduled') },
      },
      errors: CHECKS,
    },
    'POST /v1/broadcasts/:id/cancel': {
      operationId: 'cancelBroadcast',
      summary: 'Cancel a broadcast',
      description:
        'One that has not begun is a draft again. Of one that has, nothing more is sent: emails that are not at a relay are canceled.',
      path,
      responses: {
        200: { description: 'No more of it is sent.', schema: steered, example: steeredTo('canceled') },
      },
      errors: ['conflict'],
    },
    'POST /v1/broadcasts/:id/pause': {
      operationId: 'pauseBroadcast',
      summary: 'Pause a broadcast',
      description: 'Nobody more is taken from the list. What is on the ledger already is sent.',
      path,
      responses: { 200: { description: 'It rests.', schema: steered, example: steeredTo('paused') } },
      errors: ['conflict'],
    },
    'POST /v1/broadcasts/:id/resume': {
      operationId: 'resumeBroadcast',
      summary: 'Go on with a broadcast that was paused',
      path,
      responses: { 200: { description: 'It goes on.', schema: steered, example: steeredTo('sending') } },
      errors: ['conflict'],
    },
    'POST /v1/broadcasts/:id/duplicate': {
      operationId: 'duplicateBroadcast',
      summary: 'Copy a broadcast',
      description: 'The copy is a draft.',
      path,
      responses: { 200: { description: 'The copy.', schema: named, example: namedExample } },
      errors: ['account_unconfirmed'],
    },
    'POST /v1/broadcasts/:id/test': {
      operationId: 'testBroadcast',
      summary: 'Send a broadcast to one address',
      description:
        'An email like any other: counted, shown by `GET /v1/emails`, and no part of the broadcast.',
      path,
      headers: z.object({ 'Idempotency-Key': IDEMPOTENCY_KEY }),
      body: {
        schema: describeFields(testBroadcastBody, {
          to: 'Who gets it. Its links are those of this address.',
          contact: describeFields(sampleContact, {
            email: '`to` where it is not given.',
            first_name: 'What `contact.first_name` says.',
            last_name: 'What `contact.last_name` says.',
            properties: 'Values of contact properties, by key. The others have their fallbacks.',
          })
            .optional()
            .meta({ description: 'Somebody as on the list.' }),
        }),
        example: { to: 'me@example.org', contact: { first_name: 'Ada' } },
      },
      responses: {
        200: {
          description: 'Accepted.',
          headers: SEND_HEADERS,
          schema: acceptedEmail,
          example: acceptedExample,
        },
      },
      errors: [...SEND_ERRORS, 'conflict', 'account_suspended', 'account_unconfirmed'],
    },
    'GET /v1/broadcasts/:id/recipients': {
      operationId: 'listBroadcastRecipients',
      summary: 'List whom a broadcast went to',
      description: 'By its emails, as long as they are kept.',
      path,
      query: describeFields(recipientQuery, {
        ...PAGE_TEXTS,
        type: '`sent`: everybody whom an email was made for. `opened`, `clicked`, `complained` and `unsubscribed` are refused: that is not recorded.',
        email: 'Only this address.',
        bounce_type: 'Only with `type=bounced`: `permanent`, or `transient`. None is `undetermined`.',
      }),
      responses: {
        200: {
          description: 'A page of recipients.',
          schema: pageOf(recipient),
          example: examplePage({
            id: exampleId('message'),
            contact_id: exampleId('contact'),
            email: 'ada@example.org',
            email_id: exampleId('message'),
            status: 'delivered',
          }),
        },
      },
      errors: ['field_refused'],
    },
  },
};
