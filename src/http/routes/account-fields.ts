/** What an account may tell of whom it belongs to; nothing else is asked. */
import * as z from 'zod';
import { parseMailbox } from '../../mime/address.ts';
import { type AccountRecord, COMPANY_SIZES } from '../../services/account-profile.ts';

const line = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => [...text].every((character) => character >= ' ' && character !== '\x7f'), {
      message: 'must not contain control characters',
    });

/** A bare address, by the same rules as a recipient's. */
const email = z
  .string()
  .max(254)
  .transform((text, context) => {
    const parsed = parseMailbox(text);
    if (parsed.ok && parsed.mailbox.name === undefined) return parsed.mailbox.address;
    context.addIssue({ code: 'custom', message: parsed.ok ? 'must be a bare address' : parsed.reason });
    return z.NEVER;
  });

export const accountFields = {
  name: line(200),
  email,
  company: line(200),
  companySize: z.enum(COMPANY_SIZES),
  /** Several lines. */
  postalAddress: z.string().min(1).max(1000),
};

type AccountSummary = Pick<
  AccountRecord,
  'id' | 'name' | 'email' | 'isConfirmed' | 'company' | 'companySize' | 'postalAddress' | 'status'
>;

/** How every answer about an account begins. */
export function accountSummary(account: AccountSummary) {
  return {
    object: 'account',
    id: account.id,
    name: account.name,
    email: account.email,
    confirmed: account.isConfirmed,
    company: account.company,
    company_size: account.companySize,
    postal_address: account.postalAddress,
    status: account.status,
  };
}
