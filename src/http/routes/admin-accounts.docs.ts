import * as z from 'zod';
import {
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  examplePage,
  idOf,
  isoTime,
  type OperationDocs,
  PAGE_TEXTS,
  pageOf,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { pageQuery } from '../pagination.ts';
import { OWNER_EXAMPLE, ownerFields } from './account.docs.ts';
import {
  changeAccountBody,
  createAccountBody,
  createAccountKeyBody,
  putDomainBody,
} from './admin-accounts.ts';
import { createdApiKey, createdApiKeyExample } from './api-keys.docs.ts';
import { domain, domainExample } from './domains.docs.ts';

const storedQuota = z
  .union([z.int().min(0), z.literal('unlimited'), z.null()])
  .meta({ description: 'Recipients; null: as the settings say.' });

const accountFields = {
  object: z.literal('account'),
  id: idOf('account'),
  name: z.string().meta({
    description: 'Empty, with no address, where `MASTER_KEYS` lacks the version that opens it.',
  }),
  ...ownerFields,
  status: z.enum(['active', 'suspended', 'closed']),
  shards: z.int().min(1).max(64).meta({ description: 'So many objects keep its mail.' }),
  daily_quota: storedQuota,
  monthly_quota: storedQuota,
  created_at: isoTime,
};
const account = z.object(accountFields).meta({ id: 'Account' });

const example = {
  object: 'account',
  id: exampleId('account'),
  name: 'Example Ltd',
  ...OWNER_EXAMPLE,
  status: 'active',
  shards: 1,
  daily_quota: null,
  monthly_quota: 'unlimited',
  created_at: EXAMPLE_TIME,
};

const NAME_TEXT = 'What the account is called.';

function statusChange(verb: string, status: string, description: string): OperationDocs {
  return {
    operationId: `${verb}Account`,
    summary: `${verb.charAt(0).toUpperCase()}${verb.slice(1)} an account`,
    description,
    responses: {
      200: { description: 'The account as it is now.', schema: account, example: { ...example, status } },
    },
    errors: ['conflict'],
  };
}

export const adminAccountDocs: ResourceDocs = {
  tag: 'Operator',
  description: 'What the operator of the deployment may do, with the operator token instead of an API key.',
  operations: {
    'POST /v1/admin/accounts': {
      operationId: 'createAccount',
      summary: 'Open an account',
      body: {
        schema: describeFields(createAccountBody, { name: NAME_TEXT, email: 'Whom to ask about it.' }),
        example: { name: 'Example Ltd', email: 'ops@example.com' },
      },
      responses: {
        201: {
          description: 'The account, with its first key.',
          schema: z.object({
            ...accountFields,
            api_key: createdApiKey.omit({ object: true }).meta({ id: 'FirstApiKey' }),
          }),
          example: {
            ...example,
            api_key: { id: createdApiKeyExample.id, token: createdApiKeyExample.token },
          },
        },
      },
    },
    'GET /v1/admin/accounts': {
      operationId: 'listAccounts',
      summary: 'List the accounts',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: { description: 'A page of accounts.', schema: pageOf(account), example: examplePage(example) },
      },
    },
    'GET /v1/admin/accounts/:id': {
      operationId: 'getAccount',
      summary: 'Read an account',
      responses: { 200: { description: 'The account.', schema: account, example } },
    },
    'PATCH /v1/admin/accounts/:id': {
      operationId: 'changeAccount',
      summary: 'Set quotas, confirm, or raise the number of shards',
      body: {
        schema: describeFields(changeAccountBody, {
          shards: 'The new number, which is never below the old one.',
          daily_quota: 'Recipients in a UTC day; null: as the settings say.',
          monthly_quota: 'Recipients in a UTC month; null: as the settings say.',
          confirmed: 'Your word for the address, where the mail does not arrive.',
        }),
        example: { shards: 4 },
      },
      responses: {
        200: {
          description: 'The account as it is now.',
          schema: account,
          example: { ...example, shards: 4 },
        },
      },
      errors: ['conflict'],
    },
    'POST /v1/admin/accounts/:id/suspend': statusChange(
      'suspend',
      'suspended',
      'Nothing is accepted or sent any more; reading stays possible.',
    ),
    'POST /v1/admin/accounts/:id/resume': statusChange('resume', 'active', 'Ends a suspension.'),
    'POST /v1/admin/accounts/:id/close': statusChange('close', 'closed', 'For good: its keys are refused.'),
    'PUT /v1/admin/accounts/:id/domains/:name': {
      operationId: 'putVerifiedDomain',
      summary: 'Vouch for a domain of an account',
      path: { name: 'The domain.' },
      body: {
        schema: describeFields(putDomainBody, {
          return_path: 'Where bounces go: the envelope sender. The From address where it is not given.',
        }),
        example: { return_path: 'bounces@mail.example.com' },
      },
      responses: {
        200: {
          description: 'The domain, verified.',
          schema: domain,
          example: { ...domainExample, status: 'verified', return_path: 'bounces@mail.example.com' },
        },
      },
      errors: ['conflict'],
    },
    'POST /v1/admin/accounts/:id/api-keys': {
      operationId: 'createAccountKey',
      summary: 'Create an API key for an account',
      description: 'For an account that lost all of its keys.',
      body: {
        schema: describeFields(createAccountKeyBody, {
          name: 'What the key is called.',
          permission: '`full_access`, or `sending_access`: may send and nothing else.',
        }),
        example: { name: 'Replacement' },
      },
      responses: {
        201: { description: 'The key.', schema: createdApiKey, example: createdApiKeyExample },
      },
    },
  },
};
