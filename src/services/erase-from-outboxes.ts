/** Erases a contact from the mail and the events of its account, which lie in the account's Outboxes. */
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { logError } from '../log.ts';
import { erasureDeskOf, keyedTerm, recipientKey } from '../outbox/client.ts';
import { findAccount } from '../store/accounts.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Before the contact is deleted: from here on it is erased also where nobody asks again, unless it stays. Throws where
 * an Outbox cannot note it. What is returned is to be called once the contact is gone.
 */
export async function planErasure(
  { env, scope, requestId }: ServiceContext,
  [key]: readonly SealingKey[],
  { id, email }: { readonly id: string; readonly email: string },
): Promise<() => Promise<void>> {
  const { accountId } = scope;
  // Not from the cache: mail may lie in a shard that was made just now.
  const shards = (await findAccount(scope))?.shards;
  if (!key || shards === undefined) throw new AppError('unavailable');
  const erasure = { contactId: id, recipient: keyedTerm(key, 'recipient', recipientKey(email)) };
  const desks = Array.from({ length: shards }, (_, shard) => erasureDeskOf(env, accountId, shard));
  try {
    await Promise.all(desks.map((desk) => desk.plan(erasure)));
  } catch (error) {
    logError('erasure_not_planned', error, { request_id: requestId, account_id: accountId });
    throw new AppError('unavailable');
  }
  return async () => {
    const results = await Promise.allSettled(desks.map((desk) => desk.carryOut(erasure)));
    // It goes on by itself there.
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      logError('erasure_interrupted', result.reason, { request_id: requestId, account_id: accountId });
    }
  };
}
