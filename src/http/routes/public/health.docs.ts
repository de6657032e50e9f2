import * as z from 'zod';
import type { ResourceDocs } from '../../docs/resource-docs.ts';

const part = z.enum(['ok', 'failed']);
const health = z.object({ status: part, database: part, outbox: part }).meta({ id: 'Health' });

export const healthDocs: ResourceDocs = {
  tag: 'Health',
  description: 'For a load balancer or a monitor.',
  operations: {
    'GET /health': {
      operationId: 'checkHealth',
      summary: 'Ask whether the parts work',
      description: 'Needs no key.',
      responses: {
        200: {
          description: 'All parts work.',
          schema: health,
          example: { status: 'ok', database: 'ok', outbox: 'ok' },
        },
        503: {
          description: 'A part does not work.',
          schema: health,
          example: { status: 'failed', database: 'failed', outbox: 'ok' },
        },
      },
    },
  },
};
