import * as z from 'zod';
import { describeFields } from '../docs/resource-docs.ts';
import { attachmentItem, emailItem, emailTemplate } from './emails-input.ts';

const buffer = z.strictObject({
  type: z.literal('Buffer'),
  data: z.array(z.int().min(0).max(255)),
});

const attachment = describeFields(attachmentItem, {
  content: z.union([z.string(), buffer]).meta({
    description:
      'Base64, or what JSON makes of a Node `Buffer` (up to 5 MiB of that). 25 MiB together, decoded.',
  }),
  filename: z.string().meta({ description: 'The name that the recipient sees.' }),
  content_type: 'By the ending of `filename` where it is not given.',
  content_id: 'Makes it part of the HTML, which names it as `cid:`.',
  path: 'Refused: nothing is fetched by URL.',
}).meta({ id: 'AttachmentInput' });

const ADDRESSES = 'An address or a list of up to 50: `name@example.com` or `Name <name@example.com>`.';

/** What a request to send says, field by field. */
export const emailInput = describeFields(emailItem, {
  from: 'The sender: an address of a verified domain, with or without a name. Only a `template` may have it instead.',
  to: `The recipients. ${ADDRESSES}`,
  cc: `Recipients of a copy. ${ADDRESSES}`,
  bcc: `Recipients that no header names. ${ADDRESSES}`,
  reply_to: `Where replies go. ${ADDRESSES}`,
  subject: 'The subject. Only a `template` may have it instead.',
  text: 'The body as plain text; this, or `html`, or both.',
  html: 'The body as HTML.',
  headers: 'Headers of your own. Those that the server makes are refused.',
  tags: 'For your own sorting; each name once.',
  attachments: z.array(attachment).max(100).optional().meta({ description: 'Files, up to 100.' }),
  relay: 'The id of the relay to use; by priority and weight where it is not given.',
  in_doubt_policy: 'For this email instead of the policy of the account.',
  template: describeFields(emailTemplate, {
    id: 'The id or the alias of a template that is published.',
    variables: 'The values, by name.',
  })
    .optional()
    .meta({ description: 'Makes `html` and `text`, which are refused beside it.' }),
  topic_id:
    'The topic it is about. Then it goes to one recipient, who gets nothing where he does not want that topic, and can unsubscribe by its `List-Unsubscribe`.',
  scheduled_at: 'ISO 8601 with an offset, or `in 5 minutes`, `in 2 hours`, `in 3 days`; up to 30 days ahead.',
  strict: 'Refuses the email where any recipient is wrong, instead of reporting it in `deliveries`.',
}).meta({ id: 'EmailInput' });
