/**
 * The hourly sweep: wakes every object of the registry, so that one whose alarm was lost finds its work
 * again. A run takes a bounded number, longest unswept first, and marks them as it goes: the next run goes on
 * where this one ended, also where it was cut short. An object that does not answer keeps up no other.
 */
import type { Env } from '../env.ts';
import { logError, logEvent } from '../log.ts';
import { outboxOf } from '../outbox/client.ts';
import { dropEventCounts } from '../store/system/count-events.ts';
import {
  listOutboxesToSweep,
  markOutboxesSwept,
  type RegisteredOutbox,
} from '../store/system/list-outboxes.ts';
import { sweepUnconfirmed } from './sweep-unconfirmed.ts';

/** Far below what one invocation may call. */
const PER_RUN = 2000;
const AT_ONCE = 20;
const DAY_MS = 24 * 60 * 60 * 1000;

export async function sweepOutboxes(env: Env, options: { readonly perRun?: number } = {}): Promise<void> {
  const startedAtMs = Date.now();
  // Limits count over a day at most.
  await dropEventCounts(env.DB, startedAtMs - 2 * DAY_MS).catch((error) => logError('sweep_failed', error));
  await sweepUnconfirmed(env).catch((error) => logError('sweep_failed', error));
  let failed = 0;
  try {
    const outboxes = await listOutboxesToSweep(env.DB, options.perRun ?? PER_RUN);
    for (let at = 0; at < outboxes.length; at += AT_ONCE) {
      const group = outboxes.slice(at, at + AT_ONCE);
      const woken = await Promise.allSettled(group.map((outbox) => wake(env, outbox)));
      failed += woken.filter((result) => result.status === 'rejected').length;
      await markOutboxesSwept(env.DB, group, startedAtMs);
    }
  } catch (error) {
    logError('sweep_failed', error);
  }
  if (failed > 0) logEvent('sweep_incomplete', { ms: Date.now() - startedAtMs });
}

async function wake(env: Env, { accountId, shard }: RegisteredOutbox): Promise<void> {
  try {
    await outboxOf(env, accountId, shard).wake();
  } catch (error) {
    logError('outbox_not_woken', error, { account_id: accountId });
    throw error;
  }
}
