/** The account of the key that asks. */
import { Hono } from 'hono';
import * as z from 'zod';
import { MIN_METADATA_DAYS } from '../../outbox/client.ts';
import * as service from '../../services/account.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime } from '../pagination.ts';
import { accountFields, accountSummary } from './account-fields.ts';

/** What more means is refused by what the deployment keeps. */
const MAX_DAYS = 100_000;

export const updateAccountBody = z
  .strictObject({
    name: accountFields.name,
    email: accountFields.email,
    company: accountFields.company.nullable(),
    company_size: accountFields.companySize.nullable(),
    postal_address: accountFields.postalAddress.nullable(),
    in_doubt_policy: z.enum(['retry', 'hold']),
    retention: z
      .strictObject({
        body_days: z.int().min(0).max(MAX_DAYS).nullable(),
        metadata_days: z.int().min(MIN_METADATA_DAYS).max(MAX_DAYS).nullable(),
      })
      .partial(),
  })
  .partial();

function quotaBody({ limit, used, resetsAt }: service.OwnAccount['quotas']['day']) {
  return { limit, used, resets_at: isoTime(resetsAt) };
}

function ownAccountBody({ account, statistics, quotas }: service.OwnAccount) {
  return {
    ...accountSummary(account),
    in_doubt_policy: account.inDoubtPolicy,
    retention: {
      body_days: account.retention.bodyDays,
      metadata_days: account.retention.metadataDays,
    },
    created_at: isoTime(account.createdAt),
    statistics: {
      backlog: statistics.backlog,
      possible_duplicates: statistics.possibleDuplicates,
    },
    quotas: { daily: quotaBody(quotas.day), monthly: quotaBody(quotas.month) },
  };
}

export const accountRoutes = new Hono<AppTypes>()
  .get('/', async (c) => c.json(ownAccountBody(await service.getOwnAccount(serviceContextOf(c)))))
  .patch('/', jsonBody(updateAccountBody), async (c) => {
    const body = c.req.valid('json');
    const { name, email, company, company_size: companySize, postal_address: postalAddress } = body;
    const changed = await service.changeOwnAccount(serviceContextOf(c), {
      profile: { name, email, company, companySize, postalAddress },
      inDoubtPolicy: body.in_doubt_policy,
      retention: body.retention && {
        bodyDays: body.retention.body_days,
        metadataDays: body.retention.metadata_days,
      },
    });
    return c.json(ownAccountBody(changed));
  });
