/**
 * Deletes accounts that registered themselves and were never confirmed, with everything of theirs. They cannot have
 * sent; what their test keys sent lies in their outboxes. Closed first, so that nobody confirms one half deleted, and
 * rows last, so that the next run goes on with one whose outbox did not answer.
 */
import { type Env, settingsOf } from '../env.ts';
import { logError, logEvent } from '../log.ts';
import { outboxOf } from '../outbox/client.ts';
import {
  closeUnconfirmed,
  deleteUnconfirmed,
  listUnconfirmedAccounts,
  type UnconfirmedAccount,
} from '../store/system/unconfirmed-accounts.ts';
import { forgetAccount } from './account-state.ts';
import { forgetKeysOfAccount } from './authenticate-key.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A run is followed by the next one within the hour. */
const PER_RUN = 200;

export async function sweepUnconfirmed(env: Env, options: { readonly perRun?: number } = {}): Promise<void> {
  const createdBefore = Date.now() - settingsOf(env).UNCONFIRMED_DAYS * DAY_MS;
  const limit = options.perRun ?? PER_RUN;
  for (const account of await listUnconfirmedAccounts(env.DB, { createdBefore, limit })) {
    await remove(env, account).catch((error) =>
      logError('unconfirmed_account_kept', error, { account_id: account.accountId }),
    );
  }
}

async function remove(env: Env, { accountId, shards }: UnconfirmedAccount): Promise<void> {
  if (!(await closeUnconfirmed(env.DB, accountId))) return;
  forgetKeysOfAccount(accountId);
  forgetAccount(accountId);
  for (let shard = 0; shard < shards; shard++) await outboxOf(env, accountId, shard).erase();
  await deleteUnconfirmed(env.DB, accountId);
  logEvent('unconfirmed_account_deleted', { account_id: accountId });
}
