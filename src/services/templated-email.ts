/** An email that is written as a template and its variables: rendered here, once, so that what was accepted stays as it is. */
import { AppError } from '../errors.ts';
import { type RenderedEmail, renderEmailTemplate } from '../render/email-template.ts';
import {
  MAX_OUTPUT_BYTES,
  MAX_REQUEST_OUTPUT_BYTES,
  MAX_REQUEST_STEPS,
  MAX_STEPS,
  RenderError,
  type RequestBudget,
} from '../render/render-template.ts';
import { variableValues } from '../render/template-variables.ts';
import type { VersionKind } from '../store/templates.ts';
import { type EmailDraft, type EmailInput, type ReadOptions, readEmail } from './email-input.ts';
import type { ServiceContext } from './service-context.ts';
import { findPublished, findReady, type ReadyTemplate } from './template-cache.ts';
import { newLinkMarks } from './topic-mail.ts';
import { linkValues } from './unsubscribe-links.ts';

export type TemplateValues = Readonly<Record<string, unknown>>;

export interface TemplatedEmailInput extends Omit<EmailInput, 'from' | 'subject'> {
  readonly from?: string | undefined;
  readonly subject?: string | undefined;
  readonly template: { readonly id: string; readonly variables?: TemplateValues | undefined };
}

export interface RenderedPreview {
  readonly id: string;
  readonly versionId: string;
  readonly rendered: RenderedEmail;
}

/** Where in the request what may be wrong stands. */
interface Place {
  readonly variables: string;
  readonly template?: string;
}

const MIB = 1024 * 1024;
const encoder = new TextEncoder();

/** What is published under this id or alias; `from`, `subject` and `reply_to` are those of the request where it has them. */
export async function readTemplatedEmail(
  context: ServiceContext,
  input: TemplatedEmailInput,
  options: ReadOptions = {},
): Promise<EmailDraft> {
  const { prefix = '' } = options;
  for (const field of ['html', 'text'] as const) {
    if (input[field] !== undefined) {
      const reason = 'cannot be used together with `template`';
      throw new AppError('field_refused', { field: prefix + field, reason });
    }
  }
  const found = await findPublished(context, input.template.id);
  if (!found) {
    const reason = 'this account has no published template of this id or alias';
    throw new AppError('invalid_field', { field: `${prefix}template.id`, reason });
  }
  return { ...draftOf(found, input, options), asGiven: asGiven(input) };
}

/** The draft, to somebody who wants to see it. */
export async function readTestEmail(
  context: ServiceContext,
  idOrAlias: string,
  input: Pick<TemplatedEmailInput, 'from' | 'to'> & { readonly variables?: TemplateValues | undefined },
): Promise<EmailDraft> {
  const { from, to, variables } = input;
  const found = await getReady(context, idOrAlias, 'draft');
  return draftOf(found, { from, to, template: { id: found.id, variables } }, { fieldOf: 'variables' });
}

export async function previewTemplate(
  context: ServiceContext,
  idOrAlias: string,
  options: { readonly version: VersionKind; readonly variables?: TemplateValues | undefined },
): Promise<RenderedPreview> {
  const found = await getReady(context, idOrAlias, options.version);
  const rendered = render(found, options.variables ?? {}, { variables: 'variables' });
  return { id: found.id, versionId: found.versionId, rendered };
}

async function getReady(
  context: ServiceContext,
  idOrAlias: string,
  kind: VersionKind,
): Promise<ReadyTemplate> {
  const found = await findReady(context, idOrAlias, kind);
  if (!found) throw new AppError('not_found', { what: 'Template' });
  return found;
}

function draftOf(
  found: ReadyTemplate,
  { template, ...input }: TemplatedEmailInput,
  { fieldOf, ...options }: ReadOptions & { readonly fieldOf?: string },
): EmailDraft {
  const { prefix = '' } = options;
  const { content, parsed } = found;
  const { subject: _own, ...withoutSubject } = parsed;
  const wanted = input.subject === undefined ? parsed : withoutSubject;
  const place = { variables: fieldOf ?? `${prefix}template.variables`, template: `${prefix}template` };
  const ready = { ...found, parsed: wanted };
  // Mail about a topic has links, which are made once the message has an id.
  const linkMarks = input.topic_id == null ? undefined : newLinkMarks();
  const given = { ...(linkMarks && linkValues(linkMarks)), ...template.variables };
  const rendered = render(ready, given, place, options.renderBudget);
  const from = input.from ?? content.from;
  if (from === null) throw new AppError('missing_field', { field: `${prefix}from` });
  const subject = input.subject ?? rendered.subject;
  if (subject === undefined) throw new AppError('missing_field', { field: `${prefix}subject` });
  const { html, text } = rendered;
  const replyTo = input.reply_to ?? content.replyTo ?? undefined;
  const draft = readEmail({ ...input, from, subject, html, text, reply_to: replyTo }, options);
  const summary = { ...draft.summary, templateId: found.id };
  return { ...draft, summary, ...(linkMarks && { linkMarks }) };
}

function render(
  { content, parsed }: ReadyTemplate,
  given: TemplateValues,
  place: Place,
  budget?: RequestBudget,
): RenderedEmail {
  const checked = variableValues(content.variables, given);
  if (!checked.ok) {
    const { key, reason } = checked;
    const field = `${place.variables}.${key}`;
    if (reason === undefined) throw new AppError('missing_field', { field });
    throw new AppError('invalid_field', { field, reason });
  }
  try {
    return renderEmailTemplate(parsed, checked.values, 'refuse', budget);
  } catch (error) {
    if (error instanceof RenderError) throw refusalOf(error, place);
    throw error;
  }
}

function refusalOf({ fault, variable }: RenderError, place: Place): AppError {
  const { variables: field, template = field } = place;
  const named = `${field}.${variable}`;
  switch (fault) {
    case 'missing':
      return new AppError('missing_field', { field: named });
    case 'not_a_text':
      return new AppError('invalid_field', { field: named, reason: 'must be a text, a number or a boolean' });
    case 'not_a_list':
      return new AppError('invalid_field', { field: named, reason: 'must be a list' });
    case 'too_long': {
      const reason = `what they make of the template is longer than ${MAX_OUTPUT_BYTES / MIB} MiB`;
      return new AppError('invalid_field', { field, reason });
    }
    case 'too_many_steps': {
      const reason = `with them the template takes more than ${MAX_STEPS} steps`;
      return new AppError('invalid_field', { field, reason });
    }
    case 'request_too_long': {
      const reason = `the templates of this request make more than ${MAX_REQUEST_OUTPUT_BYTES / MIB} MiB together`;
      return new AppError('invalid_field', { field: template, reason });
    }
    case 'request_too_many_steps': {
      const reason = `the templates of this request take more than ${MAX_REQUEST_STEPS} steps together`;
      return new AppError('invalid_field', { field: template, reason });
    }
  }
}

/** The same request is the same one when another version was published in between. The bytes of attachments go apart. */
function asGiven(input: TemplatedEmailInput): Uint8Array {
  const attachments = input.attachments?.map(({ content: _content, ...rest }) => rest);
  return encoder.encode(JSON.stringify({ ...input, attachments }));
}
