/** Sealed values with a structure: JSON, filled up with spaces so that its length says little. */
import { newestKey, type SealedPlace, type SealingKey, seal, unseal } from './seal.ts';

const STEP_BYTES = 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Under the newest key. */
export function sealJson(keys: readonly SealingKey[], place: SealedPlace, value: unknown): Uint8Array {
  const text = encoder.encode(JSON.stringify(value));
  const filled = new Uint8Array(Math.ceil(text.byteLength / STEP_BYTES) * STEP_BYTES).fill(0x20);
  filled.set(text);
  return seal(newestKey(keys), place, filled);
}

/** The caller knows what was sealed there: it opens nowhere else. */
export function unsealJson<T>(keys: readonly SealingKey[], place: SealedPlace, sealed: Uint8Array): T {
  return JSON.parse(decoder.decode(unseal(keys, place, sealed)));
}
