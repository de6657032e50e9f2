import * as z from 'zod';
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
import { createPropertyBody, updatePropertyBody } from './contact-properties.ts';

const id = exampleId('contactProperty');
const FALLBACK = 'Stands in for contacts who have no value. Of the type of the property, or null.';
const fields = {
  id: idOf('contactProperty'),
  key: z.string(),
  type: z.enum(['string', 'number']),
  fallback_value: z.union([z.string(), z.number(), z.null()]),
  is_filterable: z.boolean(),
  created_at: isoTime,
};
const example = {
  id,
  key: 'country',
  type: 'string',
  fallback_value: null,
  is_filterable: true,
  created_at: EXAMPLE_TIME,
};
const changed = z.object({ object: z.literal('contact_property'), id: idOf('contactProperty') });
const changedExample = { object: 'contact_property', id };

export const contactPropertyDocs: ResourceDocs = {
  tag: 'Contact properties',
  description: 'What contacts may have besides a name. Keys and values are sealed at rest.',
  operations: {
    'POST /v1/contact-properties': {
      operationId: 'createContactProperty',
      summary: 'Create a contact property',
      body: {
        schema: describeFields(createPropertyBody, {
          key: 'Letters, digits and underscores, at most 50. It cannot be changed.',
          type: 'It cannot be changed.',
          fallback_value: FALLBACK,
          is_filterable:
            'Whether filters of lists may compare it. Then a keyed hash of each value stands beside the sealed contact: it shows which contacts have equal values. It cannot be changed.',
        }),
        example: { key: 'country', type: 'string', is_filterable: true },
      },
      responses: { 201: { description: 'The property.', schema: changed, example: changedExample } },
      errors: ['conflict', 'account_unconfirmed'],
    },
    'GET /v1/contact-properties': {
      operationId: 'listContactProperties',
      summary: 'List the contact properties',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'A page of properties.',
          schema: pageOf(z.object(fields)),
          example: examplePage(example),
        },
      },
    },
    'GET /v1/contact-properties/:id': {
      operationId: 'getContactProperty',
      summary: 'Read a contact property',
      responses: {
        200: {
          description: 'The property.',
          schema: z.object({ object: z.literal('contact_property'), ...fields }),
          example: { object: 'contact_property', ...example },
        },
      },
    },
    'PATCH /v1/contact-properties/:id': {
      operationId: 'updateContactProperty',
      summary: 'Change a contact property',
      body: {
        schema: describeFields(updatePropertyBody, { fallback_value: FALLBACK }),
        example: { fallback_value: 'DE' },
      },
      responses: { 200: { description: 'It is changed.', schema: changed, example: changedExample } },
      errors: ['conflict'],
    },
    'DELETE /v1/contact-properties/:id': {
      operationId: 'deleteContactProperty',
      summary: 'Delete a contact property',
      description: 'What contacts hold of it is not shown any more.',
      responses: {
        200: {
          description: 'It is gone.',
          schema: deletedOf('contact_property', 'contactProperty'),
          example: { ...changedExample, deleted: true },
        },
      },
    },
  },
};
