import * as z from 'zod';
import type { ResourceDocs } from '../docs/resource-docs.ts';

export const adminMasterKeyDocs: ResourceDocs = {
  tag: 'Operator',
  description: 'What the operator of the deployment may do, with the operator token instead of an API key.',
  operations: {
    'POST /v1/admin/master-key/rewrap': {
      operationId: 'rewrapDataKeys',
      summary: 'Wrap the data keys of all accounts under the newest master key',
      description:
        'A part of them with each request: repeat it until `remaining` is 0. Then the older versions may leave `MASTER_KEYS`.',
      responses: {
        200: {
          description: 'How far it is.',
          schema: z.object({
            object: z.literal('master_key'),
            version: z.int().min(0).meta({ description: 'The newest version, which wraps now.' }),
            rewrapped: z.int().min(0).meta({ description: 'Accounts done by this request.' }),
            remaining: z.int().min(0).meta({ description: 'Accounts that still need an older version.' }),
          }),
          example: { object: 'master_key', version: 2, rewrapped: 318, remaining: 0 },
        },
      },
    },
  },
};
