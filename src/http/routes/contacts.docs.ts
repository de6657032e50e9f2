import * as z from 'zod';
import type { ErrorCode } from '../../errors.ts';
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
import { pageQuery } from '../pagination.ts';
import { contactQuery, createContactBody, createMemberBody, updateContactBody } from './contact-fields.ts';
import { updateTopicsBody } from './contacts.ts';

/** What keeps the mail from going out that asks for the confirmation of a place on a list. */
export const CONFIRMATION_ERRORS = [
  'domain_not_verified',
  'no_relay',
  'account_suspended',
  'account_unconfirmed',
  'rate_limited',
  'daily_quota_exceeded',
  'monthly_quota_exceeded',
  'backlog_full',
] as const satisfies readonly ErrorCode[];

const id = exampleId('contact');
const segment = exampleId('list');
const topic = exampleId('topic');

const PATH = { id: 'The id of the contact, or its address.' };
const FIELDS = {
  first_name: 'At most 200 characters; null clears it.',
  last_name: 'At most 200 characters; null clears it.',
  unsubscribed:
    'Whether the contact gets no broadcasts and no mail about topics. Other mail is not affected.',
  properties: 'Values of contact properties by key. null removes one; those not named stay.',
} as const;
const EMAIL = 'The address, without a display name.';

export const memberBodyDocs = describeFields(createMemberBody, { email: EMAIL, ...FIELDS });
export const updateContactDocs = describeFields(updateContactBody, {
  email: 'Another address for the contact.',
  ...FIELDS,
});
export const contactExample = {
  id,
  email: 'ann@example.com',
  first_name: 'Ann',
  last_name: null,
  created_at: EXAMPLE_TIME,
  updated_at: EXAMPLE_TIME,
  unsubscribed: false,
};
const fields = {
  id: idOf('contact'),
  email: z.string(),
  first_name: z.string().nullable(),
  last_name: z.string().nullable(),
  created_at: isoTime,
  updated_at: isoTime,
  unsubscribed: z.boolean(),
};
export const contactSummarySchema = z.object(fields);
export const contactSchema = z.object({
  object: z.literal('contact'),
  ...fields,
  properties: z.record(
    z.string(),
    z.object({ type: z.enum(['string', 'number']), value: z.union([z.string(), z.number()]) }),
  ),
});
export const fullContactExample = {
  object: 'contact',
  ...contactExample,
  properties: { country: { type: 'string', value: 'CH' } },
};
export const changedContact = z.object({ object: z.literal('contact'), id: idOf('contact') });
export const changedContactExample = { object: 'contact', id };
export const deletedContactExample = { object: 'contact', id, contact: id, deleted: true };
/** `contact` is what was given: an id, or an address. */
export const deletedContact = z.object({
  object: z.literal('contact'),
  id: z.string(),
  contact: z.string(),
  deleted: z.literal(true),
});

const subscription = z.enum(['opt_in', 'opt_out']);
const choices = z.array(z.object({ id: idOf('topic'), subscription }));
const topicChoice = { id: topic, subscription: 'opt_in' };
const membership = {
  object: z.literal('contact_segment'),
  id: idOf('list').meta({ description: 'The list.' }),
  contact_id: idOf('contact'),
  segment_id: idOf('list'),
};
const membershipExample = { object: 'contact_segment', id: segment, contact_id: id, segment_id: segment };
const SEGMENT_PATH = { ...PATH, segment: 'The id of the list.' };

export const contactDocs: ResourceDocs = {
  tag: 'Contacts',
  description:
    'People, account-wide. What is known of them is sealed at rest; they are found by keyed hashes of address, domain and filterable properties.',
  operations: {
    'POST /v1/contacts': {
      operationId: 'createContact',
      summary: 'Create a contact',
      description: 'An address that is there already keeps its id, and is changed by what is given.',
      body: {
        schema: describeFields(createContactBody, {
          email: EMAIL,
          ...FIELDS,
          segments: 'Lists to put the contact on.',
          topics: 'What the contact chose about topics.',
          audience_id: 'One more list to put the contact on.',
        }),
        example: {
          email: 'ann@example.com',
          first_name: 'Ann',
          properties: { country: 'CH' },
          segments: [{ id: segment }],
          topics: [topicChoice],
        },
      },
      responses: {
        201: { description: 'The contact.', schema: changedContact, example: changedContactExample },
      },
      errors: ['conflict', 'overloaded', ...CONFIRMATION_ERRORS],
    },
    'GET /v1/contacts': {
      operationId: 'listContacts',
      summary: 'List contacts',
      query: describeFields(contactQuery, {
        ...PAGE_TEXTS,
        segment_id: 'Only those of this list.',
        email: 'Only the one with this address.',
        domain: 'Only those with an address at this domain.',
      }),
      responses: {
        200: {
          description: 'A page of contacts.',
          schema: pageOf(contactSummarySchema),
          example: examplePage(contactExample),
        },
      },
      errors: ['conflict', 'not_found'],
    },
    'GET /v1/contacts/:id': {
      operationId: 'getContact',
      summary: 'Read a contact',
      path: PATH,
      responses: { 200: { description: 'The contact.', schema: contactSchema, example: fullContactExample } },
    },
    'PATCH /v1/contacts/:id': {
      operationId: 'updateContact',
      summary: 'Change a contact',
      path: PATH,
      body: { schema: updateContactDocs, example: { last_name: 'Example', properties: { country: null } } },
      responses: {
        200: { description: 'It is changed.', schema: changedContact, example: changedContactExample },
      },
      errors: ['conflict', 'overloaded'],
    },
    'DELETE /v1/contacts/:id': {
      operationId: 'deleteContact',
      summary: 'Erase a contact',
      description:
        'With all that is known of it. Where the address is suppressed it stays so, by a keyed hash alone. Mail to the address keeps its states and times: `erased-0@erased.invalid` stands for the address, and content, replies and events about the contact are gone. What was not sent yet is canceled for this recipient. Answers once that is done for up to 4,000 messages of each shard; the rest follows within seconds, or minutes where there is very much. Mail that is at its final dot is erased with its verdict.',
      path: PATH,
      responses: {
        200: { description: 'It is gone.', schema: deletedContact, example: deletedContactExample },
      },
    },
    'GET /v1/contacts/:id/segments': {
      operationId: 'listListsOfContact',
      summary: 'List the lists a contact is on',
      path: PATH,
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'Lists with members of their own; not those with a filter.',
          schema: pageOf(
            z.object({
              id: idOf('list'),
              name: z.string(),
              created_at: isoTime,
              status: z.enum(['confirmed', 'pending']).meta({
                description: 'Of the contact on the list: pending until a double opt-in is confirmed.',
              }),
            }),
          ),
          example: examplePage({ id: segment, name: 'News', created_at: EXAMPLE_TIME, status: 'confirmed' }),
        },
      },
    },
    'POST /v1/contacts/:id/segments/:segment': {
      operationId: 'addContactToList',
      summary: 'Put a contact on a list',
      path: SEGMENT_PATH,
      responses: {
        200: {
          description: 'The contact is on it.',
          schema: z.object(membership),
          example: membershipExample,
        },
      },
      errors: ['invalid_field', 'overloaded', ...CONFIRMATION_ERRORS],
    },
    'DELETE /v1/contacts/:id/segments/:segment': {
      operationId: 'removeContactFromList',
      summary: 'Take a contact off a list',
      path: SEGMENT_PATH,
      responses: {
        200: {
          description: 'The contact is not on it.',
          schema: z.object({ ...membership, audienceId: idOf('list'), deleted: z.literal(true) }),
          example: { ...membershipExample, audienceId: segment, deleted: true },
        },
      },
    },
    'GET /v1/contacts/:id/topics': {
      operationId: 'listTopicsOfContact',
      summary: 'List what a contact is subscribed to',
      path: PATH,
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'The topics of the account: with what the contact chose, or the default.',
          schema: pageOf(
            z.object({
              id: idOf('topic'),
              name: z.string(),
              description: z.string().nullable(),
              subscription,
            }),
          ),
          example: examplePage({ id: topic, name: 'News', description: null, subscription: 'opt_in' }),
        },
      },
    },
    'PATCH /v1/contacts/:id/topics': {
      operationId: 'updateTopicsOfContact',
      summary: 'Change what a contact is subscribed to',
      path: PATH,
      body: {
        schema: updateTopicsBody.meta({ description: 'The choices, alone or under `topics`.' }),
        example: [topicChoice],
      },
      responses: {
        200: {
          description: 'It is changed.',
          schema: z.object({
            object: z.literal('contact'),
            id: idOf('contact'),
            contact_id: idOf('contact'),
            topics: choices,
          }),
          example: { object: 'contact', id, contact_id: id, topics: [topicChoice] },
        },
      },
    },
  },
};
