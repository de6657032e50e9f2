/**
 * Whose key is this? A key that was found is remembered for a few seconds, so that a revocation acts
 * everywhere within that time, and at once in the isolate that carried it out.
 */
import { hashApiKey, isWellFormedApiKey, modeOfApiKey } from '../crypto/api-key.ts';
import type { Env } from '../env.ts';
import { touchApiKey } from '../store/api-keys.ts';
import { type AccountScope, scopeOfAuthenticatedKey } from '../store/db.ts';
import { type FoundApiKey, findApiKeyByHash } from '../store/system/find-api-key.ts';
import { ExpiringCache } from './expiring-cache.ts';

const TTL_MS = 10_000;

export interface AuthenticatedKey {
  readonly scope: AccountScope;
  readonly key: FoundApiKey;
  readonly isTest: boolean;
}

const found = new ExpiringCache<FoundApiKey>({ ttlMs: TTL_MS, maxEntries: 1000 });

/**
 * undefined where the key is not one of ours. `runLater` takes the note of the day of use, which must not
 * hold up the request.
 */
export async function authenticateKey(
  env: Env,
  token: string,
  runLater: (work: Promise<void>) => void,
): Promise<AuthenticatedKey | undefined> {
  if (!isWellFormedApiKey(token)) return undefined;
  const hash = hashApiKey(token);
  const key = await found.find(Buffer.from(hash).toString('base64'), async () => {
    const row = await findApiKeyByHash(env.DB, hash);
    const today = new Date().toISOString().slice(0, 10);
    if (row && row.lastUsedOn !== today) {
      runLater(touchApiKey(scopeOfAuthenticatedKey(env.DB, row), row.id, today));
    }
    return row;
  });
  return key && { key, scope: scopeOfAuthenticatedKey(env.DB, key), isTest: modeOfApiKey(token) === 'test' };
}

export function forgetKey(accountId: string, keyId: string): void {
  found.forget((key) => key.accountId === accountId && key.id === keyId);
}

export function forgetKeysOfAccount(accountId: string): void {
  found.forget((key) => key.accountId === accountId);
}
