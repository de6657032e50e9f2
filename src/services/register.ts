/**
 * Accounts that people open for themselves. Such an account has its key at once, and cannot send before its address
 * is confirmed by the link in a mail.
 *
 * - The answer never tells whether an address is known: an account is made in any case, and the owner of the address
 *   gets a mail that says what is the matter. One address is confirmed for one account.
 * - Nothing that a stranger wrote stands in that mail, and one address gets only a few of them a day.
 */
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { logError, logEvent } from '../log.ts';
import { confirmAccount } from '../store/accounts.ts';
import { isForeignKeyFault, isUniqueFault } from '../store/faults.ts';
import { countEvent } from '../store/system/count-events.ts';
import { isAddressConfirmed } from '../store/system/find-confirmed-address.ts';
import { emailHashesOf, openProfile, type Profile } from './account-profile.ts';
import { forgetAccount } from './account-state.ts';
import { type CreatedAccount, createAccount, getAccountRow } from './accounts.ts';
import { newConfirmationToken, verifyConfirmationToken } from './confirmation-token.ts';
import { findInvite } from './invites.ts';
import { actorName, registrantContext, type ServiceContext } from './service-context.ts';
import { canSendSystemMail, sendSystemMail } from './system-mail.ts';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

export interface Registration {
  readonly profile: Profile & { readonly email: string };
  readonly invite?: string | undefined;
}

/** Where the request came from, and where links are to lead. */
export interface RegistrationRequest {
  readonly env: Env;
  readonly requestId: string;
  readonly clientIp: string | undefined;
  readonly origin: string;
}

export async function register(
  request: RegistrationRequest,
  registration: Registration,
): Promise<CreatedAccount> {
  const { env, requestId } = request;
  const { REGISTRATION } = settingsOf(env);
  if (REGISTRATION === 'closed') throw new AppError('registration_closed');
  await limitByAddress(request);
  if (!canSendSystemMail(env)) {
    logEvent('registration_not_set_up', { request_id: requestId });
    throw new AppError('unavailable');
  }
  const inviteId = REGISTRATION === 'invite' ? await findInvite(env, registration.invite) : undefined;
  const context = registrantContext(env, newId('account'), requestId);
  const created = await createInvited(context, registration.profile, inviteId);
  try {
    await mailConfirmation(context, request.origin, registration.profile.email);
  } catch (error) {
    // The account is there and its key is told only now. Another mail can be asked for with it.
    logError('confirmation_not_sent', error, { request_id: requestId, account_id: created.account.id });
  }
  return created;
}

/** For the account of the key. Says nothing about whether a mail was sent. */
export async function resendConfirmation(context: ServiceContext, origin: string): Promise<void> {
  const row = await getAccountRow(context);
  const { email } = openProfile(context.env, row);
  if (row.unconfirmed === 0 || email === null) {
    throw new AppError('conflict', { reason: 'The address of this account is confirmed.' });
  }
  if (!canSendSystemMail(context.env)) throw new AppError('unavailable');
  await mailConfirmation(context, origin, email);
}

/** Whether the link is good; changes nothing. */
export async function isConfirmationValid(env: Env, token: string, requestId: string): Promise<boolean> {
  return (await verifyConfirmationToken(env, token, requestId)) !== undefined;
}

/** False where the link is not good, or the address is confirmed for another account. Harmless to repeat. */
export async function confirmAddress(env: Env, token: string, requestId: string): Promise<boolean> {
  const verified = await verifyConfirmationToken(env, token, requestId);
  if (!verified) return false;
  const { context, row, email } = verified;
  const { accountId } = context.scope;
  const isConfirmed = await confirmAccount(
    context.scope,
    { sealedProfile: row.sealedProfile, emailHashes: emailHashesOf(env, email) },
    { actor: actorName(context.actor), action: 'account.confirmed', target: accountId },
  );
  forgetAccount(accountId);
  return isConfirmed;
}

async function createInvited(
  context: ServiceContext,
  profile: Profile,
  inviteId: string | undefined,
): Promise<CreatedAccount> {
  try {
    return await createAccount(context, profile, { isUnconfirmed: true, inviteId });
  } catch (error) {
    // Somebody else was faster with it, or the operator has just taken it back.
    if (inviteId !== undefined && (isUniqueFault(error) || isForeignKeyFault(error))) {
      throw new AppError('invalid_invite');
    }
    throw error;
  }
}

async function limitByAddress({ env, clientIp }: RegistrationRequest): Promise<void> {
  const outcome = await env.REGISTRATION_LIMIT?.limit({ key: clientIp ?? 'unknown' });
  if (outcome?.success === false) throw new AppError('registrations_limited');
}

async function mailConfirmation(context: ServiceContext, origin: string, email: string): Promise<void> {
  const { env, scope, requestId } = context;
  const { CONFIRMATION_HOURS, CONFIRMATIONS_PER_DAY } = settingsOf(env);
  const nowMs = Date.now();
  const hashes = emailHashesOf(env, email);
  const bucket = `confirmation:${hashes[0]}`;
  const count = await countEvent(env.DB, { bucket, nowMs, windowMs: DAY_MS });
  if (count > CONFIRMATIONS_PER_DAY) return;
  const host = new URL(origin).host;
  const isKnown = await isAddressConfirmed(env.DB, hashes);
  const token = newConfirmationToken(env, scope.accountId, email, nowMs + CONFIRMATION_HOURS * HOUR_MS);
  const link = `${origin}/confirm?token=${token}`;
  const mail = isKnown ? knownAddressMail(host) : confirmationMail(host, link, CONFIRMATION_HOURS);
  await sendSystemMail(env, requestId, { ...mail, to: email, idempotencyKey: `confirm ${requestId}` });
}

function confirmationMail(host: string, link: string, hours: number) {
  return {
    subject: `Confirm your address for ${host}`,
    text: `Somebody, hopefully you, opened an account at ${host} with this address.

To confirm that the address is yours, open this page and press the button on it:

${link}

The link is good for ${hours} hours. If it was not you, ignore this mail: without the confirmation
the account cannot send anything.
`,
  };
}

function knownAddressMail(host: string) {
  return {
    subject: `Your address is already in use at ${host}`,
    text: `Somebody, perhaps you, tried to open an account at ${host} with this address.

You already have an account there, and this one cannot be confirmed. Go on with the account
that you have; if you lost its keys, ask the operator of ${host} for new ones.

If it was not you, ignore this mail. Your account is as it was.
`,
  };
}
