import * as z from 'zod';
import { describeFields, type ResourceDocs } from '../docs/resource-docs.ts';
import { acceptedEmail, acceptedExample, IDEMPOTENCY_KEY, SEND_ERRORS, SEND_HEADERS } from './emails.docs.ts';
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
      }),
      body: { contentType: 'message/rfc822', schema: z.string(), example },
      responses: {
        200: {
          description: 'Accepted.',
          headers: SEND_HEADERS,
          schema: acceptedEmail,
          example: acceptedExample,
        },
      },
      errors: [...SEND_ERRORS, 'invalid_message', 'missing_field'],
    },
  },
};
