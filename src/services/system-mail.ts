/**
 * Mail of the deployment itself: ordinary messages of an account that it owns, so that they lie on a ledger and are
 * tried again like all others. The account is made when it is first needed; the domain of SYSTEM_FROM is the
 * operator's word that it may be sent from. It has no relay of its own, so RELAY_URL carries its mail.
 */
import { newDataKey, wrapDataKey } from '../crypto/data-key.ts';
import { type Env, settingsOf } from '../env.ts';
import { parseMailbox } from '../mime/address.ts';
import type { Mailbox } from '../mime/types.ts';
import { ensureAccount } from '../store/accounts.ts';
import { EMPTY_PROFILE, sealProfile } from './account-profile.ts';
import { findAccountState, findSendingDomain, forgetAccount } from './account-state.ts';
import { putVerifiedDomain } from './domains.ts';
import { readEmail } from './email-input.ts';
import { UNLIMITED } from './quota.ts';
import { sendEmails } from './send-emails.ts';
import { type ServiceContext, systemContext } from './service-context.ts';

export interface SystemMail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** Whoever repeats it sends nothing more. */
  readonly idempotencyKey: string;
}

/** False where the settings do not let the deployment send mail. */
export function canSendSystemMail(env: Env): boolean {
  return settingsOf(env).RELAY_URL !== undefined && senderOf(env) !== undefined;
}

/** On the ledger once this is done. */
export async function sendSystemMail(env: Env, requestId: string, mail: SystemMail): Promise<void> {
  const sender = senderOf(env);
  const from = settingsOf(env).SYSTEM_FROM;
  if (!sender || from === undefined) throw new Error('SYSTEM_FROM is not an address');
  const context = systemContext(env, requestId);
  await ensureSender(context, sender.domain);
  const { to, subject, text, idempotencyKey } = mail;
  const headers = { 'Auto-Submitted': 'auto-generated' };
  await sendEmails(context, [readEmail({ from, to, subject, text, headers })], { idempotencyKey });
}

async function ensureSender(context: ServiceContext, domain: string): Promise<void> {
  const { env, scope } = context;
  if (!(await findAccountState(env, scope))) {
    const dataKey = newDataKey();
    await ensureAccount(scope, {
      sealedProfile: sealProfile(scope.accountId, dataKey, { ...EMPTY_PROFILE, name: 'System' }),
      dataKey: wrapDataKey(settingsOf(env).MASTER_KEYS, scope.accountId, dataKey),
      quota: UNLIMITED,
      createdAt: Date.now(),
    });
    forgetAccount(scope.accountId);
  }
  const known = await findSendingDomain(scope, domain);
  if (known?.status !== 'verified') await putVerifiedDomain(context, { name: domain });
}

function senderOf(env: Env): Mailbox | undefined {
  const { SYSTEM_FROM } = settingsOf(env);
  const parsed = SYSTEM_FROM === undefined ? undefined : parseMailbox(SYSTEM_FROM);
  return parsed?.ok ? parsed.mailbox : undefined;
}
