import * as z from 'zod';
import {
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  idOf,
  isoTime,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { eventsQuery } from './events.ts';

export const eventPayload = z
  .object({
    id: idOf('event'),
    type: z.string().meta({ description: '`email.delivered` and the like.' }),
    created_at: isoTime,
    data: z
      .record(z.string(), z.unknown())
      .meta({ description: 'In the shape of its type, as the `resend` SDK has it, with further fields.' }),
  })
  .meta({ id: 'Event' });

export const eventExample = {
  id: exampleId('event'),
  type: 'email.delivered',
  created_at: EXAMPLE_TIME,
  data: {
    email_id: exampleId('message'),
    created_at: EXAMPLE_TIME,
    from: 'Acme <hello@acme.example>',
    to: ['ann@example.com'],
    subject: 'Your order',
    message_id: `<${exampleId('message')}@acme.example>`,
    recipients: ['ann@example.com'],
    relay: exampleId('relay'),
    code: 250,
    enhanced_code: '2.0.0',
    reason: null,
  },
};

export const eventDocs: ResourceDocs = {
  tag: 'Events',
  description: 'What happened, in the order it was written down, for those who ask instead of being told.',
  operations: {
    'GET /v1/events': {
      operationId: 'listEvents',
      summary: 'Read the events after a cursor',
      query: describeFields(eventsQuery, {
        after: 'The `next` of an earlier answer, the id of an event, or `latest`; else from the oldest.',
        types: 'Only these types, separated by commas.',
        limit: 'How many to return, 1 to 100.',
        wait: 'Seconds to wait for the next event where there is none, up to 25.',
      }),
      responses: {
        200: {
          description: 'The events, oldest first.',
          schema: z.object({
            object: z.literal('list'),
            has_more: z.boolean(),
            data: z.array(eventPayload),
            next: z
              .string()
              .meta({ description: 'The cursor for the next request; also where nothing was found.' }),
          }),
          example: {
            object: 'list',
            has_more: false,
            data: [eventExample],
            next: 'evc_1k11jhxvma80000',
          },
        },
      },
    },
  },
};
