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
import { createDomainBody } from './domains.ts';

const id = exampleId('domain');

const summaryFields = {
  id: idOf('domain'),
  name: z.string(),
  status: z.enum(['pending', 'verified']).meta({ description: 'Only a verified domain may be sent from.' }),
  created_at: isoTime,
  region: z.literal('auto').meta({ description: 'There are no regions; the SDK expects a text.' }),
  open_tracking: z.boolean(),
  click_tracking: z.boolean(),
  capabilities: z.object({ sending: z.literal('enabled'), receiving: z.literal('disabled') }),
};

export const domain = z
  .object({
    object: z.literal('domain'),
    ...summaryFields,
    return_path: z.string().nullable().meta({ description: 'Where bounces go: the envelope sender.' }),
    records: z.array(z.unknown()).max(0).meta({ description: 'No DNS records are asked for.' }),
  })
  .meta({ id: 'Domain' });

const summaryExample = {
  id,
  name: 'mail.example.com',
  status: 'pending',
  created_at: EXAMPLE_TIME,
  region: 'auto',
  open_tracking: false,
  click_tracking: false,
  capabilities: { sending: 'enabled', receiving: 'disabled' },
};

export const domainExample = { object: 'domain', ...summaryExample, return_path: null, records: [] };

export const domainDocs: ResourceDocs = {
  tag: 'Domains',
  description: 'The domains an account sends from. The operator vouches for them.',
  operations: {
    'POST /v1/domains': {
      operationId: 'createDomain',
      summary: 'Add a domain',
      description: 'It is pending until the operator has verified it.',
      body: {
        schema: describeFields(createDomainBody, {
          name: 'The domain after the `@` of the addresses you send from.',
          region: 'Accepted for the SDK; means nothing here.',
          tls: 'Accepted for the SDK. TLS is a matter of the relay.',
          capabilities: 'Only sending is there.',
          open_tracking: 'Only `false`.',
          click_tracking: 'Only `false`.',
          custom_return_path: 'Refused: not supported.',
          tracking_subdomain: 'Refused: not supported.',
        }),
        example: { name: 'mail.example.com' },
      },
      responses: { 201: { description: 'The domain.', schema: domain, example: domainExample } },
      errors: ['field_not_supported', 'conflict', 'not_found'],
    },
    'GET /v1/domains': {
      operationId: 'listDomains',
      summary: 'List the domains',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'A page of domains.',
          schema: pageOf(z.object(summaryFields).meta({ id: 'DomainSummary' })),
          example: examplePage(summaryExample),
        },
      },
    },
    'GET /v1/domains/:id': {
      operationId: 'getDomain',
      summary: 'Read a domain',
      responses: { 200: { description: 'The domain.', schema: domain, example: domainExample } },
    },
    'DELETE /v1/domains/:id': {
      operationId: 'deleteDomain',
      summary: 'Delete a domain',
      responses: {
        200: {
          description: 'It is deleted; nothing more is sent from it.',
          schema: deletedOf('domain', 'domain'),
          example: { object: 'domain', id, deleted: true },
        },
      },
      errors: ['conflict'],
    },
  },
};
