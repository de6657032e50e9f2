/** Opening an account without a key, where the settings allow it. */
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { settingsOf } from '../../env.ts';
import { register, resendConfirmation } from '../../services/register.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { clientIpOf } from '../client-ip.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime } from '../pagination.ts';
import { accountFields } from './account-fields.ts';

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
    origin: publicOrigin(c),
  };
  const profile = { name, email, company, companySize: company_size, postalAddress: postal_address };
  const { account, apiKey } = await register(request, { profile, invite });
  return c.json(
    {
      object: 'account',
      id: account.id,
      name: account.name,
      email: account.email,
      confirmed: account.isConfirmed,
      company: account.company,
      company_size: account.companySize,
      postal_address: account.postalAddress,
      status: account.status,
      created_at: isoTime(account.createdAt),
      api_key: apiKey,
    },
    201,
  );
});

/** For the account of the key. */
export const confirmationRoutes = new Hono<AppTypes>().post('/', async (c) => {
  const context = serviceContextOf(c);
  await resendConfirmation(context, publicOrigin(c));
  return c.json({ object: 'account', id: context.scope.accountId, confirmed: false });
});

/** The platform hands over only requests for host names that were given to this Worker. */
function publicOrigin(c: Context<AppTypes>): string {
  return settingsOf(c.env).PUBLIC_URL ?? new URL(c.req.url).origin;
}
