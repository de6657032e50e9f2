/**
 * API keys: `er_live_`, 28 random base62 characters (166 bits), and 6 that are the CRC32 of everything
 * before them, so that a typo is refused without a query. Only the SHA-256 of the whole key is stored.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PREFIX = 'er_live';
const RANDOM_LENGTH = 28;
const CHECKSUM_LENGTH = 6;
const PATTERN = new RegExp(`^${PREFIX}_[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);

export interface NewApiKey {
  /** The key itself; shown once. */
  readonly token: string;
  readonly hash: Uint8Array;
  readonly prefix: string;
  readonly lastFour: string;
}

export function newApiKey(): NewApiKey {
  const body = `${PREFIX}_${randomBase62(RANDOM_LENGTH)}`;
  const token = body + checksumOf(body);
  return { token, hash: hashApiKey(token), prefix: PREFIX, lastFour: token.slice(-4) };
}

/** True for a string that could be a key: its form and its checksum. */
export function isWellFormedApiKey(text: string): boolean {
  if (!PATTERN.test(text)) return false;
  const body = text.slice(0, -CHECKSUM_LENGTH);
  return checksumOf(body) === text.slice(-CHECKSUM_LENGTH);
}

export function hashApiKey(token: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(token).digest());
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
