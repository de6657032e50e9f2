/** What a request to send may look like. */
import * as z from 'zod';
import { AppError } from '../../errors.ts';
import { type EmailDraft, type ReadOptions, readEmail } from '../../services/email-input.ts';
import type { ServiceContext } from '../../services/service-context.ts';
import { readTemplatedEmail } from '../../services/templated-email.ts';
import { validate } from '../validation.ts';

export const addresses = z.union([z.string().max(1000), z.array(z.string().max(1000)).max(50)]);
const tagPart = z.string().regex(/^[A-Za-z0-9_-]{1,256}$/);
export const MAX_BATCH = 100;

export const attachmentItem = z.strictObject({
  content: z.unknown().optional(),
  filename: z.string().optional(),
  content_type: z.string().optional(),
  content_id: z.string().optional(),
  path: z.unknown().optional(),
});

/** Keys of JSON that reach for a prototype are refused before. */
export const templateVariables = z.record(z.string().max(100), z.unknown());

export const emailTemplate = z.strictObject({
  id: z.string().min(1).max(100),
  variables: templateVariables.optional(),
});

export const emailItem = z.strictObject({
  // With a template, the template may have it.
  from: z.string().max(1000).optional(),
  to: addresses,
  cc: addresses.optional(),
  bcc: addresses.optional(),
  reply_to: addresses.optional(),
  subject: z.string().optional(),
  text: z.string().optional(),
  html: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  tags: z
    .array(z.strictObject({ name: tagPart, value: tagPart }))
    .max(50)
    .optional(),
  attachments: z.array(attachmentItem).optional(),
  scheduled_at: z.string().max(100).optional(),
  // Our own.
  relay: z.string().max(64).optional(),
  in_doubt_policy: z.enum(['retry', 'hold']).optional(),
  strict: z.boolean().optional(),
  template: emailTemplate.optional(),
  topic_id: z.string().min(1).max(64).nullish(),
});
export const rescheduleBody = z.strictObject({ scheduled_at: z.string().max(100) });
export const resolveBody = z.strictObject({ resolution: z.enum(['delivered', 'resend', 'drop']) });
export const batchBody = z.array(z.unknown()).min(1).max(MAX_BATCH);

type Email = z.output<typeof emailItem>;

export async function emailOf(
  context: ServiceContext,
  value: unknown,
  options: ReadOptions,
): Promise<EmailDraft> {
  const { prefix = '' } = options;
  const input = validate(emailItem, value, prefix);
  refusePaths(input, prefix);
  const { template, from, subject } = input;
  if (template !== undefined) return readTemplatedEmail(context, { ...input, template }, options);
  if (from === undefined) throw new AppError('missing_field', { field: `${prefix}from` });
  if (subject === undefined) throw new AppError('missing_field', { field: `${prefix}subject` });
  return readEmail({ ...input, from, subject }, options);
}

function refusePaths(input: Email, prefix: string): void {
  input.attachments?.forEach(({ path }, index) => {
    if (path === undefined) return;
    const field = `${prefix}attachments[${index}].path`;
    throw new AppError('field_refused', { field, reason: 'nothing is fetched by URL; send the `content`' });
  });
}
