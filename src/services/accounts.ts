/** What the operator does with accounts. */
import { newApiKey } from '../crypto/api-key.ts';
import { newDataKey, wrapDataKey } from '../crypto/data-key.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import {
  type AccountRecord,
  findAccount,
  insertAccount,
  raiseShards,
  setAccountStatus,
} from '../store/accounts.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { AccountStatus } from '../store/schema/accounts.ts';
import * as system from '../store/system/list-accounts.ts';
import { forgetKeysOfAccount } from './authenticate-key.ts';
import { refreshOutboxes } from './refresh-outboxes.ts';
import { actorName, type ServiceContext } from './service-context.ts';

export interface CreatedAccount {
  readonly account: AccountRecord;
  readonly apiKey: { readonly id: string; readonly token: string };
}

/** In the operator's context for the new account's id. */
export async function createAccount(
  { env, scope, actor }: ServiceContext,
  account: { readonly name: string; readonly email?: string | undefined },
): Promise<CreatedAccount> {
  const createdAt = Date.now();
  const { token, ...key } = newApiKey();
  const apiKey = { ...key, id: newId('apiKey', createdAt), name: 'First key' };
  const email = account.email ?? null;
  await insertAccount(
    scope,
    {
      name: account.name,
      email,
      createdAt,
      dataKey: wrapDataKey(settingsOf(env).MASTER_KEYS, scope.accountId, newDataKey()),
      apiKey,
    },
    {
      actor: actorName(actor),
      action: 'account.created',
      target: scope.accountId,
      details: { api_key: apiKey.id },
    },
  );
  return {
    account: {
      id: scope.accountId,
      name: account.name,
      email,
      status: 'active',
      shards: 1,
      inDoubtPolicy: 'retry',
      createdAt,
    },
    apiKey: { id: apiKey.id, token },
  };
}

export function listAccounts(env: Env, page: PageOf): Promise<Page<AccountRecord>> {
  return system.listAccounts(env.DB, page);
}

export async function getAccount(context: ServiceContext): Promise<AccountRecord> {
  const account = await findAccount(context.scope);
  if (!account) throw new AppError('not_found', { what: 'Account' });
  return account;
}

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
  if (!account) throw new AppError('not_found', { what: 'Account' });
  forgetKeysOfAccount(scope.accountId);
  await refreshOutboxes(context, account.shards);
  // Only `closed` is final: an UPDATE that found it did nothing.
  if (account.status !== status) throw new AppError('conflict', { reason: 'A closed account stays closed.' });
  return account;
}

/** Other isolates use the new shards once what they remember of the account has expired, within seconds. */
export async function changeShards(context: ServiceContext, shards: number): Promise<AccountRecord> {
  const { scope, actor } = context;
  const account = await raiseShards(scope, shards, {
    actor: actorName(actor),
    action: 'account.shards_raised',
    target: scope.accountId,
    details: { shards },
  });
  if (!account) throw new AppError('not_found', { what: 'Account' });
  await refreshOutboxes(context, account.shards);
  if (account.shards === shards) return account;
  const reason =
    account.shards > shards
      ? 'The number of shards can only be raised.'
      : 'A closed account is not changed any more.';
  throw new AppError('conflict', { reason });
}
