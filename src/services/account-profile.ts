/** Who an account belongs to: sealed under the account's own key, like everything that names somebody. */
import { unwrapDataKey } from '../crypto/data-key.ts';
import { keyedHash, SealError, type SealedPlace, type SealingKey, seal, unseal } from '../crypto/seal.ts';
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { logEvent } from '../log.ts';
import { type Retention, retentionInForce } from '../outbox/client.ts';
import type { AccountRow } from '../store/accounts.ts';

export const COMPANY_SIZES = ['1-10', '11-50', '51-200', '201-1000', '1001+'] as const;
export type CompanySize = (typeof COMPANY_SIZES)[number];

export interface Profile {
  readonly name: string;
  readonly email: string | null;
  readonly company: string | null;
  readonly companySize: CompanySize | null;
  readonly postalAddress: string | null;
}

export type AccountRecord = Profile &
  Pick<
    AccountRow,
    'id' | 'status' | 'shards' | 'inDoubtPolicy' | 'dailyQuota' | 'monthlyQuota' | 'createdAt'
  > & {
    readonly isConfirmed: boolean;
    /** As it is in force. */
    readonly retention: Retention;
  };

export const EMPTY_PROFILE: Profile = {
  name: '',
  email: null,
  company: null,
  companySize: null,
  postalAddress: null,
};

export function openAccount(env: Env, row: AccountRow): AccountRecord {
  const { id, status, shards, inDoubtPolicy, dailyQuota, monthlyQuota, createdAt, unconfirmed } = row;
  const rest = { id, status, shards, inDoubtPolicy, dailyQuota, monthlyQuota, createdAt };
  const retention = retentionInForce(settingsOf(env), row);
  return { ...openProfile(env, row), ...rest, retention, isConfirmed: unconfirmed === 0 };
}

/** For the operator, who must be able to see and close an account also where its master key is gone: then without its profile. */
export function openAccountForOperator(env: Env, row: AccountRow): AccountRecord {
  try {
    return openAccount(env, row);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    logEvent('account_unreadable', { account_id: row.id });
    return openAccount(env, { ...row, sealedProfile: null, plainName: '', plainEmail: null });
  }
}

export function openProfile(env: Env, row: AccountRow): Profile {
  if (!row.sealedProfile) return { ...EMPTY_PROFILE, name: row.plainName, email: row.plainEmail };
  const text = new TextDecoder().decode(unseal(keysOf(env, row), placeOf(row.id), row.sealedProfile));
  return { ...EMPTY_PROFILE, ...JSON.parse(text) };
}

export function sealProfile(accountId: string, key: SealingKey, profile: Profile): Uint8Array {
  return seal(key, placeOf(accountId), new TextEncoder().encode(JSON.stringify(profile)));
}

/** Under the account's newest key. */
export function resealProfile(env: Env, row: AccountRow, profile: Profile): Uint8Array {
  const key = keysOf(env, row).at(-1);
  if (!key) throw new AppError('unavailable');
  return sealProfile(row.id, key, profile);
}

/** To store: under the newest master key. */
export function emailHashOf(env: Env, email: string): string | null {
  return emailHashesOf(env, email)[0] ?? null;
}

/** To compare: an address may have been hashed under any master key that there is. */
export function emailHashesOf(env: Env, email: string): string[] {
  return settingsOf(env).MASTER_KEYS.map(({ version, bytes }) => {
    const hash = keyedHash({ number: version, bytes }, 'account_email', email.toLowerCase());
    return `${version}:${Buffer.from(hash).toString('base64')}`;
  });
}

/** Lowest number first. */
export function wrappedKeysOf(row: AccountRow): { readonly number: number; readonly wrapped: Uint8Array }[] {
  const wrapped: [number, string][] = JSON.parse(row.wrappedKeys);
  return wrapped
    .sort(([left], [right]) => left - right)
    .map(([number, hex]) => ({ number, wrapped: Buffer.from(hex, 'hex') }));
}

function keysOf(env: Env, row: AccountRow): SealingKey[] {
  return wrappedKeysOf(row).map((key) => unwrapDataKey(settingsOf(env).MASTER_KEYS, row.id, key));
}

function placeOf(accountId: string): SealedPlace {
  return { accountId, table: 'accounts', column: 'sealed_profile', rowId: accountId };
}
