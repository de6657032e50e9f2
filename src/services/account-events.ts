/** Tells the log of an account what happened to it outside of any message. */
import { newId } from '../ids.ts';
import { logError } from '../log.ts';
import { outboxOf, sealEventData } from '../outbox/client.ts';
import { findAccountState } from './account-state.ts';
import type { ServiceContext } from './service-context.ts';

/** After the change was committed, and best effort: the change stands also where its event is not logged. */
export async function recordAccountEvent(
  { env, scope, requestId }: ServiceContext,
  type: string,
  data: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { accountId } = scope;
  const nowMs = Date.now();
  try {
    const keys = (await findAccountState(env, scope))?.dataKeys ?? [];
    const nonce = newId('event', nowMs);
    const sealed = sealEventData(keys, { accountId, nonce }, data);
    await outboxOf(env, accountId).recordAccountEvent(accountId, { t: type, a: nowMs, k: nonce, d: sealed });
  } catch (error) {
    logError('event_not_logged', error, { request_id: requestId, account_id: accountId });
  }
}
