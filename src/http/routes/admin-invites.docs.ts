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
import { createInviteBody } from './admin-invites.ts';

const id = exampleId('invite');
const EXPIRY = '2026-12-01T09:30:00.000Z';

export const adminInviteDocs: ResourceDocs = {
  tag: 'Operator',
  description: 'What the operator of the deployment may do, with the operator token instead of an API key.',
  operations: {
    'POST /v1/admin/invites': {
      operationId: 'createInvite',
      summary: 'Make a code that lets somebody register',
      body: {
        schema: describeFields(createInviteBody, {
          expires_in_hours: 'How long it is good, 168 hours by default.',
        }),
        example: { expires_in_hours: 168 },
      },
      responses: {
        201: {
          description: 'The invite; its code is shown once.',
          schema: z.object({
            object: z.literal('invite'),
            id: idOf('invite'),
            code: z.string(),
            created_at: isoTime,
            expires_at: isoTime,
          }),
          example: {
            object: 'invite',
            id,
            code: 'er_invite_…',
            created_at: EXAMPLE_TIME,
            expires_at: EXPIRY,
          },
        },
      },
    },
    'GET /v1/admin/invites': {
      operationId: 'listInvites',
      summary: 'List the invites',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'A page of invites, without their codes.',
          schema: pageOf(
            z
              .object({
                id: idOf('invite'),
                created_at: isoTime,
                expires_at: isoTime,
                used_by: idOf('account').nullable(),
              })
              .meta({ id: 'Invite' }),
          ),
          example: examplePage({ id, created_at: EXAMPLE_TIME, expires_at: EXPIRY, used_by: null }),
        },
      },
    },
    'DELETE /v1/admin/invites/:id': {
      operationId: 'deleteInvite',
      summary: 'Take back an invite that was not used',
      responses: {
        200: {
          description: 'It is deleted.',
          schema: deletedOf('invite', 'invite'),
          example: { object: 'invite', id, deleted: true },
        },
      },
      errors: ['conflict'],
    },
  },
};
