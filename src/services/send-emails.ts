/** Accepting mail: checked, sealed, and on the ledger before it is answered. */
import { keyedHash } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import {
  type AcceptResult,
  acceptedMessage,
  encodeHead,
  fixedTermsOf,
  type LedgerMessage,
  type MessageContent,
  type MessageToAccept,
  outboxOf,
  type Period,
  periodEnd,
  type RateState,
  recipientNamesOf,
  recipientsOf,
  sealMessage,
  shardOf,
} from '../outbox/client.ts';
import {
  type AccountState,
  findSendingAccount,
  findSendingDomain,
  type SendingDomain,
} from './account-state.ts';
import type { EmailDraft } from './email-input.ts';
import { type EmailOverview, overviewOfOpen } from './read-emails.ts';
import { isTestActor, type ServiceContext } from './service-context.ts';
import { submitMessages } from './submit-messages.ts';
import { withLinks } from './topic-mail.ts';
import { StagedContent, type Upload } from './upload.ts';

export interface SendOptions {
  readonly idempotencyKey?: string | undefined;
  /** Set where the API key may send from one domain only. */
  readonly boundDomainId?: string | undefined;
  /** What else makes the request the same one or another: how a batch was checked, and what was left out of it. */
  readonly fingerprintOf?: string | undefined;
  /** In place of the return path of the From domain; already checked. */
  readonly envelopeFrom?: string | undefined;
  /** What a single message is to be called, unless its idempotency key stands for another. */
  readonly id?: string | undefined;
}

export interface SentEmail {
  readonly id: string;
  readonly email: EmailOverview | undefined;
}

export interface Sent {
  /** In the order of the drafts. Of a repeated request, as the mail is by now: undefined past its retention. */
  readonly emails: readonly SentEmail[];
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
  if (actor.kind !== 'api_key' && actor.kind !== 'system') throw new AppError('restricted_api_key');
  const account = await findSendingAccount(env, scope);
  const key = account?.dataKeys.at(-1);
  if (!account || !key) throw new AppError('unavailable');
  const isTest = isTestActor(actor);
  refuseInactive(account, isTest);
  const envelopeSenders = await Promise.all(drafts.map((draft) => envelopeSender(context, draft, options)));
  const summaries = drafts.map(({ summary }, index) => ({
    ...summary,
    envelopeFrom: envelopeSenders[index] ?? '',
  }));

  const { accountId } = scope;
  // The oldest key hashes: it stays when a newer one starts to seal.
  const hashKey = account.dataKeys[0] ?? key;
  const hash = (purpose: string, value: Uint8Array | string) =>
    Buffer.from(keyedHash(hashKey, purpose, value)).toString('base64');
  const marks = marksOf(drafts, options, isTest);
  let acceptedAt = (_atMs: number): readonly LedgerMessage[] => [];
  const isRepeatable = options.idempotencyKey !== undefined;
  // Only a request of one message is read while it is staged.
  const upload = await stagedUpload(drafts);
  const named = upload?.id ?? options.id;
  const result = await submitMessages(env, {
    accountId,
    keyId: actor.kind === 'api_key' ? actor.keyId : actor.kind,
    shards: account.shards,
    quota: account.quota,
    count: drafts.length,
    ...(options.idempotencyKey !== undefined && { keyHash: hash('idempotency', options.idempotencyKey) }),
    ...(named !== undefined && { namedIds: [named] }),
    seal: async (ids) => {
      if (upload) await upload.moveTo(ids[0] ?? '');
      const fingerprints: Uint8Array[] = [];
      const messages: MessageToAccept[] = [];
      for (const [index, draft] of drafts.entries()) {
        const id = ids[index] ?? '';
        const { draft: written, ownHeaders } = withLinks(account.dataKeys, accountId, draft, id);
        const { subject } = written.summary;
        const summary = { ...(summaries[index] ?? { ...draft.summary, envelopeFrom: '' }), subject };
        const { scheduledTime } = draft;
        const { fingerprint, ...sealed } = await sealMessage(
          key,
          { accountId, id },
          { ...contentOf(written, summary), ownHeaders },
          isRepeatable ? hashKey : undefined,
        );
        if (fingerprint) fingerprints.push(fingerprint);
        messages.push({
          id,
          recipientCount: recipientsOf(summary).length,
          terms: fixedTermsOf(hashKey, recipientNamesOf(summary), summary.tags),
          ...(summary.rejected ? { rejections: summary.rejected.map(({ reason }) => reason) } : {}),
          ...(scheduledTime?.atMs === undefined ? {} : { scheduledAtMs: scheduledTime.atMs }),
          ...(isTest ? { isTest } : {}),
          ...sealed,
          ...(upload && upload.stagedPieces > 0 ? { stagedPieces: upload.stagedPieces } : {}),
        });
      }
      acceptedAt = (atMs) => messages.map((message) => acceptedMessage(message, atMs));
      const fingerprint = isRepeatable
        ? hash('fingerprints', Buffer.concat([...fingerprints, ...marks]))
        : '';
      return { messages, fingerprint };
    },
  });
  const { ids, rate, acceptedAtMs } = sentOf(result);
  const isNew = acceptedAtMs !== undefined;
  if (isNew) upload?.handOver();
  const messages = isNew
    ? acceptedAt(acceptedAtMs)
    : await outboxOf(env, accountId, shardOf(ids)).findMessages(ids);
  return {
    rate,
    emails: ids.map((id, index) => {
      const message = messages.find((candidate) => candidate.id === id);
      const summary = summaries[index];
      return {
        id,
        email: message && summary && overviewOfOpen(account.dataKeys, accountId, { message, summary }),
      };
    }),
  };
}

/** The upload that holds a message's content, with just that in it. */
async function stagedUpload(drafts: readonly EmailDraft[]): Promise<Upload | undefined> {
  const staged = drafts.flatMap((draft) =>
    draft.attachments.filter((content) => content instanceof StagedContent),
  );
  const [first] = staged;
  await first?.upload.arrange(staged.map(({ range }) => range));
  return first?.upload;
}

function contentOf(draft: EmailDraft, summary: MessageContent['summary']): MessageContent {
  const { head, attachments, fingerprinted, asGiven } = draft;
  const given = asGiven && { asGiven };
  const held = attachments.filter((content) => content instanceof Uint8Array);
  if (held.length === attachments.length) {
    return { summary, head, attachments: held, ...(fingerprinted && { fingerprinted }), ...given };
  }
  const hashes = attachments.map((content) => (content instanceof StagedContent ? content.sha256 : content));
  const told = fingerprinted ?? [...(asGiven ? [] : [encodeHead(head)]), ...hashes];
  return { summary, head, attachments: [], fingerprinted: told, ...given };
}

/** Nothing for the plain request of before, so that one which spans an upgrade is still the same. */
function marksOf(
  drafts: readonly EmailDraft[],
  { fingerprintOf }: SendOptions,
  isTest: boolean,
): Uint8Array[] {
  const times = drafts.map(({ scheduledTime }) => scheduledTime?.text ?? null);
  const isPlain = !isTest && fingerprintOf === undefined && times.every((time) => time === null);
  return isPlain ? [] : [new TextEncoder().encode(JSON.stringify([fingerprintOf ?? null, isTest, times]))];
}

/** `acceptedAtMs`: where it is new. */
function sentOf(result: AcceptResult): {
  ids: readonly string[];
  rate: RateState;
  acceptedAtMs?: number;
} {
  switch (result.outcome) {
    case 'accepted':
    case 'replayed':
      return result;
    case 'rate_limited':
      throw new RefusedByLedger('rate_limited', result.rate, result.retryAfterSeconds);
    case 'quota_exceeded': {
      const { code, endsInSeconds } = quotaRefusal(result.period);
      throw new RefusedByLedger(code, result.rate, endsInSeconds);
    }
    case 'idempotency_mismatch':
    case 'backlog_full':
      throw new RefusedByLedger(result.outcome, result.rate);
    case 'fenced':
      // Not an answer of `submitMessages`; a new attempt is what it would mean.
      throw new AppError('idempotency_in_progress');
    case 'overloaded':
      throw new RefusedByLedger('overloaded', result.rate, 1);
    case 'staging_lost':
      throw new RefusedByLedger('unavailable', result.rate);
  }
}

function quotaRefusal(period: Period) {
  const nowMs = Date.now();
  const code = period === 'day' ? ('daily_quota_exceeded' as const) : ('monthly_quota_exceeded' as const);
  return { code, endsInSeconds: Math.ceil((periodEnd(period, nowMs) - nowMs) / 1000) };
}

export function refuseInactive(account: AccountState, isTest: boolean): void {
  if (account.status === 'suspended') throw new AppError('account_suspended');
  if (account.status === 'closed') throw new AppError('account_closed');
  if (account.isUnconfirmed && !isTest) throw new AppError('account_unconfirmed');
  if (!account.hasRelay && !isTest) throw new AppError('no_relay');
}

/**
 * The return path of the From domain, else the bare From. Throws where the domain is not the account's: only mail
 * that goes to nobody may carry any name.
 */
export async function envelopeSender(
  context: ServiceContext,
  draft: EmailDraft,
  options: Pick<SendOptions, 'boundDomainId' | 'envelopeFrom'>,
): Promise<string> {
  const { from } = draft.summary;
  const domain = await findAllowedDomain(context, from.domain, options);
  return options.envelopeFrom ?? domain?.returnPath ?? from.address;
}

/** Throws where the account, or this key of it, may not send from the domain. Only a test key may from any other. */
export async function findAllowedDomain(
  context: ServiceContext,
  name: string,
  { boundDomainId }: Pick<SendOptions, 'boundDomainId'>,
): Promise<SendingDomain | undefined> {
  const domain = await findSendingDomain(context.scope, name);
  const isBoundElsewhere = boundDomainId !== undefined && boundDomainId !== domain?.id;
  const isAllowed = domain?.status === 'verified' || isTestActor(context.actor);
  if (!isAllowed || isBoundElsewhere) throw new AppError('domain_not_verified');
  return domain;
}
