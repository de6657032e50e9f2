import * as z from 'zod';
import {
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  idOf,
  isoTime,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { updateAccountBody } from './account.ts';

const ownAccount = z
  .object({
    object: z.literal('account'),
    id: idOf('account'),
    name: z.string(),
    status: z.enum(['active', 'suspended', 'closed']).meta({ description: 'Only an active account sends.' }),
    in_doubt_policy: z.enum(['retry', 'hold']),
    created_at: isoTime,
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
  status: 'active',
  in_doubt_policy: 'retry',
  created_at: EXAMPLE_TIME,
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
          name: 'What the account is called.',
          in_doubt_policy:
            'What to do when a connection is lost after the final dot: `retry` sends a byte-identical copy, `hold` waits for your decision.',
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
      errors: ['not_found'],
    },
  },
};
