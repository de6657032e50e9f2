/**
 * Sealing: AES-256-GCM with a random 96-bit IV. The additional data names the place a value belongs to
 * (account, table, column, row), so a ciphertext moved to another row or account does not open.
 *
 * Layout: version (1 byte), key number (2 bytes, big endian), IV (12), ciphertext, tag (16).
 * `seal` is synchronous on purpose: the ledger seals inside one turn, between a reply and its commit. Who may wait
 * takes `sealAsync`, which makes the same at a third of the cost: in workerd, each cipher of `node:crypto` is a stream.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { releaseBytes } from './release-bytes.ts';

const VERSION = 1;
const IV_LENGTH = 12;
const TAG_LENGTH = 16;
const HEADER_LENGTH = 3 + IV_LENGTH;

/** A symmetric key and the number under which it is stored. */
export interface SealingKey {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** Where a sealed value lives. Every part is bound into the ciphertext. */
export interface SealedPlace {
  readonly accountId: string;
  readonly table: string;
  readonly column: string;
  readonly rowId: string;
}

/** The one that hashes and links are made with: it stays when another starts to seal. Keys go oldest first. */
export function oldestKey(keys: readonly SealingKey[]): SealingKey {
  const [oldest] = keys;
  if (!oldest) throw new SealError('no data key');
  return oldest;
}

/** The one that seals. */
export function newestKey(keys: readonly SealingKey[]): SealingKey {
  const newest = keys.at(-1);
  if (!newest) throw new SealError('no data key');
  return newest;
}

export class SealError extends Error {
  override readonly name = 'SealError';
}

/** Making one for each use costs as much as sealing a short text. */
const keyObjects = new WeakMap<Uint8Array, KeyObject>();
const cryptoKeys = new WeakMap<Uint8Array, CryptoKey>();
const hmacs = new WeakMap<Uint8Array, ReturnType<typeof hmac.create>>();
const encoder = new TextEncoder();

function keyObjectOf({ bytes }: SealingKey): KeyObject {
  let object = keyObjects.get(bytes);
  if (!object) {
    object = createSecretKey(bytes);
    keyObjects.set(bytes, object);
  }
  return object;
}

/** The key itself is kept, never a promise of it: that could be of a request that is gone. */
async function importKey({ bytes }: SealingKey): Promise<CryptoKey> {
  const cryptoKey = await crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt']);
  cryptoKeys.set(bytes, cryptoKey);
  return cryptoKey;
}

/** All of a sealed value but its ciphertext and tag, for which it has room. */
function newSealed(key: SealingKey, plaintext: Uint8Array): { sealed: Uint8Array; iv: Uint8Array } {
  const sealed = new Uint8Array(HEADER_LENGTH + plaintext.byteLength + TAG_LENGTH);
  const iv = crypto.getRandomValues(sealed.subarray(3, HEADER_LENGTH));
  sealed[0] = VERSION;
  sealed[1] = key.number >> 8;
  sealed[2] = key.number & 0xff;
  return { sealed, iv };
}

export function seal(key: SealingKey, place: SealedPlace, plaintext: Uint8Array): Uint8Array {
  const { sealed, iv } = newSealed(key, plaintext);
  const cipher = createCipheriv('aes-256-gcm', keyObjectOf(key), iv);
  cipher.setAAD(additionalData(place, key.number));
  const ciphertext = cipher.update(plaintext);
  sealed.set(ciphertext, HEADER_LENGTH);
  releaseBytes(ciphertext);
  cipher.final();
  sealed.set(cipher.getAuthTag(), HEADER_LENGTH + plaintext.byteLength);
  return sealed;
}

/** The same value as `seal` would make. */
export async function sealAsync(
  key: SealingKey,
  place: SealedPlace,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const cryptoKey = cryptoKeys.get(key.bytes) ?? (await importKey(key));
  const { sealed, iv } = newSealed(key, plaintext);
  const additional = additionalData(place, key.number);
  const algorithm = { name: 'AES-GCM', iv, additionalData: additional, tagLength: 8 * TAG_LENGTH };
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt(algorithm, cryptoKey, plaintext));
  sealed.set(ciphertext, HEADER_LENGTH);
  releaseBytes(ciphertext);
  return sealed;
}

/** Throws `SealError` where the value was altered, moved, or sealed under another key. */
export function unseal(keys: readonly SealingKey[], place: SealedPlace, sealed: Uint8Array): Uint8Array {
  const number = sealedKeyNumber(sealed);
  const key = keys.find((candidate) => candidate.number === number);
  if (!key) throw new SealError('sealed under an unknown key');
  const decipher = createDecipheriv('aes-256-gcm', keyObjectOf(key), sealed.subarray(3, HEADER_LENGTH));
  decipher.setAAD(additionalData(place, number));
  decipher.setAuthTag(sealed.subarray(sealed.byteLength - TAG_LENGTH));
  try {
    const opened = decipher.update(sealed.subarray(HEADER_LENGTH, sealed.byteLength - TAG_LENGTH));
    decipher.final();
    return new Uint8Array(opened.buffer, opened.byteOffset, opened.byteLength);
  } catch {
    throw new SealError('sealed value does not open');
  }
}

export function sealedKeyNumber(sealed: Uint8Array): number {
  if (sealed.byteLength < HEADER_LENGTH + TAG_LENGTH || sealed[0] !== VERSION) {
    throw new SealError('not a sealed value');
  }
  return ((sealed[1] ?? 0) << 8) | (sealed[2] ?? 0);
}

/**
 * A keyed hash (HMAC-SHA-256) for look-ups and comparisons; `purpose` separates the uses of one key. Most values are
 * short: in workerd, an HMAC of `node:crypto` is a stream, and leaves 10 KB of garbage behind.
 */
export function keyedHash(key: SealingKey, purpose: string, value: Uint8Array | string): Uint8Array {
  let keyed = hmacs.get(key.bytes);
  if (!keyed) {
    keyed = hmac.create(sha256, key.bytes);
    hmacs.set(key.bytes, keyed);
  }
  const bytes = typeof value === 'string' ? encoder.encode(value) : value;
  return keyed
    .clone()
    .update(encoder.encode(`${purpose}\0`))
    .update(bytes)
    .digest();
}

function additionalData(place: SealedPlace, keyNumber: number): Uint8Array {
  const parts = [place.accountId, place.table, place.column, place.rowId, String(keyNumber)];
  return encoder.encode(parts.join('|'));
}
