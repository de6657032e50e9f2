/** Accepting mail: checked, sealed, and on the ledger before it is answered. */
import { keyedHash } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import {
  type AcceptResult,
  fixedTermsOf,
  type RateState,
  recipientsOf,
  sealMessage,
} from '../outbox/client.ts';
import { type AccountState, findAccountState, findSendingDomain } from './account-state.ts';
import type { EmailDraft } from './email-input.ts';
import type { ServiceContext } from './service-context.ts';
import { submitMessages } from './submit-messages.ts';

export interface SendOptions {
  readonly idempotencyKey?: string | undefined;
  /** Set where the API key may send from one domain only. */
  readonly boundDomainId?: string | undefined;
}

export interface Sent {
  readonly ids: readonly string[];
  readonly rate: RateState;
}

/** A refusal that knows the state of the key's send limit. */
export class RefusedByLedger extends AppError {
  readonly rate: RateState;

  constructor(code: AppError['code'], rate: RateState, retryAfterSeconds?: number) {
    super(code, {}, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
    this.rate = rate;
  }
}

/** All or none. Throws `AppError`; a request that is refused does not occupy its idempotency key. */
export async function sendEmails(
  context: ServiceContext,
  drafts: readonly EmailDraft[],
  options: SendOptions,
): Promise<Sent> {
  const { env, scope, actor } = context;
  if (actor.kind !== 'api_key') throw new AppError('restricted_api_key');
  const account = await findAccountState(env, scope);
  const key = account?.dataKeys.at(-1);
  if (!account || !key) throw new AppError('unavailable');
  refuseInactive(account);
  const envelopeSenders = await Promise.all(drafts.map((draft) => envelopeSender(context, draft, options)));

  const { accountId } = scope;
  // The oldest key hashes: it stays when a newer one starts to seal.
  const hashKey = account.dataKeys[0] ?? key;
  const hash = (purpose: string, value: Uint8Array | string) =>
    Buffer.from(keyedHash(hashKey, purpose, value)).toString('base64');
  const isRepeatable = options.idempotencyKey !== undefined;
  const result = await submitMessages(env, {
    accountId,
    keyId: actor.keyId,
    shards: account.shards,
    count: drafts.length,
    ...(options.idempotencyKey !== undefined && { keyHash: hash('idempotency', options.idempotencyKey) }),
    seal: (ids) => {
      const fingerprints: Uint8Array[] = [];
      const messages = drafts.map((draft, index) => {
        const id = ids[index] ?? '';
        const summary = { ...draft.summary, envelopeFrom: envelopeSenders[index] ?? '' };
        const { fingerprint, ...sealed } = sealMessage(
          key,
          { accountId, id },
          { ...draft, summary },
          isRepeatable ? hashKey : undefined,
        );
        if (fingerprint) fingerprints.push(fingerprint);
        const recipients = recipientsOf(summary);
        const terms = fixedTermsOf(hashKey, recipients, summary.tags);
        return { id, recipientCount: recipients.length, terms, ...sealed };
      });
      return { messages, fingerprint: hash('fingerprints', Buffer.concat(fingerprints)) };
    },
  });
  return sentOf(result);
}

function sentOf(result: AcceptResult): Sent {
  switch (result.outcome) {
    case 'accepted':
    case 'replayed':
      return { ids: result.ids, rate: result.rate };
    case 'rate_limited':
      throw new RefusedByLedger('rate_limited', result.rate, result.retryAfterSeconds);
    case 'idempotency_mismatch':
    case 'backlog_full':
      throw new RefusedByLedger(result.outcome, result.rate);
    case 'fenced':
      // Not an answer of `submitMessages`; a new attempt is what it would mean.
      throw new AppError('idempotency_in_progress');
    case 'overloaded':
      throw new RefusedByLedger('overloaded', result.rate, 1);
  }
}

function refuseInactive(account: AccountState): void {
  if (account.status === 'suspended') throw new AppError('account_suspended');
  if (account.status === 'closed') throw new AppError('account_closed');
  if (!account.hasRelay) throw new AppError('no_relay');
}

/** The return path of the From domain, else the bare From. Throws where the domain is not the account's. */
async function envelopeSender(
  context: ServiceContext,
  draft: EmailDraft,
  options: SendOptions,
): Promise<string> {
  const { from } = draft.summary;
  const domain = await findSendingDomain(context.scope, from.domain);
  const isBoundElsewhere = options.boundDomainId !== undefined && options.boundDomainId !== domain?.id;
  if (domain?.status !== 'verified' || isBoundElsewhere) throw new AppError('domain_not_verified');
  return domain.returnPath ?? from.address;
}
