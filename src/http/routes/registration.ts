/** Opening an account without a key, where the settings allow it. */
import { Hono } from 'hono';
import * as z from 'zod';
import { register, resendConfirmation } from '../../services/register.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { clientIpOf } from '../client-ip.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime } from '../pagination.ts';
import { publicOriginOf } from '../public-origin.ts';
import { accountFields, accountSummary } from './account-fields.ts';

export const registrationBody = z.strictObject({
  name: accountFields.name,
  email: accountFields.email,
  company: accountFields.company.optional(),
  company_size: accountFields.companySize.optional(),
  postal_address: accountFields.postalAddress.optional(),
  /** Asked for where registration is by invite. */
  invite: z.string().max(100).optional(),
});

export const registrationRoutes = new Hono<AppTypes>().post('/', jsonBody(registrationBody), async (c) => {
  const {
    name,
    email,
    company = null,
    company_size = null,
    postal_address = null,
    invite,
  } = c.req.valid('json');
  const request = {
    env: c.env,
    requestId: c.get('requestId'),
    clientIp: clientIpOf(c),
    origin: publicOriginOf(c),
  };
  const profile = { name, email, company, companySize: company_size, postalAddress: postal_address };
  const { account, apiKey } = await register(request, { profile, invite });
  return c.json(
    {
      ...accountSummary(account),
      created_at: isoTime(account.createdAt),
      api_key: apiKey,
    },
    201,
  );
});

/** For the account of the key. */
export const confirmationRoutes = new Hono<AppTypes>().post('/', async (c) => {
  const context = serviceContextOf(c);
  await resendConfirmation(context, publicOriginOf(c));
  return c.json({ object: 'account', id: context.scope.accountId, confirmed: false });
});
