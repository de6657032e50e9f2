/** What a list of emails is filtered by: from words to the terms of the ledger's index. */
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { parseMailbox } from '../mime/address.ts';
import { type DeliveryStatus, keyedTerm, type MessageFilter, recipientKey } from '../outbox/client.ts';

export interface EmailFilter {
  readonly status?: DeliveryStatus | undefined;
  /** One address, without a name. */
  readonly recipient?: string | undefined;
  /** With any value where it has none. All of them must be there. */
  readonly tags?: readonly { readonly name: string; readonly value?: string | undefined }[] | undefined;
  readonly relayId?: string | undefined;
  readonly broadcastId?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** `keys` of the account, the oldest first: terms are hashed under that one, which stays. */
export function messageFilterOf(keys: readonly SealingKey[], filter: EmailFilter): MessageFilter {
  const [key] = keys;
  if (!key) throw new AppError('unavailable');
  const { status, recipient, tags = [], relayId, broadcastId, sinceMs, untilMs } = filter;
  const fixed = [
    ...tags.map(({ name, value }) => keyedTerm(key, 'tag', value === undefined ? name : `${name}=${value}`)),
    ...(broadcastId === undefined ? [] : [keyedTerm(key, 'broadcast', broadcastId)]),
  ];
  return {
    ...(status === undefined ? {} : { status }),
    ...(recipient === undefined ? {} : { recipient: keyedTerm(key, 'recipient', addressOf(recipient)) }),
    ...(fixed.length === 0 ? {} : { fixed }),
    ...(relayId === undefined ? {} : { relayId }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
}

/** The deliveries that a filter is about, of an email that it lets through. */
export function isAbout(
  filter: EmailFilter,
  delivery: { readonly recipient: string; readonly status: DeliveryStatus; readonly relayId?: string },
): boolean {
  const { recipient, status, relayId } = filter;
  return (
    (recipient === undefined || recipientKey(delivery.recipient) === addressOf(recipient)) &&
    (status === undefined || delivery.status === status) &&
    (relayId === undefined || delivery.relayId === relayId)
  );
}

function addressOf(recipient: string): string {
  const parsed = parseMailbox(recipient);
  if (!parsed.ok) throw new AppError('invalid_field', { field: 'recipient', reason: parsed.reason });
  if (parsed.mailbox.name !== undefined) {
    throw new AppError('invalid_field', { field: 'recipient', reason: 'must be an address without a name' });
  }
  return recipientKey(parsed.mailbox.address);
}
