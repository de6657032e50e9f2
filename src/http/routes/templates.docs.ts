import * as z from 'zod';
import { VARIABLE_TYPES } from '../../render/template-variables.ts';
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
import { acceptedEmail, acceptedExample, IDEMPOTENCY_KEY, SEND_ERRORS, SEND_HEADERS } from './emails.docs.ts';
import {
  createTemplateBody,
  previewBody,
  templateVariable,
  testBody,
  updateTemplateBody,
} from './templates.ts';

const id = exampleId('template');
const versionId = exampleId('templateVersion');
const path = { id: 'The id of the template, or its alias.' };

const variableInput = describeFields(templateVariable, {
  key: 'Its name in the template. `FIRST_NAME`, `LAST_NAME`, `EMAIL`, `UNSUBSCRIBE_URL`, `RESEND_UNSUBSCRIBE_URL`, `contact` and `this` are reserved.',
  type: 'A value of another type is refused.',
  fallback_value: 'Takes the place of a value that is not given. Without one, the variable has to be given.',
}).meta({ id: 'TemplateVariableInput' });

const texts = {
  name: 'For yourself.',
  alias: 'Another name for the id, unique in the account: letters, digits, `-`, `_` and `.`.',
  from: 'The sender where the email names none.',
  subject: 'A template too; nothing in it is escaped.',
  reply_to: 'Where replies go, where the email says nothing of it.',
  html: 'The body. `{{name}}` is escaped for HTML, `{{{name}}}` is not. See docs/templates.md for the language.',
  text: 'The body as plain text. Made from the HTML where it is absent or `null`; empty: there is none.',
  variables: z.array(variableInput).max(100).nullable().optional().meta({
    description: 'The variables with a type or a fallback. Others may be used too, and have to be given.',
  }),
};

const overviewFields = {
  id: idOf('template'),
  name: z.string(),
  alias: z.string().nullable(),
  status: z.enum(['draft', 'published']),
  published_at: isoTime.nullable(),
  created_at: isoTime,
  updated_at: isoTime,
};

const variable = z.object({
  key: z.string(),
  type: z.enum(VARIABLE_TYPES),
  fallback_value: z.unknown().meta({ description: '`null` where there is none.' }),
  created_at: isoTime,
  updated_at: isoTime,
});

const detail = z
  .object({
    object: z.literal('template'),
    ...overviewFields,
    current_version_id: idOf('templateVersion').meta({ description: 'The version that is shown here.' }),
    has_unpublished_versions: z.boolean().meta({ description: 'What is shown is not what is sent.' }),
    from: z.string().nullable(),
    subject: z.string().nullable(),
    reply_to: z.array(z.string()).nullable(),
    html: z.string(),
    text: z.string().nullable(),
    variables: z.array(variable),
  })
  .meta({ id: 'Template' });

const overviewExample = {
  id,
  name: 'Order confirmation',
  alias: 'order-confirmation',
  status: 'published',
  published_at: EXAMPLE_TIME,
  created_at: EXAMPLE_TIME,
  updated_at: EXAMPLE_TIME,
};

const inputExample = {
  name: 'Order confirmation',
  alias: 'order-confirmation',
  subject: 'Your order {{{ORDER}}}',
  html: '<p>Hello {{NAME}},</p><ul>{{#each items}}<li>{{title}}</li>{{/each}}</ul>',
  variables: [{ key: 'NAME', type: 'string', fallback_value: 'friend' }],
};

const named = z.object({ object: z.literal('template'), id: idOf('template') });
const namedExample = { object: 'template', id };
const values = { ORDER: 'A-17', items: [{ title: 'Tea' }] };

const preview = z.object({
  object: z.literal('template_preview'),
  id: idOf('template'),
  version_id: idOf('templateVersion'),
  subject: z.string().nullable(),
  html: z.string().nullable(),
  text: z.string().nullable(),
});

export const templateDocs: ResourceDocs = {
  tag: 'Templates',
  description:
    'Emails with variables, kept here: a draft that is edited, and a published version that is sent.',
  operations: {
    'POST /v1/templates': {
      operationId: 'createTemplate',
      summary: 'Create a template',
      description: 'As a draft. What is wrong with the template is told with its line and column.',
      body: { schema: describeFields(createTemplateBody, texts), example: inputExample },
      responses: { 201: { description: 'The draft.', schema: named, example: namedExample } },
      errors: ['conflict', 'invalid_from', 'account_unconfirmed'],
    },
    'GET /v1/templates': {
      operationId: 'listTemplates',
      summary: 'List the templates',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'A page of templates, without their contents.',
          schema: pageOf(z.object(overviewFields)),
          example: examplePage(overviewExample),
        },
      },
    },
    'GET /v1/templates/:id': {
      operationId: 'getTemplate',
      summary: 'Read a template',
      description: 'With the content that is edited, whether it is published or not.',
      path,
      responses: {
        200: {
          description: 'The template.',
          schema: detail,
          example: {
            object: 'template',
            ...overviewExample,
            current_version_id: versionId,
            has_unpublished_versions: false,
            from: null,
            subject: inputExample.subject,
            reply_to: null,
            html: inputExample.html,
            text: null,
            variables: [
              {
                key: 'NAME',
                type: 'string',
                fallback_value: 'friend',
                created_at: EXAMPLE_TIME,
                updated_at: EXAMPLE_TIME,
              },
            ],
          },
        },
      },
    },
    'PATCH /v1/templates/:id': {
      operationId: 'updateTemplate',
      summary: 'Change a template',
      description:
        'Changes the draft; what is published stays until it is published again. The name and the alias change at once.',
      path,
      body: {
        schema: describeFields(updateTemplateBody, texts),
        example: { subject: 'Order {{{ORDER}}}' },
      },
      responses: { 200: { description: 'It is changed.', schema: named, example: namedExample } },
      errors: ['conflict', 'invalid_from'],
    },
    'DELETE /v1/templates/:id': {
      operationId: 'removeTemplate',
      summary: 'Remove a template',
      description: 'Emails that were accepted stay as they are.',
      path,
      responses: {
        200: {
          description: 'It is gone.',
          schema: deletedOf('template', 'template'),
          example: { ...namedExample, deleted: true },
        },
      },
    },
    'POST /v1/templates/:id/publish': {
      operationId: 'publishTemplate',
      summary: 'Publish the draft',
      path,
      responses: { 200: { description: 'The draft is what is sent.', schema: named, example: namedExample } },
    },
    'POST /v1/templates/:id/duplicate': {
      operationId: 'duplicateTemplate',
      summary: 'Copy a template',
      description: 'The copy is a draft without an alias.',
      path,
      responses: { 200: { description: 'The copy.', schema: named, example: namedExample } },
      errors: ['account_unconfirmed'],
    },
    'POST /v1/templates/:id/preview': {
      operationId: 'previewTemplate',
      summary: 'See what a template makes of variables',
      path,
      body: {
        schema: describeFields(previewBody, {
          variables: 'The values, by name.',
          version: 'The draft where it is not given.',
        }),
        example: { variables: values },
        optional: true,
      },
      responses: {
        200: {
          description: 'The parts of the email.',
          schema: preview,
          example: {
            object: 'template_preview',
            id,
            version_id: versionId,
            subject: 'Your order A-17',
            html: '<p>Hello friend,</p><ul><li>Tea</li></ul>',
            text: 'Hello friend,\n\n- Tea',
          },
        },
      },
    },
    'POST /v1/templates/:id/test': {
      operationId: 'testTemplate',
      summary: 'Send the draft to one address',
      description: 'An email like any other: counted, and shown by `GET /v1/emails`.',
      path,
      headers: z.object({ 'Idempotency-Key': IDEMPOTENCY_KEY }),
      body: {
        schema: describeFields(testBody, {
          to: 'Who gets it.',
          from: 'In place of the sender of the template.',
          variables: 'The values, by name.',
        }),
        example: { to: 'me@example.org', from: 'news@mail.example.com', variables: values },
      },
      responses: {
        200: {
          description: 'Accepted.',
          headers: SEND_HEADERS,
          schema: acceptedEmail,
          example: acceptedExample,
        },
      },
      errors: [...SEND_ERRORS, 'account_suspended', 'account_unconfirmed'],
    },
  },
};
