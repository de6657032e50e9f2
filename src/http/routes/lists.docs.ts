import * as z from 'zod';
import { LANGUAGES } from '../../services/languages.ts';
import {
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  examplePage,
  idOf,
  isoTime,
  type OperationDocs,
  PAGE_TEXTS,
  pageOf,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { pageQuery } from '../pagination.ts';
import {
  CONFIRMATION_ERRORS,
  changedContact,
  changedContactExample,
  contactExample,
  contactSchema,
  contactSummarySchema,
  deletedContact,
  deletedContactExample,
  fullContactExample,
  memberBodyDocs,
  updateContactDocs,
} from './contacts.docs.ts';
import { createListBody, updateListBody } from './lists.ts';

const id = exampleId('list');
const filter = { and: [{ property: 'country', equals: 'CH' }, { created_at: { within_days: 30 } }] };
const FIELDS = {
  name: 'At most 200 characters.',
  filter: 'A condition: then the list is of those for whom it holds. Fixed is whether a list has one.',
  double_opt_in:
    'Whether somebody who is put on the list counts only after confirming, by a link that is mailed to him.',
  confirmation_from: 'The sender of that mail: an address of a verified domain. Needed with `double_opt_in`.',
  confirmation_subject: 'Its subject; one that names the list where there is none.',
  confirmation_language: 'The language of its text.',
} as const;
const fields = {
  id: idOf('list'),
  name: z.string(),
  created_at: isoTime,
  filter: z
    .record(z.string(), z.unknown())
    .nullable()
    .meta({ description: 'null: the members are those who were put on it.' }),
  double_opt_in: z.boolean(),
  confirmation_from: z.string().nullable(),
  confirmation_subject: z.string().nullable(),
  confirmation_language: z.enum(LANGUAGES).nullable(),
};
const example = {
  id,
  name: 'News',
  created_at: EXAMPLE_TIME,
  filter: null,
  double_opt_in: false,
  confirmation_from: null,
  confirmation_subject: null,
  confirmation_language: null,
};

/** The same resource under each of its names. */
function operationsOf(object: 'list' | 'segment' | 'audience', path: string): [string, OperationDocs][] {
  const name = object[0]?.toUpperCase() + object.slice(1);
  const changed = z.object({ object: z.literal(object), id: idOf('list') });
  const PATH = { id: 'The id of the list.' };
  return [
    [
      `POST ${path}`,
      {
        operationId: `create${name}`,
        summary: 'Create a list',
        body: {
          schema: describeFields(createListBody, { ...FIELDS, audience_id: 'Is not used.' }),
          example: { name: 'Recent', filter },
        },
        responses: {
          201: {
            description: 'The list.',
            schema: z.object({ object: z.literal(object), ...fields }),
            example: { object, ...example, filter },
          },
        },
        errors: ['conflict', 'account_unconfirmed'],
      },
    ],
    [
      `GET ${path}`,
      {
        operationId: `list${name}s`,
        summary: 'List the lists',
        query: describeFields(pageQuery, PAGE_TEXTS),
        responses: {
          200: {
            description: 'A page of lists.',
            schema: pageOf(z.object(fields)),
            example: examplePage(example),
          },
        },
      },
    ],
    [
      `GET ${path}/:id`,
      {
        operationId: `get${name}`,
        summary: 'Read a list',
        path: PATH,
        responses: {
          200: {
            description: 'The list.',
            schema: z.object({ object: z.literal(object), ...fields }),
            example: { object, ...example },
          },
        },
      },
    ],
    [
      `PATCH ${path}/:id`,
      {
        operationId: `update${name}`,
        summary: 'Change a list',
        path: PATH,
        body: { schema: describeFields(updateListBody, FIELDS), example: { name: 'Renamed' } },
        responses: { 200: { description: 'It is changed.', schema: changed, example: { object, id } } },
        errors: ['conflict'],
      },
    ],
    [
      `DELETE ${path}/:id`,
      {
        operationId: `delete${name}`,
        summary: 'Delete a list',
        description: 'The contacts stay. A list that is not there counts as deleted.',
        path: PATH,
        responses: {
          200: {
            description: 'It is gone.',
            schema: z.object({ object: z.literal(object), id: z.string(), deleted: z.literal(true) }),
            example: { object, id, deleted: true },
          },
        },
      },
    ],
    [
      `GET ${path}/:id/contacts`,
      {
        operationId: `listContactsOf${name}`,
        summary: 'List the contacts of a list',
        path: PATH,
        query: describeFields(pageQuery, PAGE_TEXTS),
        responses: {
          200: {
            description: 'Those on it, or those for whom its filter holds.',
            schema: pageOf(contactSummarySchema),
            example: examplePage(contactExample),
          },
        },
        errors: ['conflict'],
      },
    ],
  ];
}

const MEMBER_PATH = { audience: 'The id of the list.', id: 'The id of the contact, or its address.' };

export const listDocs: ResourceDocs = {
  tag: 'Lists',
  description: 'Lists of contacts: with members, or with a filter. `segments` are the same lists.',
  operations: Object.fromEntries([
    ...operationsOf('list', '/v1/lists'),
    ...operationsOf('segment', '/v1/segments'),
  ]),
};

export const audienceDocs: ResourceDocs = {
  tag: 'Audiences',
  description: 'The same lists, for callers from the time when a contact belonged to one audience.',
  operations: {
    ...Object.fromEntries(operationsOf('audience', '/v1/audiences')),
    'POST /v1/audiences/:audience/contacts': {
      operationId: 'createContactOfAudience',
      summary: 'Create a contact on a list',
      path: MEMBER_PATH,
      body: { schema: memberBodyDocs, example: { email: 'ann@example.com', first_name: 'Ann' } },
      responses: {
        201: { description: 'The contact.', schema: changedContact, example: changedContactExample },
      },
      errors: ['conflict', 'not_found', 'overloaded', ...CONFIRMATION_ERRORS],
    },
    'GET /v1/audiences/:audience/contacts/:id': {
      operationId: 'getContactOfAudience',
      summary: 'Read a contact of a list',
      path: MEMBER_PATH,
      responses: { 200: { description: 'The contact.', schema: contactSchema, example: fullContactExample } },
    },
    'PATCH /v1/audiences/:audience/contacts/:id': {
      operationId: 'updateContactOfAudience',
      summary: 'Change a contact of a list',
      path: MEMBER_PATH,
      body: { schema: updateContactDocs, example: { unsubscribed: true } },
      responses: {
        200: { description: 'It is changed.', schema: changedContact, example: changedContactExample },
      },
      errors: ['conflict', 'overloaded'],
    },
    'DELETE /v1/audiences/:audience/contacts/:id': {
      operationId: 'deleteContactOfAudience',
      summary: 'Take a contact off a list',
      description: 'One who is on no list after that is erased. Who is not there counts as deleted.',
      path: MEMBER_PATH,
      responses: {
        200: { description: 'It is gone.', schema: deletedContact, example: deletedContactExample },
      },
    },
  },
};
