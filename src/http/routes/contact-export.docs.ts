import * as z from 'zod';
import { describeFields, exampleId, type ResourceDocs } from '../docs/resource-docs.ts';
import { contactExportQuery } from './contact-export.ts';

export const contactExportDocs: ResourceDocs = {
  tag: 'Contact export',
  description: 'The contacts of an account, or of a list, in one answer.',
  operations: {
    'GET /v1/contacts/export': {
      operationId: 'exportContacts',
      summary: 'Export contacts',
      description:
        'A line for each contact, newest first, with all its properties, made while it is read. The last line has `export_end` and the number of the lines before it: without it, the export was cut off.',
      query: describeFields(contactExportQuery, {
        format:
          '`csv` or `jsonl`. In CSV, what a spreadsheet would take for a formula has an apostrophe in front.',
        segment_id: 'Only those of this list.',
      }),
      responses: {
        200: {
          description: 'The lines: `application/jsonl`, or `text/csv` with a header.',
          contentType: 'application/jsonl',
          alternatives: { 'text/csv': 'id,email,first_name,last_name\r\nexport_end,0,,\r\n' },
          schema: z.string(),
          example: `{"object":"contact","id":"${exampleId('contact')}","email":"ann@example.com"}\n{"object":"export_end","count":1}\n`,
        },
      },
      errors: ['conflict', 'not_found'],
    },
  },
};
