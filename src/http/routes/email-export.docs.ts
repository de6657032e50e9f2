import * as z from 'zod';
import { describeFields, exampleId, type ResourceDocs } from '../docs/resource-docs.ts';
import { emailExportQuery } from '../email-query.ts';

/** Also of the list of emails. */
export const FILTER_TEXTS = {
  status: 'Emails with a delivery that has this status now.',
  recipient: 'Emails to this address; upper and lower case are one.',
  tag: 'A tag as `name` or `name:value`. Several: all of them.',
  created_after: 'From this time on, by the time in the id.',
  created_before: 'Before this time.',
  relay:
    'Emails with a delivery that went to this relay last. With `status` and `recipient`: the same delivery.',
  broadcast_id: 'Emails of this broadcast.',
} as const;

export const emailExportDocs: ResourceDocs = {
  tag: 'Export',
  description: 'The log of an account in one answer.',
  operations: {
    'GET /v1/emails/export': {
      operationId: 'exportEmails',
      summary: 'Export the log',
      description:
        'A line for each delivery that the filters are about, newest email first, made while it is read. The last line has ' +
        '`export_end` and the number of the lines before it: without it, the export was cut off.',
      query: describeFields(emailExportQuery, { format: '`csv` or `jsonl`.', ...FILTER_TEXTS }),
      responses: {
        200: {
          description: 'The lines: `application/jsonl`, or `text/csv` with a header.',
          contentType: 'application/jsonl',
          alternatives: { 'text/csv': 'object,email_id,status\r\nexport_end,1,\r\n' },
          schema: z.string(),
          example: `{"object":"delivery","email_id":"${exampleId('message')}","status":"delivered"}\n{"object":"export_end","count":1}\n`,
        },
      },
    },
  },
};
