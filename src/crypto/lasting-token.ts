/**
 * Tokens for links that must be good for as long as the account is. Their key follows from the account's oldest data
 * key: that one stays when another starts to seal, and when the master key is replaced and its old version destroyed.
 * The account stands in the token in clear, so that its key can be looked up; everything else is sealed, and what was
 * changed does not open: the tag of AES-GCM is the MAC, and is compared in constant time.
 */
import { keyedHash, oldestKey, SealError, type SealedPlace, type SealingKey, seal, unseal } from './seal.ts';

const PATTERN = /^(acc_[0-9a-z]{26})\.([A-Za-z0-9_-]{40,1000})$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Derived once for each data key that is in memory. */
const linkKeys = new WeakMap<Uint8Array, SealingKey>();

/** `purpose` keeps a token of one kind from passing for one of another. The oldest of the keys comes first. */
export function sealToken(
  keys: readonly SealingKey[],
  purpose: string,
  accountId: string,
  text: string,
): string {
  const sealed = seal(linkKeyOf(oldestKey(keys)), placeOf(accountId, purpose), encoder.encode(text));
  return `${accountId}.${Buffer.from(sealed).toString('base64url')}`;
}

/** Whose key the token says it was made with. Nothing is verified by that. */
export function accountNamedBy(token: string): string | undefined {
  return PATTERN.exec(token)?.[1];
}

/** What was sealed; undefined where the token is not ours. */
export function openToken(oldest: SealingKey, purpose: string, token: string): string | undefined {
  const [, accountId = '', encoded = ''] = PATTERN.exec(token) ?? [];
  const sealed = Buffer.from(encoded, 'base64url');
  // One spelling of each token: of the last character not every bit counts.
  if (sealed.toString('base64url') !== encoded) return undefined;
  try {
    return decoder.decode(unseal([linkKeyOf(oldest)], placeOf(accountId, purpose), sealed));
  } catch (error) {
    if (error instanceof SealError) return undefined;
    throw error;
  }
}

function linkKeyOf(dataKey: SealingKey): SealingKey {
  const known = linkKeys.get(dataKey.bytes);
  if (known) return known;
  const made = { number: dataKey.number, bytes: keyedHash(dataKey, 'links', '') };
  linkKeys.set(dataKey.bytes, made);
  return made;
}

function placeOf(accountId: string, purpose: string): SealedPlace {
  return { accountId, table: 'links', column: purpose, rowId: '' };
}
