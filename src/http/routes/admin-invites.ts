/** Invites to register, for the operator. */
import { Hono } from 'hono';
import * as z from 'zod';
import * as service from '../../services/invites.ts';
import type { AppTypes } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

const HOUR_MS = 60 * 60 * 1000;
export const createInviteBody = z.strictObject({
  expires_in_hours: z
    .int()
    .min(1)
    .max(24 * 365)
    .default(24 * 7),
});

export const adminInviteRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createInviteBody), async (c) => {
    const invite = await service.createInvite(c.env, c.req.valid('json').expires_in_hours * HOUR_MS);
    const { id, code, createdAt, expiresAt } = invite;
    return c.json(
      { object: 'invite', id, code, created_at: isoTime(createdAt), expires_at: isoTime(expiresAt) },
      201,
    );
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listInvites(c.env, c.req.valid('query'));
    return c.json(
      listBody(page, (invite) => ({
        id: invite.id,
        created_at: isoTime(invite.createdAt),
        expires_at: isoTime(invite.expiresAt),
        used_by: invite.usedBy,
      })),
    );
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteInvite(c.env, id);
    return c.json({ object: 'invite', id, deleted: true });
  });
