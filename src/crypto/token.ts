/**
 * MACed tokens for links in mail: `<purpose>.<key number>.<expiry, seconds in base 36>.<subject>.<MAC>`. The purpose
 * is part of what is authenticated, so a token for one thing opens nothing else. Nothing in it is secret.
 */
import { timingSafeEqual } from 'node:crypto';
import { keyedHash, type SealingKey } from './seal.ts';

const MAX_LENGTH = 300;
const PART = /^[0-9A-Za-z_-]+$/;

export interface TokenContent {
  readonly purpose: string;
  /** Letters, digits, `_` and `-`. */
  readonly subject: string;
  readonly expiresAtMs: number;
}

/** `bound` is what the token also depends on and does not show: with another value it does not open. */
export function makeToken(key: SealingKey, content: TokenContent, bound: string): string {
  const { purpose, subject, expiresAtMs } = content;
  if (!PART.test(subject) || !PART.test(purpose)) throw new Error('not fit for a token');
  const body = [purpose, key.number, Math.floor(expiresAtMs / 1000).toString(36), subject].join('.');
  return `${body}.${macOf(key, body, bound)}`;
}

/** Who a token is about, before anything is known of it. undefined where it is malformed, or of another purpose. */
export function readToken(purpose: string, token: string): TokenContent | undefined {
  if (token.length > MAX_LENGTH) return undefined;
  const parts = token.split('.');
  const [found, number = '', expiry = '', subject = '', mac = ''] = parts;
  if (parts.length !== 5 || found !== purpose || !parts.every((part) => PART.test(part))) return undefined;
  if (!/^\d{1,5}$/.test(number) || !/^[0-9a-z]{1,9}$/.test(expiry) || mac === '') return undefined;
  return { purpose, subject, expiresAtMs: Number.parseInt(expiry, 36) * 1000 };
}

/** True where one of the keys made it, for this value, and its time is not over. */
export function isGenuineToken(
  keys: readonly SealingKey[],
  token: string,
  check: { readonly bound: string; readonly nowMs: number },
): boolean {
  const body = token.slice(0, token.lastIndexOf('.'));
  const [purpose = '', number] = body.split('.');
  const content = readToken(purpose, token);
  const key = keys.find((candidate) => String(candidate.number) === number);
  if (!content || !key || content.expiresAtMs <= check.nowMs) return false;
  const expected = Buffer.from(macOf(key, body, check.bound));
  const given = Buffer.from(token.slice(body.length + 1));
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected);
}

function macOf(key: SealingKey, body: string, bound: string): string {
  return Buffer.from(keyedHash(key, 'token', `${body}\0${bound}`)).toString('base64url');
}
