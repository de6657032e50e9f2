/**
 * Puts the descriptions of all resources together into one OpenAPI document. To describe a route:
 * - export its request schemas from `routes/<resource>.ts`;
 * - in `routes/<resource>.docs.ts`, add an operation under `METHOD /path/:parameter`: an operationId, a
 *   summary, `body` and `query` as `describeFields(schema, texts)` (a text for every field), the response
 *   with its schema (`z.object`, an `id` in its meta if it is used twice) and an example;
 * - list in `errors` the codes that the handler or its service throws. Those of authentication, of reading
 *   a body or a query, and `not_found` for an id in the path, are implied;
 * - a new resource goes into RESOURCES below; a new error code needs nothing here;
 * - run `npm run openapi`. Tests say what is missing: a route, an example, a field's text, and every
 *   response of the test run that does not fit its description.
 */
import * as z from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { accountDocs } from '../routes/account.docs.ts';
import { adminAccountDocs } from '../routes/admin-accounts.docs.ts';
import { adminInviteDocs } from '../routes/admin-invites.docs.ts';
import { adminMasterKeyDocs } from '../routes/admin-master-key.docs.ts';
import { apiKeyDocs } from '../routes/api-keys.docs.ts';
import { broadcastDocs } from '../routes/broadcasts.docs.ts';
import { contactExportDocs } from '../routes/contact-export.docs.ts';
import { contactImportDocs } from '../routes/contact-imports.docs.ts';
import { contactPropertyDocs } from '../routes/contact-properties.docs.ts';
import { contactDocs } from '../routes/contacts.docs.ts';
import { domainDocs } from '../routes/domains.docs.ts';
import { emailAttachmentDocs } from '../routes/email-attachments.docs.ts';
import { emailExportDocs } from '../routes/email-export.docs.ts';
import { emailDocs } from '../routes/emails.docs.ts';
import { eventDocs } from '../routes/events.docs.ts';
import { audienceDocs, listDocs } from '../routes/lists.docs.ts';
import { confirmDocs } from '../routes/public/confirm.docs.ts';
import { healthDocs } from '../routes/public/health.docs.ts';
import { unsubscribeDocs } from '../routes/public/unsubscribe.docs.ts';
import { rawEmailDocs } from '../routes/raw-emails.docs.ts';
import { relayDocs } from '../routes/relays.docs.ts';
import { suppressionDocs } from '../routes/suppressions.docs.ts';
import { templateDocs } from '../routes/templates.docs.ts';
import { topicDocs } from '../routes/topics.docs.ts';
import { webhookDocs } from '../routes/webhooks.docs.ts';
import { accessOf, ERROR_EXAMPLES, errorCodesOf, errorSchema, errorStatusOf } from './error-docs.ts';
import type { OperationDocs, ResourceDocs, ResponseDocs } from './resource-docs.ts';

/** In the order of the page. */
export const RESOURCES: readonly ResourceDocs[] = [
  emailDocs,
  rawEmailDocs,
  emailAttachmentDocs,
  emailExportDocs,
  domainDocs,
  apiKeyDocs,
  relayDocs,
  suppressionDocs,
  contactDocs,
  contactImportDocs,
  contactExportDocs,
  listDocs,
  audienceDocs,
  topicDocs,
  contactPropertyDocs,
  templateDocs,
  broadcastDocs,
  webhookDocs,
  eventDocs,
  accountDocs,
  adminAccountDocs,
  adminInviteDocs,
  adminMasterKeyDocs,
  unsubscribeDocs,
  confirmDocs,
  healthDocs,
];

const INTRODUCTION = `Send mail through your own SMTP servers, and read what became of it.

The calls of the official \`resend\` SDK work here: set \`RESEND_BASE_URL\` to the address of this server with \`/v1\`.
Keys go in \`Authorization: Bearer …\` and nowhere else. Times are ISO 8601 in UTC. A field that is not
described here is refused. Every answer has an \`x-request-id\`; none is for a browser: there is no CORS.
New fields may appear in answers; those described here stay.`;

const REQUEST_ID = { 'x-request-id': { $ref: '#/components/headers/x-request-id' } };
const RETRY_AFTER = { 'retry-after': { $ref: '#/components/headers/retry-after' } };

export function makeDocument(version: string) {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const resource of RESOURCES) {
    for (const [route, operation] of Object.entries(resource.operations)) {
      const [method = '', pattern = ''] = route.split(' ');
      const path = documentPath(pattern);
      paths[path] = { ...paths[path], [method.toLowerCase()]: operationOf(resource, route, operation) };
    }
  }
  return createDocument(
    {
      openapi: '3.1.1',
      info: {
        title: 'edge-relay',
        version,
        description: INTRODUCTION,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This deployment' }],
      tags: RESOURCES.map(({ tag: name, description }) => ({ name, description })),
      paths: paths satisfies ZodOpenApiPathsObject,
      components: {
        schemas: { Error: errorSchema },
        examples: ERROR_EXAMPLES,
        headers: {
          'x-request-id': {
            description: 'Identifies the request in the log.',
            schema: { type: 'string' },
          },
          'retry-after': { description: 'Seconds to wait before trying again.', schema: { type: 'string' } },
        },
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', description: 'An API key of an account: `er_live_…`.' },
          operatorToken: { type: 'http', scheme: 'bearer', description: 'ADMIN_TOKEN of the deployment.' },
        },
      },
    },
    {
      // Closed objects would forbid us to add a field. That none is added unseen is for the tests.
      override: ({ jsonSchema, io }) => {
        if (io === 'output' && jsonSchema.additionalProperties === false)
          delete jsonSchema.additionalProperties;
      },
    },
  );
}

/** `/emails/:id` as `/emails/{id}`. */
export function documentPath(pattern: string): string {
  return pattern.replace(/:(\w+)/g, '{$1}');
}

const SECURITY = {
  public: [],
  key: [{ apiKey: [] }],
  sending_key: [{ apiKey: [] }],
  operator: [{ operatorToken: [] }],
};

function operationOf(
  resource: ResourceDocs,
  route: string,
  operation: OperationDocs,
): ZodOpenApiOperationObject {
  const { operationId, summary, description, body, query, headers } = operation;
  const path = pathParameters(route, operation);
  return {
    operationId,
    tags: [resource.tag],
    summary,
    ...(description !== undefined && { description }),
    security: SECURITY[accessOf(route, operation)],
    requestParams: { ...(path && { path }), ...(query && { query }), ...(headers && { header: headers }) },
    ...(body && {
      requestBody: {
        required: body.optional !== true,
        content: { [body.contentType ?? 'application/json']: { schema: body.schema, example: body.example } },
      },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(operation.responses).map(([status, it]) => [status, answerOf(it)]),
      ),
      ...errorResponses(route, operation),
    },
  };
}

function pathParameters(route: string, operation: OperationDocs): z.ZodObject | undefined {
  const names = [...route.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '');
  if (names.length === 0) return undefined;
  return z.object(
    Object.fromEntries(
      names.map((name) => {
        const text =
          operation.path?.[name] ?? (name === 'id' ? `The id of the ${resourceOf(route)}.` : undefined);
        if (text === undefined) throw new Error(`${route} does not say what :${name} is`);
        return [name, z.string().meta({ description: text })];
      }),
    ),
  );
}

/** `email` of `/v1/emails/:id/cancel`. */
function resourceOf(route: string): string {
  const plural = /\/([a-z-]+)\/:id/.exec(route)?.[1] ?? 'object';
  return plural.replaceAll('-', ' ').replace(/s$/, '');
}

function answerOf(answer: ResponseDocs) {
  const headers = Object.fromEntries(
    Object.entries(answer.headers ?? {}).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' as const } },
    ]),
  );
  const alternatives = Object.entries(answer.alternatives ?? {}).map(
    ([type, example]) => [type, { schema: z.string(), example }] as const,
  );
  return {
    description: answer.description,
    headers: { ...REQUEST_ID, ...headers },
    content: {
      [answer.contentType ?? 'application/json']: { schema: answer.schema, example: answer.example },
      ...Object.fromEntries(alternatives),
    },
  };
}

/** One response for each status, which says the codes that go with it. */
function errorResponses(route: string, operation: OperationDocs) {
  const byStatus = Map.groupBy(errorCodesOf(route, operation), errorStatusOf);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => {
      const error = {
        $ref: '#/components/schemas/Error',
        properties: { statusCode: { const: status }, code: { enum: codes } },
      };
      const own = operation.responses[status];
      // An operation that answers with a body of its own under a status of errors can do both.
      if (own)
        return [
          status,
          {
            ...answerOf(own),
            content: {
              'application/json': {
                schema: z.union([own.schema as z.ZodObject, errorSchema]),
                example: own.example,
              },
            },
          },
        ];
      const examples = Object.fromEntries(
        codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]),
      );
      return [
        status,
        {
          description: codes.map((code) => `\`${code}\``).join(', '),
          headers: { ...REQUEST_ID, ...(status === 429 || status === 503 ? RETRY_AFTER : {}) },
          content: { 'application/json': { schema: error, examples } },
        },
      ];
    }),
  );
}
