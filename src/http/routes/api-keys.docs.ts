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
import { pageQuery } from '../pagination.ts';
import { createApiKeyBody, renameApiKeyBody } from './api-keys.ts';

const id = exampleId('apiKey');

export const createdApiKey = z
  .object({
    object: z.literal('api_key'),
    id: idOf('apiKey'),
    token: z.string().meta({ description: 'The key itself. It is shown once: only its hash is kept.' }),
  })
  .meta({ id: 'CreatedApiKey' });

export const createdApiKeyExample = { object: 'api_key', id, token: 'er_live_…' };

const apiKey = z
  .object({
    id: idOf('apiKey'),
    name: z.string(),
    mode: z.enum(['live', 'test']),
    created_at: isoTime,
    last_used_at: isoTime.nullable().meta({ description: 'Exact to the day.' }),
  })
  .meta({ id: 'ApiKey' });

const NAME_TEXT = 'What the key is called; need not be unique.';

export const apiKeyDocs: ResourceDocs = {
  tag: 'API keys',
  description: 'The keys of the account.',
  operations: {
    'POST /v1/api-keys': {
      operationId: 'createApiKey',
      summary: 'Create an API key',
      body: {
        schema: describeFields(createApiKeyBody, {
          name: NAME_TEXT,
          permission: '`full_access`, or `sending_access`: may send and nothing else.',
          domain_id: 'The key may send from this domain only.',
          mode: '`test`: its mail goes to nobody, and it changes nothing but test mail.',
        }),
        example: { name: 'Billing', permission: 'sending_access' },
      },
      responses: {
        201: { description: 'The key.', schema: createdApiKey, example: createdApiKeyExample },
      },
      errors: ['not_found'],
    },
    'GET /v1/api-keys': {
      operationId: 'listApiKeys',
      summary: 'List the API keys',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'A page of keys, without what is secret.',
          schema: pageOf(apiKey),
          example: examplePage({
            id,
            name: 'Billing',
            mode: 'live',
            created_at: EXAMPLE_TIME,
            last_used_at: null,
          }),
        },
      },
    },
    'PATCH /v1/api-keys/:id': {
      operationId: 'renameApiKey',
      summary: 'Rename an API key',
      body: { schema: describeFields(renameApiKeyBody, { name: NAME_TEXT }), example: { name: 'Shop' } },
      responses: {
        200: {
          description: 'It has the new name.',
          schema: z.object({ object: z.literal('api_key'), id: idOf('apiKey') }),
          example: { object: 'api_key', id },
        },
      },
    },
    'DELETE /v1/api-keys/:id': {
      operationId: 'deleteApiKey',
      summary: 'Delete an API key',
      description: 'Requests with it are refused from now on; a key may also delete itself.',
      responses: {
        200: {
          description: 'It is deleted.',
          schema: deletedOf('api_key', 'apiKey'),
          example: { object: 'api_key', id, deleted: true },
        },
      },
    },
  },
};
