import { keyedHash, oldestKey, type SealingKey } from './seal.ts';

/**
 * What a suppressed address is known by: a keyed hash, in base64. Made with the account's oldest key, which stays
 * when a newer one starts to seal. Upper and lower case are one: nearly every server takes them for one, and a person
 * who does not want mail should not get it by a capital letter.
 */
export function suppressionHash(keys: readonly SealingKey[], address: string): string {
  return Buffer.from(keyedHash(oldestKey(keys), 'suppressions', address.toLowerCase())).toString('base64');
}
