/**
 * A new master key, online: what the older ones wrapped is wrapped under the newest, a page of accounts at a time. No
 * data is sealed anew, because the data keys stay what they are; both versions open meanwhile.
 */
import { unwrapDataKey, wrapDataKey } from '../crypto/data-key.ts';
import { equalSecrets } from '../crypto/equal.ts';
import { sealedKeyNumber } from '../crypto/seal.ts';
import { type Env, settingsOf } from '../env.ts';
import { logError } from '../log.ts';
import { replaceEmailHash, replaceWrappedKey } from '../store/data-keys.ts';
import {
  type AccountToRewrap,
  countAccountsToRewrap,
  listAccountsToRewrap,
} from '../store/system/list-accounts-to-rewrap.ts';
import { emailHashOf, openProfile, wrappedKeysOf } from './account-profile.ts';
import { actorName, operatorContext, type ServiceContext } from './service-context.ts';

const PAGE = 50;
/** So that one request stays far below what it may use: it is repeated until nothing remains. */
const PER_REQUEST = 500;

export interface Rewrapped {
  readonly masterVersion: number;
  /** Accounts of this request, and those that still need a key of before. */
  readonly rewrapped: number;
  readonly remaining: number;
}

/** An account whose older master key is missing remains, and is logged. */
export async function rewrapDataKeys(
  env: Env,
  requestId: string,
  perRequest = PER_REQUEST,
): Promise<Rewrapped> {
  const masterVersion = Math.max(...settingsOf(env).MASTER_KEYS.map(({ version }) => version));
  let rewrapped = 0;
  for (let after = ''; rewrapped < perRequest; ) {
    const limit = Math.min(PAGE, perRequest - rewrapped);
    const page = await listAccountsToRewrap(env.DB, { masterVersion, after, limit });
    const last = page.at(-1);
    if (!last) break;
    for (const row of page) {
      try {
        await rewrap(operatorContext(env, row.id, requestId), row, masterVersion);
        rewrapped++;
      } catch (error) {
        // It stays among those that remain. The others are not to wait for it.
        logError('account_not_rewrapped', error, { request_id: requestId, account_id: row.id });
      }
    }
    after = last.id;
  }
  return { masterVersion, rewrapped, remaining: await countAccountsToRewrap(env.DB, masterVersion) };
}

async function rewrap(
  { env, scope, actor }: ServiceContext,
  row: AccountToRewrap,
  masterVersion: number,
): Promise<void> {
  const { MASTER_KEYS } = settingsOf(env);
  const audit = {
    actor: actorName(actor),
    action: 'account.rewrapped',
    target: row.id,
    details: { master_version: masterVersion },
  };
  // The hash first: the account is found again as long as its keys are of before.
  const { email } = openProfile(env, row);
  const hash = email === null ? null : emailHashOf(env, email);
  if (row.emailHash !== null && hash !== null && !equalSecrets(row.emailHash, hash)) {
    await replaceEmailHash(scope, { before: row.emailHash, after: hash }, audit);
  }
  for (const key of wrappedKeysOf(row)) {
    if (sealedKeyNumber(key.wrapped) === masterVersion) continue;
    const after = wrapDataKey(MASTER_KEYS, row.id, unwrapDataKey(MASTER_KEYS, row.id, key));
    await replaceWrappedKey(scope, { before: key.wrapped, after }, audit);
  }
}
