/** What the operator of the deployment may do: open accounts, stop them, vouch for domains, replace lost keys. */
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { MAX_SHARDS, newId } from '../../ids.ts';
import * as service from '../../services/accounts.ts';
import { createApiKey } from '../../services/api-keys.ts';
import { putVerifiedDomain } from '../../services/domains.ts';
import { UNLIMITED } from '../../services/quota.ts';
import { operatorContext, type ServiceContext } from '../../services/service-context.ts';
import type { AppTypes } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';
import { accountSummary } from './account-fields.ts';
import { domainBody } from './domains.ts';

export const createAccountBody = z.strictObject({
  name: z.string().min(1).max(200),
  email: z.email().max(254).optional(),
});
/** Recipients in a UTC day or month; null: as the settings of the deployment say. */
export const quota = z.union([z.int().min(0).max(1_000_000_000_000), z.literal('unlimited'), z.null()]);
export const changeAccountBody = z
  .strictObject({
    shards: z.int().min(1).max(MAX_SHARDS),
    daily_quota: quota,
    monthly_quota: quota,
    /** The operator's word for the address, where the mail does not arrive. */
    confirmed: z.literal(true),
  })
  .partial()
  .refine((body) => Object.keys(body).length > 0, { message: 'names nothing to change' });
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
    ...accountSummary(account),
    shards: account.shards,
    daily_quota: quotaBody(account.dailyQuota),
    monthly_quota: quotaBody(account.monthlyQuota),
    created_at: isoTime(account.createdAt),
  };
}

function quotaBody(stored: number | null) {
  return stored === UNLIMITED ? 'unlimited' : stored;
}

function quotaOf(wanted: number | 'unlimited' | null | undefined): number | null | undefined {
  return wanted === 'unlimited' ? UNLIMITED : wanted;
}

export const adminAccountRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createAccountBody), async (c) => {
    const { name, email = null } = c.req.valid('json');
    const context = onAccount(c, newId('account'));
    const { account, apiKey } = await service.createAccount(context, { name, email });
    return c.json({ ...accountBody(account), api_key: apiKey }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listAccounts(c.env, c.req.valid('query'));
    return c.json(listBody(page, accountBody));
  })
  .get('/:id', async (c) => c.json(accountBody(await service.getAccount(onAccount(c, c.req.param('id'))))))
  .patch('/:id', jsonBody(changeAccountBody), async (c) => {
    const context = onAccount(c, c.req.param('id'));
    const { shards, daily_quota, monthly_quota, confirmed } = c.req.valid('json');
    const changed = await service.changeAccount(context, {
      shards,
      dailyQuota: quotaOf(daily_quota),
      monthlyQuota: quotaOf(monthly_quota),
      isConfirmed: confirmed,
    });
    return c.json(accountBody(changed));
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
