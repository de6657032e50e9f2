/**
 * Tokens for links: a short text that only this deployment can have written. What is in it can be read by
 * whoever has the link, and not changed. Their key follows from the master key, by its version, so that they can be
 * checked before anything is read.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { MasterKey } from './data-key.ts';
import { SealError } from './seal.ts';

const PATTERN = /^(\d{1,5})\.([A-Za-z0-9_-]{1,600})\.([A-Za-z0-9_-]{43})$/;

/** `purpose` keeps a token of one kind from passing for one of another. */
export function signToken(keys: readonly MasterKey[], purpose: string, payload: string): string {
  const key = keys.reduce<MasterKey | undefined>(
    (best, candidate) => (best && best.version > candidate.version ? best : candidate),
    undefined,
  );
  if (!key) throw new SealError('no master key');
  const mac = macOf(key, purpose, payload).toString('base64url');
  return `${key.version}.${Buffer.from(payload).toString('base64url')}.${mac}`;
}

/** The payload, or undefined where the token is not ours. Whether it is still good is for the payload to say. */
export function verifyToken(keys: readonly MasterKey[], purpose: string, token: string): string | undefined {
  const [, version, encoded = '', given = ''] = PATTERN.exec(token) ?? [];
  const key = keys.find((candidate) => String(candidate.version) === version);
  if (!key) return undefined;
  const payload = Buffer.from(encoded, 'base64url').toString();
  const isOurs = timingSafeEqual(Buffer.from(given, 'base64url'), macOf(key, purpose, payload));
  return isOurs ? payload : undefined;
}

function macOf(key: MasterKey, purpose: string, payload: string): Buffer {
  return createHmac('sha256', key.bytes).update(`token\0${purpose}\0${payload}`).digest();
}
