/**
 * Whose key is this, and may it be used now and from here? A key that was found is remembered for a few seconds, so
 * that a revocation acts everywhere within that time, and at once in the isolate that carried it out. Expiry is
 * looked at with every request.
 */
import { bytesToHex } from '@noble/hashes/utils.js';
import { hashApiKey, isWellFormedApiKey, modeOfApiKey } from '../crypto/api-key.ts';
import type { Env } from '../env.ts';
import { AppError } from '../errors.ts';
import { touchApiKey } from '../store/api-keys.ts';
import { type AccountScope, scopeOfAuthenticatedKey } from '../store/db.ts';
import { type FoundApiKey, findApiKeyByHash } from '../store/system/find-api-key.ts';
import { type IpRange, isInRange, parseIp, parseIpRange } from '../web/ip-range.ts';
import { ExpiringCache } from './expiring-cache.ts';

const TTL_MS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;

export interface AuthenticatedKey {
  readonly scope: AccountScope;
  readonly key: FoundApiKey;
  readonly isTest: boolean;
}

interface KnownKey {
  readonly row: FoundApiKey;
  readonly allowedRanges: readonly IpRange[];
  /** The day, counted from 1970, whose use is noted. */
  notedDay: number;
}

const found = new ExpiringCache<KnownKey>({ ttlMs: TTL_MS, maxEntries: 1000 });

/**
 * undefined where the key is not one of ours. Throws where it is one that may not be used now, or not from this
 * address. `runLater` takes the note of the day of use, which must not hold up the request.
 */
export async function authenticateKey(
  env: Env,
  { token, clientIp }: { readonly token: string; readonly clientIp: () => string | undefined },
  runLater: (work: Promise<void>) => void,
): Promise<AuthenticatedKey | undefined> {
  const hash = hashApiKey(token);
  const known = await found.find(bytesToHex(hash), async () => {
    const row = isWellFormedApiKey(token) ? await findApiKeyByHash(env.DB, hash) : undefined;
    return row && knownKeyOf(row);
  });
  if (!known) return undefined;
  const { row } = known;
  const nowMs = Date.now();
  if (row.secretValidUntil !== undefined && row.secretValidUntil <= nowMs) return undefined;
  if (row.expiresAt !== null && row.expiresAt <= nowMs) throw new AppError('expired_api_key');
  if (row.allowedIps.length > 0 && !isAllowed(clientIp(), known)) throw new AppError('address_not_allowed');
  const scope = scopeOfAuthenticatedKey(env.DB, row);
  const today = Math.floor(nowMs / DAY_MS);
  if (known.notedDay < today) {
    known.notedDay = today;
    runLater(touchApiKey(scope, row.id, dayText(today)));
  }
  return { key: row, scope, isTest: modeOfApiKey(token) === 'test' };
}

export function forgetKey(accountId: string, keyId: string): void {
  found.forget(({ row }) => row.accountId === accountId && row.id === keyId);
}

export function forgetKeysOfAccount(accountId: string): void {
  found.forget(({ row }) => row.accountId === accountId);
}

function knownKeyOf(row: FoundApiKey): KnownKey {
  return {
    row,
    // A range that is not understood lets nobody in.
    allowedRanges: row.allowedIps.map(parseIpRange).filter((range) => range !== undefined),
    notedDay: row.lastUsedOn === null ? 0 : Date.parse(row.lastUsedOn) / DAY_MS,
  };
}

/** Without an address of the client, a key with a list is of no use. */
function isAllowed(clientIp: string | undefined, { allowedRanges }: KnownKey): boolean {
  const address = parseIp(clientIp ?? '');
  return address !== undefined && allowedRanges.some((range) => isInRange(address, range));
}

function dayText(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}
