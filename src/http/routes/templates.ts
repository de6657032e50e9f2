import { Hono } from 'hono';
import * as z from 'zod';
import { VARIABLE_TYPES } from '../../render/template-variables.ts';
import { sendEmails } from '../../services/send-emails.ts';
import { MAX_CONTENT_BYTES } from '../../services/template-content.ts';
import { previewTemplate, type RenderedPreview, readTestEmail } from '../../services/templated-email.ts';
import * as service from '../../services/templates.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody, optionalJsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { answerSent, idempotencyKeyOf } from '../sending.ts';
import { queryOf } from '../validation.ts';
import { templateVariables } from './emails-input.ts';

const MAX_VARIABLES = 100;
/** Escapes make JSON longer than what it says. */
const BODY_LIMIT_BYTES = 4 * MAX_CONTENT_BYTES;

const address = z.string().max(1000);
const name = z.string().min(1).max(200);
const alias = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/);
const html = z.string().min(1);
const key = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/);

export const templateVariable = z.strictObject({
  key,
  type: z.enum(VARIABLE_TYPES),
  fallback_value: z.unknown().optional(),
});

const optional = {
  alias: alias.nullable().optional(),
  from: address.nullable().optional(),
  subject: z.string().max(2000).nullable().optional(),
  reply_to: z
    .union([address, z.array(address).max(50)])
    .nullable()
    .optional(),
  text: z.string().nullable().optional(),
  variables: z.array(templateVariable).max(MAX_VARIABLES).nullable().optional(),
};
export const createTemplateBody = z.strictObject({ name, html, ...optional });
export const updateTemplateBody = z.strictObject({
  name: name.optional(),
  html: html.optional(),
  ...optional,
});
export const previewBody = z.strictObject({
  variables: templateVariables.optional(),
  version: z.enum(['draft', 'published']).default('draft'),
});
export const testBody = z.strictObject({
  to: address,
  from: address.optional(),
  variables: templateVariables.optional(),
});

const large = { limitBytes: BODY_LIMIT_BYTES };

function overviewBody({ id, name, alias, isPublished, ...times }: service.TemplateOverview) {
  return {
    id,
    name,
    alias,
    status: isPublished ? ('published' as const) : ('draft' as const),
    published_at: times.publishedAt === null ? null : isoTime(times.publishedAt),
    created_at: isoTime(times.createdAt),
    updated_at: isoTime(times.updatedAt),
  };
}

function detailBody(template: service.TemplateDetail) {
  const { from, subject, replyTo, html, text, variables } = template.content;
  return {
    object: 'template' as const,
    ...overviewBody(template),
    current_version_id: template.versionId,
    has_unpublished_versions: template.hasUnpublishedVersions,
    from,
    subject,
    reply_to: replyTo,
    html,
    text,
    variables: variables.map((variable) => ({
      key: variable.key,
      type: variable.type,
      fallback_value: variable.fallback ?? null,
      created_at: isoTime(variable.createdAt),
      updated_at: isoTime(variable.updatedAt),
    })),
  };
}

function previewOutput({ id, versionId, rendered }: RenderedPreview) {
  const { subject = null, html = null, text = null } = rendered;
  return { object: 'template_preview' as const, id, version_id: versionId, subject, html, text };
}

/** `:id` is the id of a template, or its alias. */
export const templateRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createTemplateBody, large), async (c) => {
    const id = await service.createTemplate(serviceContextOf(c), c.req.valid('json'));
    return c.json({ object: 'template', id }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listTemplates(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, overviewBody));
  })
  .get('/:id', async (c) =>
    c.json(detailBody(await service.getTemplate(serviceContextOf(c), c.req.param('id')))),
  )
  .patch('/:id', jsonBody(updateTemplateBody, large), async (c) => {
    const change = c.req.valid('json');
    const id = await service.updateTemplate(serviceContextOf(c), c.req.param('id'), change);
    return c.json({ object: 'template', id });
  })
  .delete('/:id', async (c) => {
    const id = await service.removeTemplate(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'template', id, deleted: true });
  })
  .post('/:id/publish', async (c) => {
    const id = await service.publishTemplate(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'template', id });
  })
  .post('/:id/duplicate', async (c) => {
    const id = await service.duplicateTemplate(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'template', id });
  })
  .post('/:id/preview', optionalJsonBody(previewBody), async (c) => {
    const preview = await previewTemplate(serviceContextOf(c), c.req.param('id'), c.req.valid('json'));
    return c.json(previewOutput(preview));
  })
  .post('/:id/test', jsonBody(testBody), async (c) => {
    const context = serviceContextOf(c);
    const draft = await readTestEmail(context, c.req.param('id'), c.req.valid('json'));
    const options = { idempotencyKey: idempotencyKeyOf(c), boundDomainId: c.get('boundDomainId') };
    return answerSent(c, sendEmails(context, [draft], options));
  });
