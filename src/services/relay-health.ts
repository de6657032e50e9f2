/** How a relay is doing: what each outbox of the account knows of it, put together. */
import { outboxOf, type RelayUse } from '../outbox/client.ts';
import { getAccount } from './accounts.ts';
import { getRelay } from './relays.ts';
import type { ServiceContext } from './service-context.ts';

const FROM_BEST_TO_WORST: readonly RelayUse['breaker'][] = ['closed', 'half_open', 'open'];

/** Throws not-found where the relay is not the account's. */
export async function readRelayHealth(context: ServiceContext, id: string): Promise<RelayUse> {
  const { env, scope } = context;
  const relay = await getRelay(context, id);
  const { shards } = await getAccount(context);
  const uses = await Promise.all(
    Array.from({ length: shards }, (_, shard) =>
      outboxOf(env, scope.accountId, shard).findRelayUse(relay.id),
    ),
  );
  return mergeRelayUses(uses);
}

/** The worst breaker and the latest of its times, the last fault, and sums. */
export function mergeRelayUses(uses: readonly RelayUse[]): RelayUse {
  let merged: RelayUse = { openSessions: 0, breaker: 'closed', deliveredLastMinute: 0 };
  for (const use of uses) merged = mergeTwo(merged, use);
  return merged;
}

function mergeTwo(one: RelayUse, other: RelayUse): RelayUse {
  const order = FROM_BEST_TO_WORST.indexOf(one.breaker) - FROM_BEST_TO_WORST.indexOf(other.breaker);
  const worse = order >= 0 ? one : other;
  const reopensAtMs = order === 0 ? latest(one.reopensAtMs, other.reopensAtMs) : worse.reopensAtMs;
  const otherIsLater = (other.lastFault?.atMs ?? -1) > (one.lastFault?.atMs ?? -1);
  const lastFault = otherIsLater ? other.lastFault : one.lastFault;
  return {
    openSessions: one.openSessions + other.openSessions,
    breaker: worse.breaker,
    deliveredLastMinute: one.deliveredLastMinute + other.deliveredLastMinute,
    ...(reopensAtMs !== undefined && { reopensAtMs }),
    ...(lastFault !== undefined && { lastFault }),
  };
}

function latest(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.max(one, other);
}
