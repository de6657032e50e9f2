/**
 * The parts of an Outbox's surface that are objects of their own there. Each call asks for one and gives it back: a
 * stub that is left to the garbage collector keeps its object as long, and workerd may crash when it collects one
 * while it has an inspector, which `wrangler dev` gives it.
 */
import type { Env } from '../env.ts';
import type { BroadcastApi } from './broadcasts/broadcast-api.ts';
import type { BroadcastPartApi } from './broadcasts/part-api.ts';
import { outboxOf } from './client.ts';
import type { ErasureApi } from './erasures/erasure-api.ts';
import type { ImportApi } from './imports/import-api.ts';
import { CLAIM_SHARD } from './shards.ts';

export function importDeskOf(env: Env, accountId: string): ImportApi {
  return deskOf(() => outboxOf(env, accountId, CLAIM_SHARD).importsOf(accountId));
}

export function broadcastDeskOf(env: Env, accountId: string): BroadcastApi {
  return deskOf(() => outboxOf(env, accountId, CLAIM_SHARD).broadcastsOf(accountId));
}

export function broadcastPartDeskOf(env: Env, accountId: string, shard: number): BroadcastPartApi {
  return deskOf(() => outboxOf(env, accountId, shard).broadcastPartsOf(accountId, shard));
}

export function erasureDeskOf(env: Env, accountId: string, shard: number): ErasureApi {
  return deskOf(() => outboxOf(env, accountId, shard).erasures());
}

/** Of a desk whose methods are all asynchronous. */
function deskOf<Api extends object>(open: () => Api & Disposable): Api {
  const call = async (name: string | symbol, given: readonly unknown[]): Promise<unknown> => {
    // What is given has been copied by the time that this returns its promise: nothing is awaited before.
    using desk = open();
    const method: unknown = Reflect.get(desk, name);
    if (typeof method !== 'function') throw new TypeError('a desk has methods only');
    return await Reflect.apply(method, desk, given);
  };
  return new Proxy({} as Api, {
    get: (_target, name) => (name === 'then' ? undefined : (...given: unknown[]) => call(name, given)),
  });
}
