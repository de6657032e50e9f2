/**
 * API keys: `er_live_` or `er_test_`, 28 random base62 characters (166 bits), and 6 that are the CRC32 of everything
 * before them, so that a typo is refused without a query. Only the SHA-256 of the whole key is stored.
 */
import { crc32 } from 'node:zlib';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PREFIXES = { live: 'er_live', test: 'er_test' } as const;
const RANDOM_LENGTH = 28;
const CHECKSUM_LENGTH = 6;
const PATTERN = new RegExp(`^er_(?:live|test)_[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);

export interface NewApiKey {
  /** The key itself; shown once. */
  readonly token: string;
  readonly hash: Uint8Array;
  readonly prefix: string;
  readonly lastFour: string;
}

/** Mail sent with a test key goes to nobody. */
export type KeyMode = keyof typeof PREFIXES;

export function newApiKey(mode: KeyMode = 'live'): NewApiKey {
  const prefix = PREFIXES[mode];
  const body = `${prefix}_${randomBase62(RANDOM_LENGTH)}`;
  const token = body + checksumOf(body);
  return { token, hash: hashApiKey(token), prefix, lastFour: token.slice(-4) };
}

/** True for a string that could be a key: its form and its checksum. */
export function isWellFormedApiKey(text: string): boolean {
  if (!PATTERN.test(text)) return false;
  const body = text.slice(0, -CHECKSUM_LENGTH);
  return checksumOf(body) === text.slice(-CHECKSUM_LENGTH);
}

/** Of a well-formed key. It cannot be changed: the checksum covers it, and the hash is of the whole. */
export function modeOfApiKey(token: string): KeyMode {
  return token.startsWith(`${PREFIXES.test}_`) ? 'test' : 'live';
}

/** Of every request. In workerd, each hash of `node:crypto` is a stream, even the one in one step. */
export function hashApiKey(token: string): Uint8Array {
  return sha256(utf8ToBytes(token));
}

function checksumOf(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    text = ALPHABET.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

function randomBase62(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length * 2))) {
      // 248 is the largest multiple of 62 in a byte: taking more would favour the first characters.
      if (byte < 248 && text.length < length) text += ALPHABET.charAt(byte % 62);
    }
  }
  return text;
}
