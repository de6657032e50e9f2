/** The account of the key that asks. */
import { Hono } from 'hono';
import * as z from 'zod';
import * as service from '../../services/account.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime } from '../pagination.ts';

export const updateAccountBody = z
  .strictObject({
    name: z.string().min(1).max(200),
    in_doubt_policy: z.enum(['retry', 'hold']),
  })
  .partial();

function ownAccountBody({ account, statistics }: service.OwnAccount) {
  return {
    object: 'account',
    id: account.id,
    name: account.name,
    status: account.status,
    in_doubt_policy: account.inDoubtPolicy,
    created_at: isoTime(account.createdAt),
    statistics: {
      backlog: statistics.backlog,
      possible_duplicates: statistics.possibleDuplicates,
    },
  };
}

export const accountRoutes = new Hono<AppTypes>()
  .get('/', async (c) => c.json(ownAccountBody(await service.getOwnAccount(serviceContextOf(c)))))
  .patch('/', jsonBody(updateAccountBody), async (c) => {
    const { name, in_doubt_policy: inDoubtPolicy } = c.req.valid('json');
    const changed = await service.changeOwnAccount(serviceContextOf(c), { name, inDoubtPolicy });
    return c.json(ownAccountBody(changed));
  });
