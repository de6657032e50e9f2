/**
 * Who gets a message. A recipient that cannot be mailed does not keep it from the others: it is reported as a
 * delivery that failed. Where nobody of `to` is left, or the request is strict, the message is refused instead.
 */
import { AppError } from '../errors.ts';
import { parseMailbox } from '../mime/address.ts';
import { isTestAddress } from '../mime/test-address.ts';
import type { Mailbox } from '../mime/types.ts';
import type { RejectedRecipient, Rejection } from '../outbox/client.ts';

type Addresses = string | readonly string[] | undefined;

export interface RecipientRules {
  /** Any recipient that cannot be mailed refuses the message. */
  readonly strict: boolean;
  /** Only a test key may write to the simulator's addresses. */
  readonly isTest: boolean;
}

export interface Recipients {
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly rejected: readonly RejectedRecipient[];
}

interface Refusal {
  readonly reason: Rejection;
  /** For people. */
  readonly why: string;
}

const MAX_ADDRESSES = 50;
const TEST_ADDRESS: Refusal = {
  reason: 'test_address',
  why: 'the address is one of the simulator, which only a test key may write to',
};

export function readRecipients(
  input: { readonly to: Addresses; readonly cc?: Addresses; readonly bcc?: Addresses },
  prefix: string,
  rules: RecipientRules,
): Recipients {
  const rejected: RejectedRecipient[] = [];
  const read = (name: 'to' | 'cc' | 'bcc') => {
    const field = prefix + name;
    const kept: Mailbox[] = [];
    let first: AppError | undefined;
    for (const { text, place } of listOf(input[name], field)) {
      const parsed = parseMailbox(text);
      const refusal = parsed.ok ? refusalOf(parsed.mailbox, rules) : invalid(parsed.reason);
      if (parsed.ok && !refusal) {
        kept.push(parsed.mailbox);
        continue;
      }
      const { reason, why } = refusal ?? invalid('');
      first ??= new AppError('invalid_field', { field: place, reason: why });
      const address = parsed.ok ? parsed.mailbox.address : text;
      if (!rejected.some((known) => known.address === address)) rejected.push({ address, reason });
    }
    if (first && (rules.strict || (name === 'to' && kept.length === 0))) throw first;
    return kept;
  };
  const to = read('to');
  if (to.length === 0) throw new AppError('missing_field', { field: `${prefix}to` });
  return { to, cc: read('cc'), bcc: read('bcc'), rejected };
}

/** The recipients of a message whose addresses are parsed already. */
export function withoutTestAddresses(
  named: Omit<Recipients, 'rejected'>,
  rules: Pick<RecipientRules, 'isTest'>,
): Recipients {
  const refused = [...named.to, ...named.cc, ...named.bcc].filter((mailbox) => refusalOf(mailbox, rules));
  const addresses = new Set(refused.map((mailbox) => mailbox.address));
  const kept = (list: readonly Mailbox[]) => list.filter((mailbox) => !addresses.has(mailbox.address));
  return {
    to: kept(named.to),
    cc: kept(named.cc),
    bcc: kept(named.bcc),
    rejected: [...addresses].map((address) => ({ address, reason: TEST_ADDRESS.reason })),
  };
}

/** Every address must be right: `reply_to` is no recipient that could be left out. */
export function readMailboxes(value: Addresses, field: string): Mailbox[] {
  return listOf(value, field).map(({ text, place }) => {
    const parsed = parseMailbox(text);
    if (!parsed.ok) throw new AppError('invalid_field', { field: place, reason: parsed.reason });
    return parsed.mailbox;
  });
}

function listOf(value: Addresses, field: string): { text: string; place: string }[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return [{ text: value, place: field }];
  if (value.length > MAX_ADDRESSES) {
    throw new AppError('invalid_field', { field, reason: `at most ${MAX_ADDRESSES} addresses` });
  }
  return value.map((text, index) => ({ text, place: `${field}[${index}]` }));
}

function invalid(why: string): Refusal {
  return { reason: 'invalid_address', why };
}

function refusalOf(mailbox: Mailbox, { isTest }: Pick<RecipientRules, 'isTest'>): Refusal | undefined {
  return !isTest && isTestAddress(mailbox) ? TEST_ADDRESS : undefined;
}
