/**
 * A request's way onto the ledger when an account has several shards. Rules, from docs/decisions/0006-shards.md:
 * - a request goes to one shard as a whole; its ids carry that shard and are fixed before they are accepted;
 * - shard 0 holds the idempotency keys. For messages of its own, claim and messages are one transaction;
 *   for another shard the claim comes first, and whoever repeats the request accepts under the claimed ids;
 * - a claim is released only after its shard promised never to accept its ids.
 */
import { releaseBytes } from '../crypto/release-bytes.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { newMessageIds, parseMessageId } from '../ids.ts';
import {
  type AcceptRequest,
  type AcceptResult,
  CLAIM_SHARD,
  chooseShard,
  type MessageToAccept,
  outboxOf,
  type Quota,
  shardOf,
} from '../outbox/client.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Each further one means that another request with the same key got in between. */
const MAX_ATTEMPTS = 4;

interface Sealed {
  readonly messages: MessageToAccept[];
  readonly fingerprint: string;
}

export interface Submission {
  readonly accountId: string;
  readonly keyId: string;
  readonly shards: number;
  readonly quota?: Quota | undefined;
  /** How many messages the request makes. */
  readonly count: number;
  readonly keyHash?: string;
  /** The messages under these ids, and the fingerprint of the request, which does not depend on them: empty without a key. */
  readonly seal: (ids: readonly string[]) => Sealed | Promise<Sealed>;
  /** The ids to begin with: content may be staged under them already. */
  readonly namedIds?: readonly string[];
}

/** Never answers `fenced`. A `replayed` one is on the ledger, or was and is past its retention. */
export async function submitMessages(env: Env, submission: Submission): Promise<AcceptResult> {
  const { keyHash, shards } = submission;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const ids = submission.namedIds ?? newMessageIds(submission.count, chooseShard(shards, Math.random()));
    const shard = shardOf(ids) ?? CLAIM_SHARD;
    const { messages, fingerprint } = await submission.seal(ids);
    const request = { ...partOf(submission), messages };
    if (keyHash === undefined) return acceptIn(env, shard, request);
    const claim = { keyHash, fingerprint };
    const result =
      shard === CLAIM_SHARD
        ? await settle(env, submission, await acceptIn(env, shard, { ...request, claim }), keyHash)
        : await claimFirst(env, submission, { ...request, claim }, shard);
    if (result.outcome !== 'fenced') return result;
  }
  throw new AppError('idempotency_in_progress');
}

/** `fenced` where the key was freed, and is to be claimed anew. */
async function claimFirst(
  env: Env,
  submission: Submission,
  request: AcceptRequest & { readonly claim: NonNullable<AcceptRequest['claim']> },
  shard: number,
): Promise<AcceptResult> {
  const { claim, ...unclaimed } = request;
  const ids = request.messages.map((message) => message.id);
  const claimed = await outboxOf(env, submission.accountId, CLAIM_SHARD).claim({
    ...partOf(submission),
    claim,
    ids,
  });
  const { rate } = claimed;
  if (claimed.kind === 'new') {
    const result = await acceptIn(env, shard, { ...unclaimed, isClaimed: true });
    return releaseIfFenced(env, submission, result, claim.keyHash, ids);
  }
  const outcome = claimed.kind === 'same' ? 'replayed' : 'idempotency_mismatch';
  return settle(env, submission, { outcome, ids: claimed.ids, rate }, claim.keyHash);
}

/** What an existing claim means: that depends on whether its messages are on the ledger of their shard. */
async function settle(
  env: Env,
  submission: Submission,
  result: AcceptResult,
  keyHash: string,
): Promise<AcceptResult> {
  if (result.outcome !== 'replayed' && result.outcome !== 'idempotency_mismatch') return result;
  const { ids } = result;
  const shard = shardOf(ids) ?? CLAIM_SHARD;
  if (shard === CLAIM_SHARD || isPastRetention(env, ids)) return result;
  if (result.outcome === 'replayed') {
    // Accepted under the claimed ids: once more if they never were, and nothing new if they were.
    const { messages } = await submission.seal(ids);
    const accepted = await acceptIn(env, shard, { ...partOf(submission), messages, isClaimed: true });
    return releaseIfFenced(env, submission, accepted, keyHash, ids);
  }
  const state = await outboxOf(env, submission.accountId, shard).fenceClaimed(submission.accountId, ids);
  const fenced = state === 'fenced' ? { outcome: state, rate: result.rate } : result;
  return releaseIfFenced(env, submission, fenced, keyHash, ids);
}

async function releaseIfFenced(
  env: Env,
  { accountId }: Submission,
  result: AcceptResult,
  keyHash: string,
  ids: readonly string[],
): Promise<AcceptResult> {
  if (result.outcome === 'fenced') await outboxOf(env, accountId, CLAIM_SHARD).releaseClaim(keyHash, ids);
  return result;
}

/** Then the ledger cannot tell whether they ever were there, and the claim is all that is known. */
function isPastRetention(env: Env, ids: readonly string[]): boolean {
  const { BODY_RETENTION_DAYS, METADATA_RETENTION_DAYS } = settingsOf(env);
  const keptMs = Math.max(BODY_RETENTION_DAYS, METADATA_RETENTION_DAYS) * DAY_MS;
  return Date.now() - (parseMessageId(ids[0] ?? '')?.createdAtMs ?? 0) >= keptMs;
}

function acceptIn(env: Env, shard: number, request: AcceptRequest): Promise<AcceptResult> {
  const accepting = outboxOf(env, request.accountId, shard).accept(request);
  // The call has its own copy by now, and nobody accepts these again: a repetition is sealed anew.
  for (const message of request.messages) message.attachments.forEach(releaseBytes);
  return accepting;
}

function partOf({ accountId, keyId, shards, quota }: Submission) {
  return { accountId, keyId, shards, ...(quota && { quota }) };
}
