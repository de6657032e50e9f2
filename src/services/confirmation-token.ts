/** The token in the link that confirms an address: bound to the account and to the address, good for a limited time. */
import { equalSecrets } from '../crypto/equal.ts';
import { keyedHash } from '../crypto/seal.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { type AccountRow, findAccount } from '../store/accounts.ts';
import { openProfile } from './account-profile.ts';
import { newLinkToken, openLinkToken } from './link-token.ts';
import type { ServiceContext } from './service-context.ts';

export function newConfirmationToken(
  env: Env,
  accountId: string,
  email: string,
  expiresAtMs: number,
): string {
  const [subject] = digestsOf(env, email);
  if (subject === undefined) throw new Error('there is no master key');
  return newLinkToken(env, {
    purpose: 'confirm',
    accountId,
    subject,
    lifetimeMs: expiresAtMs - Date.now(),
  }).token;
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
  const opened = openUnexpired(env, token);
  if (!opened) return undefined;
  const { scope, subject } = opened;
  const row = await findAccount(scope);
  const email = row && openProfile(env, row).email;
  if (!row || !email || row.status === 'closed') return undefined;
  if (!digestsOf(env, email).some((digest) => equalSecrets(digest, subject))) return undefined;
  return { context: { env, scope, actor: { kind: 'registrant' }, requestId }, row, email };
}

function openUnexpired(env: Env, token: string): ReturnType<typeof openLinkToken> {
  try {
    return openLinkToken(env, 'confirm', token);
  } catch (error) {
    if (error instanceof AppError && error.code === 'link_expired') return undefined;
    throw error;
  }
}

/** What stands for the address in the link, which others may see. The newest master key first. */
function digestsOf(env: Env, email: string): string[] {
  return settingsOf(env).MASTER_KEYS.map(({ version, bytes }) =>
    Buffer.from(keyedHash({ number: version, bytes }, 'confirm', email)).toString('base64url'),
  );
}
