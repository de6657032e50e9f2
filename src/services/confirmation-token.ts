/** The token in the link that confirms an address: bound to the account and to the address, good for a limited time. */
import { isGenuineToken, makeToken, readToken } from '../crypto/token.ts';
import { type Env, settingsOf } from '../env.ts';
import { isId } from '../ids.ts';
import { type AccountRow, findAccount } from '../store/accounts.ts';
import { scopeOfVerifiedToken } from '../store/db.ts';
import { openProfile } from './account-profile.ts';
import type { ServiceContext } from './service-context.ts';

const PURPOSE = 'confirm';

export function newConfirmationToken(
  env: Env,
  accountId: string,
  email: string,
  expiresAtMs: number,
): string {
  const [key] = keysOf(env);
  if (!key) throw new Error('there is no master key');
  return makeToken(key, { purpose: PURPOSE, subject: accountId, expiresAtMs }, email);
}

export interface VerifiedConfirmation {
  readonly context: ServiceContext;
  readonly row: AccountRow;
  readonly email: string;
}

/**
 * Changes nothing. undefined where the token was not made by us, its time is over, or the account has another address
 * by now: one answer for all of them.
 */
export async function verifyConfirmationToken(
  env: Env,
  token: string,
  requestId: string,
): Promise<VerifiedConfirmation | undefined> {
  const content = readToken(PURPOSE, token);
  if (!content || !isId('account', content.subject)) return undefined;
  const scope = scopeOfVerifiedToken(env.DB, { accountId: content.subject });
  const row = await findAccount(scope);
  const email = row && openProfile(env, row).email;
  if (!row || !email || row.status === 'closed') return undefined;
  if (!isGenuineToken(keysOf(env), token, { bound: email, nowMs: Date.now() })) return undefined;
  return { context: { env, scope, actor: { kind: 'registrant' }, requestId }, row, email };
}

function keysOf(env: Env) {
  return settingsOf(env).MASTER_KEYS.map(({ version, bytes }) => ({ number: version, bytes }));
}
