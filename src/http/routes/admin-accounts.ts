/** What the operator of the deployment may do: open accounts, stop them, vouch for domains, replace lost keys. */
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { MAX_SHARDS, newId } from '../../ids.ts';
import * as service from '../../services/accounts.ts';
import { createApiKey } from '../../services/api-keys.ts';
import { putVerifiedDomain } from '../../services/domains.ts';
import { operatorContext, type ServiceContext } from '../../services/service-context.ts';
import type { AppTypes } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';
import { domainBody } from './domains.ts';

export const createAccountBody = z.strictObject({
  name: z.string().min(1).max(200),
  email: z.email().max(254).optional(),
});
export const changeShardsBody = z.strictObject({ shards: z.int().min(1).max(MAX_SHARDS) });
export const putDomainBody = z.strictObject({
  return_path: z.email().max(254).optional(),
});
export const createAccountKeyBody = z.strictObject({
  name: z.string().max(200),
  permission: z.enum(['full_access', 'sending_access']).default('full_access'),
});

type Account = Awaited<ReturnType<typeof service.getAccount>>;

function accountBody(account: Account) {
  return {
    object: 'account',
    id: account.id,
    name: account.name,
    email: account.email,
    status: account.status,
    shards: account.shards,
    created_at: isoTime(account.createdAt),
  };
}

export const adminAccountRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createAccountBody), async (c) => {
    const { account, apiKey } = await service.createAccount(
      onAccount(c, newId('account')),
      c.req.valid('json'),
    );
    return c.json({ ...accountBody(account), api_key: apiKey }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listAccounts(c.env, c.req.valid('query'));
    return c.json(listBody(page, accountBody));
  })
  .get('/:id', async (c) => c.json(accountBody(await service.getAccount(onAccount(c, c.req.param('id'))))))
  .patch('/:id', jsonBody(changeShardsBody), async (c) => {
    const context = onAccount(c, c.req.param('id'));
    return c.json(accountBody(await service.changeShards(context, c.req.valid('json').shards)));
  })
  .post('/:id/suspend', async (c) => changeStatus(c, c.req.param('id'), 'suspended'))
  .post('/:id/resume', async (c) => changeStatus(c, c.req.param('id'), 'active'))
  .post('/:id/close', async (c) => changeStatus(c, c.req.param('id'), 'closed'))
  .put('/:id/domains/:name', jsonBody(putDomainBody), async (c) => {
    const context = onAccount(c, c.req.param('id'));
    const returnPath = c.req.valid('json').return_path;
    return c.json(domainBody(await putVerifiedDomain(context, { name: c.req.param('name'), returnPath })));
  })
  .post('/:id/api-keys', jsonBody(createAccountKeyBody), async (c) => {
    const key = await createApiKey(onAccount(c, c.req.param('id')), c.req.valid('json'));
    return c.json({ object: 'api_key', id: key.id, token: key.token }, 201);
  });

function onAccount(c: Context<AppTypes>, accountId: string): ServiceContext {
  return operatorContext(c.env, accountId, c.get('requestId'));
}

async function changeStatus(c: Context<AppTypes>, accountId: string, status: Account['status']) {
  return c.json(accountBody(await service.changeAccountStatus(onAccount(c, accountId), status)));
}
