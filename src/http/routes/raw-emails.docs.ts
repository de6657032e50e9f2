import * as z from 'zod';
import { describeFields, type ResourceDocs } from '../docs/resource-docs.ts';
import {
  acceptedEmail,
  acceptedExample,
  dryRun,
  IDEMPOTENCY_KEY,
  SEND_ERRORS,
  SEND_HEADERS,
} from './emails.docs.ts';
import { rawQuery } from './raw-emails.ts';

const example = [
  'From: Example <news@mail.example.com>',
  'To: ada@example.org',
  'Subject: Hello',
  '',
  'Hello, Ada.',
  '',
].join('\r\n');

export const rawEmailDocs: ResourceDocs = {
  tag: 'Raw emails',
  description: 'Messages that are MIME already.',
  operations: {
    'POST /v1/emails/raw': {
      operationId: 'sendRawEmail',
      summary: 'Send a MIME message as it is',
      description:
        'Up to 25 MiB. Bcc and Return-Path are removed, a missing Message-ID or Date is added, and LF line ends become CRLF; nothing else is changed.',
      access: 'sending_key',
      headers: z.object({ 'Idempotency-Key': IDEMPOTENCY_KEY }),
      query: describeFields(rawQuery, {
        from: 'The envelope sender; by the domain of the From field where it is not given.',
        to: 'The recipients, up to 50, in place of those in To, Cc and Bcc. May be repeated.',
        tag: '`name:value`, for your own sorting. May be repeated.',
        relay: 'The id of the relay to use; by priority and weight where it is not given.',
        in_doubt_policy: 'For this email instead of the policy of the account.',
        scheduled_at:
          'ISO 8601 with its offset, or `in 5 minutes`, `in 2 hours`, `in 3 days`; at most 30 days ahead.',
        dry_run:
          '`true` sends nothing, and answers what would happen: the envelope, the relay and why, and the message as it would leave. Of up to 15 MiB, where the deployment does not say otherwise.',
      }),
      body: { contentType: 'message/rfc822', schema: z.string(), example },
      responses: {
        200: {
          description: 'Accepted.',
          headers: SEND_HEADERS,
          schema: z.union([acceptedEmail, dryRun]),
          example: acceptedExample,
        },
      },
      errors: [...SEND_ERRORS, 'invalid_message', 'missing_field'],
    },
  },
};
