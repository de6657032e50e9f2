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
import {
  addSuppressionBody,
  addSuppressionsBody,
  removeSuppressionsBody,
  suppressionQuery,
} from './suppressions.ts';

const id = exampleId('suppression');

const fields = {
  id: idOf('suppression'),
  email: z.string().nullable().meta({ description: 'null where the address was erased with its contact.' }),
  origin: z.enum(['manual', 'bounce', 'complaint', 'unsubscribe']).meta({ description: 'Why it is there.' }),
  source_id: z.string().nullable().meta({ description: 'What it came from, for instance an email.' }),
  created_at: isoTime,
};
const added = z.object({ object: z.literal('suppression'), id: idOf('suppression') });
const removed = deletedOf('suppression', 'suppression');

const example = {
  id,
  email: 'gone@example.com',
  origin: 'manual',
  source_id: null,
  created_at: EXAMPLE_TIME,
};

export const suppressionDocs: ResourceDocs = {
  tag: 'Suppressions',
  description: 'Addresses that the account does not mail.',
  operations: {
    'POST /v1/suppressions': {
      operationId: 'addSuppression',
      summary: 'Suppress an address',
      body: {
        schema: describeFields(addSuppressionBody, { email: 'An address without a display name.' }),
        example: { email: 'gone@example.com' },
      },
      responses: {
        201: {
          description: 'It is suppressed, or was before.',
          schema: added,
          example: { object: 'suppression', id },
        },
      },
    },
    'POST /v1/suppressions/batch/add': {
      operationId: 'addSuppressions',
      summary: 'Suppress up to 100 addresses',
      body: {
        schema: describeFields(addSuppressionsBody, { emails: 'Addresses without display names.' }),
        example: { emails: ['gone@example.com'] },
      },
      responses: {
        201: {
          description: 'One for each address, in the order given.',
          schema: z.object({ data: z.array(added) }),
          example: { data: [{ object: 'suppression', id }] },
        },
      },
    },
    'POST /v1/suppressions/batch/remove': {
      operationId: 'removeSuppressions',
      summary: 'Mail up to 100 addresses again',
      body: {
        schema: describeFields(removeSuppressionsBody, {
          emails: 'The addresses; these, or `ids`, or both.',
          ids: 'The ids of suppressions.',
        }),
        example: { emails: ['gone@example.com'] },
      },
      responses: {
        200: {
          description: 'Those that were there.',
          schema: z.object({ data: z.array(removed) }),
          example: { data: [{ object: 'suppression', id, deleted: true }] },
        },
      },
    },
    'GET /v1/suppressions': {
      operationId: 'listSuppressions',
      summary: 'List the suppressions',
      query: describeFields(suppressionQuery, { ...PAGE_TEXTS, origin: 'Only those of this origin.' }),
      responses: {
        200: {
          description: 'A page of suppressions.',
          schema: pageOf(z.object(fields)),
          example: examplePage(example),
        },
      },
    },
    'GET /v1/suppressions/:id': {
      operationId: 'getSuppression',
      summary: 'Read a suppression',
      path: { id: 'The id of the suppression, or its address.' },
      responses: {
        200: {
          description: 'The suppression.',
          schema: z.object({ object: z.literal('suppression'), ...fields }),
          example: { object: 'suppression', ...example },
        },
      },
    },
    'DELETE /v1/suppressions/:id': {
      operationId: 'removeSuppression',
      summary: 'Mail an address again',
      path: { id: 'The id of the suppression, or its address.' },
      responses: {
        200: {
          description: 'It is gone.',
          schema: removed,
          example: { object: 'suppression', id, deleted: true },
        },
      },
    },
  },
};
