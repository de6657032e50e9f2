import * as z from 'zod';
import { COMPANY_SIZES } from '../../services/account-profile.ts';
import {
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  idOf,
  isoTime,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { updateAccountBody } from './account.ts';
import { registrationBody } from './registration.ts';

/** Whom an account belongs to. */
export const ownerFields = {
  email: z.string().nullable(),
  confirmed: z.boolean().meta({ description: 'Without it the account cannot send.' }),
  company: z.string().nullable(),
  company_size: z.enum(COMPANY_SIZES).nullable(),
  postal_address: z.string().nullable(),
};

export const OWNER_EXAMPLE = {
  email: 'ops@example.com',
  confirmed: true,
  company: null,
  company_size: null,
  postal_address: null,
};

export const OWNER_TEXTS = {
  name: 'What the account is called.',
  email: 'A bare address. While none is confirmed it can be changed; the link then goes to the new one.',
  company: 'The name of the company.',
  company_size: 'How many people work there.',
  postal_address: 'In several lines.',
} as const;

const quotaState = z
  .object({
    limit: z.int().min(0).nullable().meta({ description: 'Null: no limit.' }),
    used: z.int().min(0).meta({ description: 'Exact where there is a limit.' }),
    resets_at: isoTime,
  })
  .meta({ id: 'QuotaState' });

const ownAccount = z
  .object({
    object: z.literal('account'),
    id: idOf('account'),
    name: z.string(),
    ...ownerFields,
    status: z.enum(['active', 'suspended', 'closed']).meta({ description: 'Only an active account sends.' }),
    in_doubt_policy: z.enum(['retry', 'hold']),
    retention: z
      .object({
        body_days: z.int().min(0).meta({ description: '0: content goes with the end of the last delivery.' }),
        metadata_days: z.int().min(1),
      })
      .meta({
        description: 'What is in force. The day a message was made, or is scheduled for, does not count.',
      }),
    created_at: isoTime,
    quotas: z.object({ daily: quotaState, monthly: quotaState }).meta({
      description: 'Recipients in this UTC day and month.',
    }),
    statistics: z.object({
      backlog: z.int().min(0).meta({ description: 'Messages that still have an attempt before them.' }),
      possible_duplicates: z.int().min(0).meta({
        description: 'How often a copy may have reached a server twice: each is a doubt on the ledger.',
      }),
    }),
  })
  .meta({ id: 'OwnAccount' });

const example = {
  object: 'account',
  id: exampleId('account'),
  name: 'Example Ltd',
  ...OWNER_EXAMPLE,
  status: 'active',
  in_doubt_policy: 'retry',
  retention: { body_days: 7, metadata_days: 30 },
  created_at: EXAMPLE_TIME,
  quotas: {
    daily: { limit: 1000, used: 17, resets_at: '2026-11-25T00:00:00.000Z' },
    monthly: { limit: null, used: 4711, resets_at: '2026-12-01T00:00:00.000Z' },
  },
  statistics: { backlog: 0, possible_duplicates: 0 },
};

export const accountDocs: ResourceDocs = {
  tag: 'Account',
  description: 'The account of the API key that asks.',
  operations: {
    'GET /v1/account': {
      operationId: 'getOwnAccount',
      summary: 'Read the own account',
      responses: { 200: { description: 'The account.', schema: ownAccount, example } },
      errors: ['not_found'],
    },
    'PATCH /v1/account': {
      operationId: 'updateOwnAccount',
      summary: 'Change the own account',
      body: {
        schema: describeFields(updateAccountBody, {
          ...OWNER_TEXTS,
          in_doubt_policy:
            'What to do when a connection is lost after the final dot: `retry` sends a byte-identical copy, `hold` waits for your decision.',
          retention:
            'How many days texts, headers and attachments are kept (`body_days`; 0: until the last delivery has ended), and addresses, subjects, states and events (`metadata_days`). Null: as the deployment keeps them, which is also the most. What is already older goes at once where the change reaches the ledger, and with the next sweep (within a day) where it does not.',
        }),
        example: { in_doubt_policy: 'hold' },
      },
      responses: {
        200: {
          description: 'The account as it is now.',
          schema: ownAccount,
          example: { ...example, in_doubt_policy: 'hold' },
        },
      },
      errors: ['not_found', 'field_refused', 'conflict'],
    },
    'POST /v1/account/resend-confirmation': {
      operationId: 'resendConfirmation',
      summary: 'Mail the link that confirms the address again',
      description: 'The answer does not tell whether a mail was sent: one address gets only a few a day.',
      responses: {
        200: {
          description: 'It is on its way.',
          schema: z.object({
            object: z.literal('account'),
            id: idOf('account'),
            confirmed: z.literal(false),
          }),
          example: { object: 'account', id: exampleId('account'), confirmed: false },
        },
      },
      errors: ['not_found', 'conflict', 'account_suspended'],
    },
    'POST /v1/accounts': {
      operationId: 'register',
      summary: 'Open an account',
      description:
        'Needs no key; where the operator lets people register. The account can send once the address is confirmed by the link that is mailed to it. The answer does not tell whether the address is known.',
      access: 'public',
      body: {
        schema: describeFields(registrationBody, {
          ...OWNER_TEXTS,
          email: 'A bare address, to which the link is mailed.',
          invite: 'The code, where registration is by invite.',
        }),
        example: { name: 'Ann', email: 'ann@example.com' },
      },
      responses: {
        201: {
          description: 'The account, with its first key.',
          schema: z.object({
            object: z.literal('account'),
            id: idOf('account'),
            name: z.string(),
            ...ownerFields,
            status: z.literal('active'),
            created_at: isoTime,
            api_key: z.object({ id: idOf('apiKey'), token: z.string() }),
          }),
          example: {
            object: 'account',
            id: exampleId('account'),
            name: 'Ann',
            ...OWNER_EXAMPLE,
            email: 'ann@example.com',
            confirmed: false,
            status: 'active',
            created_at: EXAMPLE_TIME,
            api_key: { id: exampleId('apiKey'), token: 'er_live_…' },
          },
        },
      },
      errors: ['registration_closed', 'invalid_invite', 'registrations_limited'],
    },
  },
};
