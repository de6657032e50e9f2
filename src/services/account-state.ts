/** What accepting a message needs to know of an account, cached for a short time in this isolate. */
import { unwrapDataKey } from '../crypto/data-key.ts';
import type { SealingKey } from '../crypto/seal.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { type Quota, type Retention, retentionInForce } from '../outbox/client.ts';
import { parseRelayUrl } from '../smtp/relay-url.ts';
import type { AccountScope } from '../store/db.ts';
import { findDomainsByNames } from '../store/domains.ts';
import type { AccountStatus } from '../store/schema/accounts.ts';
import type { DomainStatus } from '../store/schema/domains.ts';
import { findSendingState } from '../store/sending-state.ts';
import { ExpiringCache } from './expiring-cache.ts';
import { quotaLimit } from './quota.ts';

/** Others may act on what is gone for this long; never more than 30 s. */
const TTL_MS = 10_000;

export interface AccountState {
  readonly status: AccountStatus;
  readonly shards: number;
  readonly isUnconfirmed: boolean;
  /** Absent where there is no limit at all. */
  readonly quota?: Quota;
  readonly retention: Retention;
  /** Lowest number first: the last one seals. */
  readonly dataKeys: readonly SealingKey[];
  readonly relayIds: readonly string[];
  /** True where the account has a relay, or the deployment has a default one. */
  readonly hasRelay: boolean;
}

export interface SendingDomain {
  readonly id: string;
  readonly name: string;
  readonly status: DomainStatus;
  readonly returnPath: string | null;
}

const states = new ExpiringCache<AccountState>({ ttlMs: TTL_MS, maxEntries: 500 });
const domainsByName = new ExpiringCache<SendingDomain>({ ttlMs: TTL_MS, maxEntries: 2000 });

/** undefined where the account does not exist. Throws where D1 does: nothing is sent unchecked. */
export function findAccountState(env: Env, scope: AccountScope): Promise<AccountState | undefined> {
  return states.find(scope.accountId, async () => {
    const state = await findSendingState(scope);
    if (!state) return undefined;
    const { MASTER_KEYS, RELAY_URL } = settingsOf(env);
    return {
      status: state.accountStatus,
      shards: state.shards,
      isUnconfirmed: state.isUnconfirmed,
      ...quotaOf(env, state),
      retention: retentionInForce(settingsOf(env), state.retention),
      dataKeys: state.dataKeys.map((wrapped) => unwrapDataKey(MASTER_KEYS, scope.accountId, wrapped)),
      relayIds: state.relays.map((relay) => relay.id),
      hasRelay:
        state.relays.length > 0 || (RELAY_URL !== undefined && parseRelayUrl(RELAY_URL) !== undefined),
    };
  });
}

/** Somebody who has just confirmed the address is not told for seconds that it is not. */
export async function findSendingAccount(env: Env, scope: AccountScope): Promise<AccountState | undefined> {
  const account = await findAccountState(env, scope);
  if (!account?.isUnconfirmed) return account;
  forgetAccount(scope.accountId);
  return findAccountState(env, scope);
}

/** Anybody may register: what he could fill the database with waits until his address is confirmed. */
export async function refuseUnconfirmed({
  env,
  scope,
}: {
  readonly env: Env;
  readonly scope: AccountScope;
}): Promise<void> {
  const account = await findSendingAccount(env, scope);
  if (account?.isUnconfirmed) throw new AppError('account_unconfirmed');
}

/** The account's data keys, the oldest first; the last one seals. */
export async function getDataKeys({
  env,
  scope,
}: {
  readonly env: Env;
  readonly scope: AccountScope;
}): Promise<readonly SealingKey[]> {
  const account = await findAccountState(env, scope);
  if (!account) throw new AppError('unavailable');
  return account.dataKeys;
}

/**
 * How many shards the account has, at least `atLeast` where it has as many: what is remembered here may be
 * from before the number was raised, so it is read once more before a message is said to be missing.
 */
export async function countShards(env: Env, scope: AccountScope, atLeast: number): Promise<number> {
  const known = await findAccountState(env, scope);
  if (known && known.shards >= atLeast) return known.shards;
  states.forget((_state, key) => key === scope.accountId);
  return (await findAccountState(env, scope))?.shards ?? 0;
}

/** The account's domain of this name (lower-case A-labels), verified or not. */
export function findSendingDomain(scope: AccountScope, name: string): Promise<SendingDomain | undefined> {
  return domainsByName.find(
    `${scope.accountId}/${name}`,
    async () => (await findDomainsByNames(scope, [name]))[0],
  );
}

function quotaOf(
  env: Env,
  own: { readonly dailyQuota: number | null; readonly monthlyQuota: number | null },
): { quota?: Quota } {
  const { DAILY_QUOTA, MONTHLY_QUOTA } = settingsOf(env);
  const day = quotaLimit(own.dailyQuota, DAILY_QUOTA);
  const month = quotaLimit(own.monthlyQuota, MONTHLY_QUOTA);
  if (day === undefined && month === undefined) return {};
  return { quota: { ...(day !== undefined && { day }), ...(month !== undefined && { month }) } };
}

/** Something of the account changed in this isolate: read it again. */
export function forgetAccount(accountId: string): void {
  states.forget((_state, key) => key === accountId);
  domainsByName.forget((_domain, key) => key.startsWith(`${accountId}/`));
}
