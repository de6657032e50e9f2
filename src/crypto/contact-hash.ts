/**
 * What contacts are found by: keyed hashes, made with the account's oldest key, each for a purpose of its own, so
 * that hashes of two accounts, or of two columns, never compare. They are cut short because an account may have a
 * million of them in three indexes. Among a million addresses two share their 16 bytes with a probability of 2^-89;
 * two domains, or two values of one property, share their 8 bytes with one of 2^-25.
 */
import { keyedHash, oldestKey, type SealingKey } from './seal.ts';

const EMAIL_BYTES = 16;
const KEY_BYTES = 16;
const DOMAIN_BYTES = 8;
const VALUE_BYTES = 8;

/** In any case of letters, as `suppressionHash`. */
export function emailHash(keys: readonly SealingKey[], address: string): Uint8Array {
  return cut(keys, 'contacts.email', address.toLowerCase(), EMAIL_BYTES);
}

/** Of a canonical domain. */
export function domainHash(keys: readonly SealingKey[], domain: string): Uint8Array {
  return cut(keys, 'contacts.domain', domain, DOMAIN_BYTES);
}

export function propertyKeyHash(keys: readonly SealingKey[], key: string): Uint8Array {
  return cut(keys, 'contact_properties.key', key, KEY_BYTES);
}

/** Equal values of two properties have different hashes. */
export function propertyValueHash(
  keys: readonly SealingKey[],
  propertyId: string,
  value: string | number,
): Uint8Array {
  return cut(keys, 'contact_values.value', `${propertyId}\0${typeof value}\0${value}`, VALUE_BYTES);
}

function cut(keys: readonly SealingKey[], purpose: string, value: string, length: number): Uint8Array {
  return keyedHash(oldestKey(keys), purpose, value).slice(0, length);
}
