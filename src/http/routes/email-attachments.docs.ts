import * as z from 'zod';
import {
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  examplePage,
  isoTime,
  PAGE_TEXTS,
  pageOf,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { pageQuery } from '../pagination.ts';

const fields = {
  id: z.string().regex(/^att_[0-9a-hjkmnp-tv-z]{26}_\d{1,3}$/),
  filename: z.string(),
  size: z.int().min(0).meta({ description: 'In bytes.' }),
  content_type: z.string(),
  content_disposition: z.enum(['inline', 'attachment']),
  content_id: z.string().optional().meta({ description: 'Where the HTML refers to it.' }),
  download_url: z
    .url()
    .meta({ description: 'Needs no key: whoever has it can read the file until it expires.' }),
  expires_at: isoTime.meta({ description: 'An hour from now.' }),
};
const attachment = z.object(fields).meta({ id: 'Attachment' });

const example = {
  id: `${exampleId('message').replace('msg_', 'att_')}_0`,
  filename: 'invoice.pdf',
  size: 48_213,
  content_type: 'application/pdf',
  content_disposition: 'attachment',
  download_url: 'https://relay.example/attachments/1.MTc.c2ln',
  expires_at: EXAMPLE_TIME,
};

export const emailAttachmentDocs: ResourceDocs = {
  tag: 'Attachments',
  description: 'The files of sent emails, as long as their bodies are kept.',
  operations: {
    'GET /v1/emails/:id/attachments': {
      operationId: 'listAttachments',
      summary: 'List the attachments of an email',
      description: 'In the order of the email.',
      query: describeFields(pageQuery, {
        ...PAGE_TEXTS,
        after: 'The id of the last attachment of a page: returns those that follow it.',
        before:
          'The id of the first attachment of a page: returns those before it. Not together with `after`.',
      }),
      responses: {
        200: {
          description: 'A page of attachments.',
          schema: pageOf(attachment),
          example: examplePage(example),
        },
      },
      errors: ['content_gone'],
    },
    'GET /v1/emails/:id/attachments/:attachment_id': {
      operationId: 'getAttachment',
      summary: 'Get an attachment of an email',
      path: { attachment_id: 'The id of the attachment.' },
      responses: {
        200: {
          description: 'The attachment, with a fresh link.',
          schema: z.object({ object: z.literal('attachment'), ...fields }),
          example: { object: 'attachment', ...example },
        },
      },
      errors: ['content_gone'],
    },
    'GET /attachments/:token': {
      operationId: 'downloadAttachment',
      summary: 'Download an attachment',
      description: 'What `download_url` leads to. Needs no key.',
      path: { token: 'From `download_url`.' },
      responses: {
        200: {
          description: 'The bytes, in the content type of the attachment, always as a file to be saved.',
          contentType: 'application/octet-stream',
          schema: z.string().meta({ description: 'Bytes.' }),
          example: 'bytes',
        },
      },
      errors: ['content_gone', 'link_expired'],
    },
  },
};
