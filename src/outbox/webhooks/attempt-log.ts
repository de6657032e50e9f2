/** The attempts of a delivery, sealed: an endpoint's answer may quote what it was sent. */
import { type SealingKey, seal, unseal } from '../../crypto/seal.ts';

export interface LoggedAttempt {
  readonly atMs: number;
  /** 0: no answer; `response` then is a fixed word. */
  readonly status: number;
  readonly response: string;
}

/** The schedule has ten; replays add to them. */
const KEPT_ATTEMPTS = 30;

export interface AttemptPlace {
  readonly accountId: string;
  readonly webhookId: string;
  readonly seq: number;
  readonly index: number;
}

export function sealAttempts(
  key: SealingKey,
  place: AttemptPlace,
  attempts: readonly LoggedAttempt[],
): Uint8Array {
  const text = JSON.stringify(attempts.slice(-KEPT_ATTEMPTS));
  return seal(key, placeOf(place), new TextEncoder().encode(text));
}

export function openAttempts(
  keys: readonly SealingKey[],
  place: AttemptPlace,
  sealed: Uint8Array | undefined,
): LoggedAttempt[] {
  return sealed ? JSON.parse(new TextDecoder().decode(unseal(keys, placeOf(place), sealed))) : [];
}

function placeOf({ accountId, webhookId, seq, index }: AttemptPlace) {
  return { accountId, table: 'deliveries', column: 'attempts', rowId: `${webhookId}/${seq}/${index}` };
}
