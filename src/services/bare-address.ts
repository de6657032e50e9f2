import { AppError } from '../errors.ts';
import { parseMailbox } from '../mime/address.ts';

/** Canonical. */
export interface BareAddress {
  readonly address: string;
  readonly domain: string;
}

/** An address without a name before it; throws an error that names the field. */
export function bareAddressOf(text: string, field: string): BareAddress {
  const parsed = parseMailbox(text);
  if (!parsed.ok) throw new AppError('invalid_field', { field, reason: parsed.reason });
  const { name, address, domain } = parsed.mailbox;
  if (name === undefined) return { address, domain };
  throw new AppError('invalid_field', { field, reason: 'must be an address without a display name' });
}
