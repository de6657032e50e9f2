/** Tells the log of an account what happened to it outside of any message. */
import { newId } from '../ids.ts';
import { logError } from '../log.ts';
import { outboxOf, sealEventData } from '../outbox/client.ts';
import { findAccountState } from './account-state.ts';
import type { ServiceContext } from './service-context.ts';

export interface AccountEvent {
  readonly type: string;
  /** The id of the person's row. It is in the clear, so that what tells of an erased person can be found in the log. */
  readonly about?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** After the change was committed, and best effort: the change stands also where its event is not logged. */
export async function recordAccountEvents(
  { env, scope, requestId }: ServiceContext,
  events: readonly AccountEvent[],
): Promise<void> {
  if (events.length === 0) return;
  const { accountId } = scope;
  const nowMs = Date.now();
  try {
    const keys = (await findAccountState(env, scope))?.dataKeys ?? [];
    const entries = events.map(({ type, about, data }) => {
      const nonce = [...(about === undefined ? [] : [about]), newId('event', nowMs)].join('/');
      return { t: type, a: nowMs, k: nonce, d: sealEventData(keys, { accountId, nonce }, data) };
    });
    await outboxOf(env, accountId).recordAccountEvents(accountId, entries);
  } catch (error) {
    logError('event_not_logged', error, { request_id: requestId, account_id: accountId });
  }
}
