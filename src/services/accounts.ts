/** What the operator does with accounts. */
import { newApiKey } from '../crypto/api-key.ts';
import { newDataKey, wrapDataKey } from '../crypto/data-key.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { CLAIM_SHARD, outboxOf, retentionInForce } from '../outbox/client.ts';
import {
  type AccountRow,
  findAccount,
  insertAccount,
  raiseShards,
  setAccountStatus,
  updateAccount,
} from '../store/accounts.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { AccountStatus } from '../store/schema/accounts.ts';
import * as system from '../store/system/list-accounts.ts';
import {
  type AccountRecord,
  EMPTY_PROFILE,
  emailHashOf,
  openAccount,
  openAccountForOperator,
  type Profile,
  sealProfile,
} from './account-profile.ts';
import { forgetKeysOfAccount } from './authenticate-key.ts';
import { refreshOutboxes } from './refresh-outboxes.ts';
import { actorName, type ServiceContext } from './service-context.ts';

export interface CreatedAccount {
  readonly account: AccountRecord;
  readonly apiKey: { readonly id: string; readonly token: string };
}

/** In a context for the new account's id: the operator's, or that of somebody who registers. */
export async function createAccount(
  { env, scope, actor }: ServiceContext,
  profile: Pick<Profile, 'name'> & Partial<Profile>,
  options: { readonly isUnconfirmed?: boolean; readonly inviteId?: string | undefined } = {},
): Promise<CreatedAccount> {
  const createdAt = Date.now();
  const { token, ...key } = newApiKey();
  const apiKey = { ...key, id: newId('apiKey', createdAt), name: 'First key' };
  const dataKey = newDataKey();
  const isUnconfirmed = options.isUnconfirmed ?? false;
  const whole = { ...EMPTY_PROFILE, ...profile };
  await insertAccount(
    scope,
    {
      sealedProfile: sealProfile(scope.accountId, dataKey, whole),
      emailHash: whole.email === null ? null : emailHashOf(env, whole.email),
      isUnconfirmed,
      inviteId: options.inviteId,
      createdAt,
      dataKey: wrapDataKey(settingsOf(env).MASTER_KEYS, scope.accountId, dataKey),
      apiKey,
    },
    {
      actor: actorName(actor),
      action: 'account.created',
      target: scope.accountId,
      details: { api_key: apiKey.id, invite: options.inviteId ?? null },
    },
  );
  return {
    account: {
      ...whole,
      id: scope.accountId,
      status: 'active',
      shards: 1,
      inDoubtPolicy: 'retry',
      isConfirmed: !isUnconfirmed,
      dailyQuota: null,
      monthlyQuota: null,
      retention: retentionInForce(settingsOf(env)),
      createdAt,
    },
    apiKey: { id: apiKey.id, token },
  };
}

export async function listAccounts(env: Env, page: PageOf): Promise<Page<AccountRecord>> {
  const { rows, hasMore } = await system.listAccounts(env.DB, page);
  return { rows: rows.map((row) => openAccountForOperator(env, row)), hasMore };
}

export async function getAccount(context: ServiceContext): Promise<AccountRecord> {
  return openFor(context, await getAccountRow(context));
}

export async function getAccountRow(context: ServiceContext): Promise<AccountRow> {
  const account = await findAccount(context.scope);
  if (!account) throw notFound();
  return account;
}

/** What the operator may set besides the status. Absent fields stay; a quota of null is that of the settings. */
export interface OperatorChange {
  readonly shards?: number | undefined;
  readonly dailyQuota?: number | null | undefined;
  readonly monthlyQuota?: number | null | undefined;
  readonly isConfirmed?: true | undefined;
}

export async function changeAccount(context: ServiceContext, change: OperatorChange): Promise<AccountRecord> {
  const { dailyQuota, monthlyQuota, isConfirmed, shards } = change;
  const set = {
    ...(dailyQuota !== undefined && { dailyQuota }),
    ...(monthlyQuota !== undefined && { monthlyQuota }),
    ...(isConfirmed && { unconfirmed: 0 as const }),
  };
  let account = Object.keys(set).length > 0 ? await changeSending(context, set) : await getAccount(context);
  if (shards !== undefined) account = await changeShards(context, shards);
  if (shards !== undefined || 'dailyQuota' in set || 'monthlyQuota' in set) {
    // What the shards have used without a quota is to be asked anew, and what they were given under another one.
    await outboxOf(context.env, context.scope.accountId, CLAIM_SHARD).forgetQuotaParts();
  }
  return account;
}

async function changeSending(
  context: ServiceContext,
  set: { dailyQuota?: number | null; monthlyQuota?: number | null; unconfirmed?: 0 },
): Promise<AccountRecord> {
  const { scope, actor } = context;
  const changed = await updateAccount(scope, set, {
    actor: actorName(actor),
    action: 'account.limits_changed',
    target: scope.accountId,
    details: { ...set },
  });
  if (!changed) throw notFound();
  if (!changed.isChanged) throw new AppError('conflict', { reason: CLOSED });
  await refreshOutboxes(context, changed.account.shards);
  return openFor(context, changed.account);
}

const CLOSED = 'A closed account is not changed any more.';

const ACTIONS = {
  active: 'account.resumed',
  suspended: 'account.suspended',
  closed: 'account.closed',
} as const satisfies Record<AccountStatus, string>;

/** Takes hold of sending at once in this isolate and in the account's outboxes, elsewhere within seconds. */
export async function changeAccountStatus(
  context: ServiceContext,
  status: AccountStatus,
): Promise<AccountRecord> {
  const { scope, actor } = context;
  const audit = { actor: actorName(actor), action: ACTIONS[status], target: scope.accountId };
  const account = await setAccountStatus(scope, status, audit);
  if (!account) throw notFound();
  forgetKeysOfAccount(scope.accountId);
  await refreshOutboxes(context, account.shards);
  // Only `closed` is final: an UPDATE that found it did nothing.
  if (account.status !== status) throw new AppError('conflict', { reason: 'A closed account stays closed.' });
  return openFor(context, account);
}

/** Other isolates use the new shards once what they remember of the account has expired, within seconds. */
async function changeShards(context: ServiceContext, shards: number): Promise<AccountRecord> {
  const { scope, actor } = context;
  const account = await raiseShards(scope, shards, {
    actor: actorName(actor),
    action: 'account.shards_raised',
    target: scope.accountId,
    details: { shards },
  });
  if (!account) throw notFound();
  await refreshOutboxes(context, account.shards);
  if (account.shards === shards) return openFor(context, account);
  const reason = account.shards > shards ? 'The number of shards can only be raised.' : CLOSED;
  throw new AppError('conflict', { reason });
}

function openFor({ env, actor }: ServiceContext, row: AccountRow): AccountRecord {
  return actor.kind === 'operator' ? openAccountForOperator(env, row) : openAccount(env, row);
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Account' });
}
