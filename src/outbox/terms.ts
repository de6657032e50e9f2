/**
 * Terms: what a list of emails can be filtered by, as hashes of 8 bytes. Recipients and tags are hashed under
 * the account's key, so that the ledger's file tells nobody who was written to. Statuses and relays stand in the
 * clear beside them anyway, and are hashed only to have the same size.
 */
import { createHash } from 'node:crypto';
import { keyedHash, type SealingKey } from '../crypto/seal.ts';
import type { DeliveryState, DeliveryStatus } from '../delivery/progress.ts';

export type Term = bigint;
export type KeyedKind = 'recipient' | 'tag' | 'broadcast';

export const TERM_BYTES = 8;

/** A term of what the customer wrote. Recipients go by `recipientKey`, tags as `name` and as `name=value`. */
export function keyedTerm(key: SealingKey, kind: KeyedKind, value: string): Term {
  return termAt(keyedHash(key, `term:${kind}`, value), 0);
}

/** Addresses that differ in case only are one recipient to whoever looks for it. */
export function recipientKey(address: string): string {
  return address.toLowerCase();
}

/**
 * What a message is found by as long as it is kept: a term for each delivery, in their order, and then the tags and
 * the broadcast.
 */
export function fixedTermsOf(
  key: SealingKey,
  recipients: readonly string[],
  tags: readonly { readonly name: string; readonly value: string }[],
  broadcastId?: string,
): Uint8Array {
  const terms = [
    ...recipients.map((address) => keyedTerm(key, 'recipient', recipientKey(address))),
    ...tags.flatMap(({ name, value }) => [
      keyedTerm(key, 'tag', name),
      keyedTerm(key, 'tag', `${name}=${value}`),
    ]),
    ...(broadcastId === undefined ? [] : [keyedTerm(key, 'broadcast', broadcastId)]),
  ];
  const packed = new Uint8Array(terms.length * TERM_BYTES);
  const view = new DataView(packed.buffer);
  for (const [index, term] of terms.entries()) view.setBigUint64(index * TERM_BYTES, term);
  return packed;
}

export function unpackTerms(packed: Uint8Array): Term[] {
  return Array.from({ length: Math.floor(packed.byteLength / TERM_BYTES) }, (_, index) =>
    termAt(packed, index * TERM_BYTES),
  );
}

/**
 * Deliveries with one of these are found by the index. All other statuses are passed through: messages that have
 * them are few, and are found where the pump finds them.
 */
const LASTING: ReadonlySet<DeliveryStatus> = new Set<DeliveryStatus>([
  'delivered',
  'failed',
  'expired',
  'suppressed',
  'canceled',
  'in_doubt',
]);

export function isLasting(status: DeliveryStatus): boolean {
  return LASTING.has(status);
}

/** What a message is found by as it is now. */
export function stateTermsOf(deliveries: readonly DeliveryState[]): Set<Term> {
  const terms = new Set<Term>();
  for (const { status, relayId } of deliveries) {
    if (isLasting(status)) terms.add(plainTerm('status', status));
    if (relayId !== undefined) terms.add(plainTerm('relay', relayId));
  }
  return terms;
}

const plainTerms = new Map<string, Term>();
const REMEMBERED = 1000;

export function plainTerm(kind: 'status' | 'relay', value: string): Term {
  const name = `${kind}:${value}`;
  const known = plainTerms.get(name);
  if (known !== undefined) return known;
  const term = termAt(createHash('sha256').update(name).digest(), 0);
  if (plainTerms.size >= REMEMBERED) plainTerms.clear();
  plainTerms.set(name, term);
  return term;
}

function termAt(bytes: Uint8Array, at: number): Term {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(at);
}
