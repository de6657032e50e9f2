/**
 * A broadcast that is created, and sent at once where that is asked for. The same request with the same
 * Idempotency-Key makes no second one: written to a whole list twice is what must never happen.
 */
import { keyedHash, oldestKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { hexOf } from '../store/blobs.ts';
import { type BroadcastRecord, type BroadcastRequest, findRequested } from '../store/broadcasts.ts';
import { getDataKeys } from './account-state.ts';
import { type BroadcastDraftInput, createBroadcast, findRun, statusOf } from './broadcasts.ts';
import { type BroadcastSending, checkSendable, sendBroadcast, timeOf } from './send-broadcast.ts';
import type { ServiceContext } from './service-context.ts';

export interface CreateBroadcastOptions extends BroadcastSending {
  /** What the request calls the id of the list. */
  readonly fieldOfList: string;
  readonly send: boolean;
  readonly idempotencyKey?: string | undefined;
}

const HASH_BYTES = 16;

/** With `send`, what cannot be sent is not created. */
export async function createBroadcastOnce(
  context: ServiceContext,
  input: BroadcastDraftInput,
  options: CreateBroadcastOptions,
): Promise<string> {
  const { fieldOfList, send } = options;
  const request = await requestOf(context, input, options);
  const earlier = request && (await findRequested(context.scope, request.hash));
  if (earlier) {
    const isSame = earlier.fingerprint && hexOf(earlier.fingerprint) === hexOf(request.fingerprint);
    if (!isSame) throw new AppError('idempotency_mismatch');
    if (send) await sendUnsent(context, earlier, options);
    return earlier.id;
  }
  if (!send) return createBroadcast(context, input, { fieldOfList, request });
  timeOf(options);
  const check = (draft: Parameters<typeof checkSendable>[1]) => checkSendable(context, draft, options);
  const id = await createBroadcast(context, input, { fieldOfList, request, check });
  await sendBroadcast(context, id, options);
  return id;
}

/** Where it did not get as far as that. A draft that was changed since, or taken back, is not what was asked for. */
async function sendUnsent(
  context: ServiceContext,
  record: BroadcastRecord,
  options: BroadcastSending,
): Promise<void> {
  if (record.handedOverAt === null && record.updatedAt !== record.createdAt) return;
  const status = statusOf(record, await findRun(context, record));
  if (status === 'draft') await sendBroadcast(context, record.id, options);
}

async function requestOf(
  context: ServiceContext,
  input: BroadcastDraftInput,
  { idempotencyKey, send, scheduledAt }: CreateBroadcastOptions,
): Promise<BroadcastRequest | undefined> {
  if (idempotencyKey === undefined) return undefined;
  const key = oldestKey(await getDataKeys(context));
  const hash = (purpose: string, text: string) => keyedHash(key, purpose, text).slice(0, HASH_BYTES);
  return {
    hash: hash('broadcast requests', idempotencyKey),
    fingerprint: hash('broadcast fingerprints', JSON.stringify([input, send, scheduledAt ?? null])),
  };
}
