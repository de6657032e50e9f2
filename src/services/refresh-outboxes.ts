import { logEvent } from '../log.ts';
import { outboxOf } from '../outbox/client.ts';
import { findAccount } from '../store/accounts.ts';
import { forgetAccount } from './account-state.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Tells every outbox of the account that its relays or status changed. Best effort: the change is already
 * committed, and an outbox that is not reached reads it again by itself within seconds.
 */
export async function refreshOutboxes(context: ServiceContext, shards?: number): Promise<void> {
  const { env, scope } = context;
  forgetAccount(scope.accountId);
  const count = shards ?? (await findAccount(scope))?.shards ?? 0;
  const calls = Array.from({ length: count }, (_, shard) => outboxOf(env, scope.accountId, shard).refresh());
  const results = await Promise.allSettled(calls);
  if (results.some((result) => result.status === 'rejected')) {
    logEvent('outbox_refresh_failed', { request_id: context.requestId, account_id: scope.accountId });
  }
}
