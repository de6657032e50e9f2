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
import { importErrorsQuery, importFields, importQuery } from './contact-imports.ts';

const id = exampleId('contactImport');
const PATH = { id: 'The id of the import.' };
const count = z.int().min(0);

const contactImport = z.object({
  object: z.literal('contact_import'),
  id: idOf('contactImport'),
  status: z.enum(['queued', 'in_progress', 'completed', 'failed']).meta({
    description: 'failed: it could not be written for a week. What was written until then stays.',
  }),
  created_at: isoTime,
  completed_at: isoTime.nullable(),
  counts: z
    .object({ total: count, created: count, updated: count, skipped: count, failed: count })
    .meta({ description: 'Of lines, so far. `total` is the sum of the others.' }),
  confirmations: z.object({ mailed: count, not_mailed: count }).nullable().meta({
    description:
      'Links that confirm a place on a list, so far. Not mailed: the address had its share of the day, the quota is used up, or the list may not send. null where none were asked for.',
  }),
});
const example = {
  object: 'contact_import',
  id,
  status: 'completed',
  created_at: EXAMPLE_TIME,
  completed_at: EXAMPLE_TIME,
  counts: { total: 1000, created: 990, updated: 0, skipped: 8, failed: 2 },
  confirmations: null,
};

const JSON_TEXT = 'As JSON.';
const body = describeFields(importFields, {
  column_map: z
    .string()
    .optional()
    .meta({
      description: `Which column of the file holds what: \`email\`, \`first_name\`, \`last_name\`, \`unsubscribed\`, and \`properties\` by key, each with its \`column\` and \`type\`. Columns that are not named are passed over. Without it, columns go by their names in the header. ${JSON_TEXT}`,
    }),
  on_conflict: 'What becomes of contacts that are there already: `upsert` changes them by what is given.',
  segments: z
    .string()
    .optional()
    .meta({ description: `Lists to put the contacts on, as objects with an \`id\`. ${JSON_TEXT}` }),
  topics: z
    .string()
    .optional()
    .meta({
      description: `What the contacts chose about topics: \`id\` and \`subscription\`. ${JSON_TEXT}`,
    }),
  send_confirmations:
    'Whether contacts that are pending on one of the lists are mailed the link that confirms it. `true` needs a list with double opt-in.',
}).safeExtend({ file: z.string().meta({ description: 'CSV in UTF-8 with a header, up to 90 MiB.' }) });

export const contactImportDocs: ResourceDocs = {
  tag: 'Contact imports',
  description:
    'Contacts from a CSV file. The file is kept sealed until it is worked through, in the background; a crash neither skips nor doubles a line.',
  operations: {
    'POST /v1/contacts/imports': {
      operationId: 'createContactImport',
      summary: 'Import contacts',
      description:
        'Answers when the file is stored and its header fits what is asked for. An empty cell leaves what is known as it is; `unsubscribed` only ever unsubscribes.',
      body: {
        contentType: 'multipart/form-data',
        schema: body,
        example: {
          file: 'Email,First Name\r\nann@example.com,Ann\r\n',
          column_map: '{"email":"Email","first_name":"First Name"}',
          on_conflict: 'upsert',
        },
      },
      responses: {
        201: {
          description: 'It will be worked through.',
          schema: z.object({ object: z.literal('contact_import'), id: idOf('contactImport') }),
          example: { object: 'contact_import', id },
        },
      },
      errors: [
        'account_unconfirmed',
        'body_too_large',
        'conflict',
        'invalid_field',
        'missing_field',
        'overloaded',
        'unknown_field',
        'unsupported_content_encoding',
        'unsupported_content_type',
      ],
    },
    'GET /v1/contacts/imports': {
      operationId: 'listContactImports',
      summary: 'List imports',
      query: describeFields(importQuery, { ...PAGE_TEXTS, status: 'Only those with this status.' }),
      responses: {
        200: {
          description: 'A page of imports.',
          schema: pageOf(contactImport),
          example: examplePage(example),
        },
      },
    },
    'GET /v1/contacts/imports/:id': {
      operationId: 'getContactImport',
      summary: 'Read an import',
      path: PATH,
      responses: { 200: { description: 'The import, with its progress.', schema: contactImport, example } },
    },
    'DELETE /v1/contacts/imports/:id': {
      operationId: 'deleteContactImport',
      summary: 'Stop an import, and forget it',
      description: 'Contacts that it made stay.',
      path: PATH,
      responses: {
        200: {
          description: 'It is gone.',
          schema: deletedOf('contact_import', 'contactImport'),
          example: { object: 'contact_import', id, deleted: true },
        },
      },
    },
    'GET /v1/contacts/imports/:id/errors': {
      operationId: 'listContactImportErrors',
      summary: 'Read the lines that were refused',
      description:
        'A line for each, with its number in the file (the header is 1) and the reason. The first 10,000 are kept; `counts.failed` counts all. The last line has `export_end` and the number of the lines before it.',
      path: PATH,
      query: describeFields(importErrorsQuery, { format: '`csv` or `jsonl`.' }),
      responses: {
        200: {
          description: 'The lines: `application/jsonl`, or `text/csv` with a header.',
          contentType: 'application/jsonl',
          alternatives: { 'text/csv': 'line,reason\r\nexport_end,0\r\n' },
          schema: z.string(),
          example:
            '{"object":"contact_import_error","line":7,"reason":"Invalid `email` field: is empty."}\n{"object":"export_end","count":1}\n',
        },
      },
    },
  },
};
