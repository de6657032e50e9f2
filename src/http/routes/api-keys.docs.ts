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
import { changeApiKeyBody, createApiKeyBody, rotateApiKeyBody } from './api-keys.ts';

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

const keyDetail = z
  .object({
    object: z.literal('api_key'),
    id: idOf('apiKey'),
    name: z.string(),
    mode: z.enum(['live', 'test']),
    token_hint: z.string().meta({ description: 'How the key begins and ends.' }),
    permission: z.enum(['full_access', 'sending_access']),
    domain_id: z.string().nullable(),
    allowed_ips: z.array(z.string()),
    expires_at: isoTime.nullable(),
    previous_valid_until: isoTime.nullable().meta({ description: 'When the last earlier secret ends.' }),
    created_at: isoTime,
    last_used_at: isoTime.nullable().meta({ description: 'Exact to the day.' }),
  })
  .meta({ id: 'ApiKeyDetail' });

const LIMIT_TEXTS = {
  allowed_ips: 'Addresses and ranges (CIDR) it may be used from; empty: from anywhere.',
  expires_at: 'When it ends; null: never.',
} as const;

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
          ...LIMIT_TEXTS,
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
    'GET /v1/api-keys/:id': {
      operationId: 'getApiKey',
      summary: 'Read an API key',
      responses: {
        200: {
          description: 'The key, without what is secret.',
          schema: keyDetail,
          example: {
            object: 'api_key',
            id,
            name: 'Billing',
            mode: 'live',
            token_hint: 'er_live_…x7Qz',
            permission: 'sending_access',
            domain_id: null,
            allowed_ips: ['192.0.2.0/24'],
            expires_at: null,
            previous_valid_until: null,
            created_at: EXAMPLE_TIME,
            last_used_at: null,
          },
        },
      },
    },
    'POST /v1/api-keys/:id/rotate': {
      operationId: 'rotateApiKey',
      summary: 'Give an API key another secret',
      description:
        'Id, name and limits stay. The secrets from before are good until the time given, 30 days at most.',
      body: {
        schema: describeFields(rotateApiKeyBody, {
          overlap_hours:
            'For how long the secret so far stays good; 24 where nothing is said, 0 ends it at once.',
          until: 'The same as a time. Not together with `overlap_hours`.',
        }),
        example: { overlap_hours: 48 },
      },
      responses: {
        200: {
          description: 'The key with its new secret.',
          schema: createdApiKey
            .extend({ previous_valid_until: isoTime.nullable() })
            .meta({ id: 'RotatedApiKey' }),
          example: { ...createdApiKeyExample, previous_valid_until: EXAMPLE_TIME },
        },
      },
    },
    'PATCH /v1/api-keys/:id': {
      operationId: 'updateApiKey',
      summary: 'Rename an API key, or change its limits',
      body: {
        schema: describeFields(changeApiKeyBody, { name: NAME_TEXT, ...LIMIT_TEXTS }),
        example: { name: 'Shop' },
      },
      responses: {
        200: {
          description: 'It is as asked for.',
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
