/** Signed links: the right to one thing of one account, for whoever has the link; for a while, or for good. */
import { unwrapDataKey } from '../crypto/data-key.ts';
import { accountNamedBy, openToken } from '../crypto/lasting-token.ts';
import { signToken, verifyToken } from '../crypto/signed-token.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { type AccountScope, scopeOfVerifiedToken } from '../store/db.ts';
import { findOldestDataKey } from '../store/system/find-oldest-data-key.ts';

/** What a link is for: one of a kind never passes for one of another. */
export type LinkPurpose = 'attachment' | 'confirm';

export interface LinkToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** `subject` is what the link is about; it can be read by whoever has the link. */
export function newLinkToken(
  env: Env,
  link: {
    readonly purpose: LinkPurpose;
    readonly accountId: string;
    readonly subject: string;
    readonly lifetimeMs: number;
  },
): LinkToken {
  const expiresAtMs = Date.now() + link.lifetimeMs;
  const payload = `${expiresAtMs},${link.accountId},${link.subject}`;
  return { token: signToken(settingsOf(env).MASTER_KEYS, link.purpose, payload), expiresAtMs };
}

/** Throws `link_expired`; undefined where the link is not ours. Nothing was read by then. */
export function openLinkToken(
  env: Env,
  purpose: LinkPurpose,
  token: string,
): { readonly scope: AccountScope; readonly subject: string } | undefined {
  const payload = verifyToken(settingsOf(env).MASTER_KEYS, purpose, token);
  if (payload === undefined) return undefined;
  const [expiresAtMs, accountId = '', ...subject] = payload.split(',');
  // Of what does not parse as a number, nothing is smaller.
  if (!(Date.now() < Number(expiresAtMs))) throw new AppError('link_expired');
  return { scope: scopeOfVerifiedToken(env.DB, { accountId }), subject: subject.join() };
}

/** The same for a link in mail to people, which a replacement of the master key must not spoil. */
export type LastingPurpose = 'unsubscribe' | 'join';

/** undefined where the link is not ours: nothing of the account but its wrapped key was read by then. */
export async function openLastingToken(
  env: Env,
  purpose: LastingPurpose,
  token: string,
): Promise<{ readonly scope: AccountScope; readonly text: string } | undefined> {
  const accountId = accountNamedBy(token);
  const wrapped = accountId === undefined ? undefined : await findOldestDataKey(env.DB, accountId);
  if (accountId === undefined || !wrapped) return undefined;
  const text = openToken(unwrapDataKey(settingsOf(env).MASTER_KEYS, accountId, wrapped), purpose, token);
  return text === undefined ? undefined : { scope: scopeOfVerifiedToken(env.DB, { accountId }), text };
}
