/**
 * Event ids are not stored: they follow from where the event stands in the log. `evt_`, then the row's
 * number, the shard, the place in the row, and a mark of the account, which makes an id of one account no
 * id of another.
 */
import { createHash } from 'node:crypto';
import { decode, encode, ID_PREFIXES, isId } from '../../ids.ts';

/** A place in the log of one shard. `index` -1 is before the row's first event. */
export interface EventPosition {
  /** Microseconds since the epoch, counted up where two rows fall into one. */
  readonly seq: number;
  readonly index: number;
}

export interface EventPlace extends EventPosition {
  readonly shard: number;
}

export const OLDEST: EventPosition = { seq: 0, index: -1 };
const SEQ_LENGTH = 11;
const SHARD_LENGTH = 2;
const INDEX_LENGTH = 4;
const MARK_LENGTH = 9;

/** Before everything that was logged since then. */
export function positionAt(ms: number): EventPosition {
  return { seq: Math.max(0, ms) * 1000, index: -1 };
}

export function isAfter(one: EventPosition, other: EventPosition): boolean {
  return one.seq > other.seq || (one.seq === other.seq && one.index > other.index);
}

export function eventIdOf(accountId: string, { seq, shard, index }: EventPlace): string {
  const place = encode(seq, SEQ_LENGTH) + encode(shard, SHARD_LENGTH) + encode(index, INDEX_LENGTH);
  return `${ID_PREFIXES.event}_${place}${markOf(accountId)}`;
}

/** Undefined for what is not an event id of this account. */
export function parseEventId(accountId: string, id: string): EventPlace | undefined {
  if (!isId('event', id)) return undefined;
  const text = id.slice(ID_PREFIXES.event.length + 1);
  const indexAt = SEQ_LENGTH + SHARD_LENGTH;
  const place = {
    seq: decode(text.slice(0, SEQ_LENGTH)),
    shard: decode(text.slice(SEQ_LENGTH, indexAt)),
    index: decode(text.slice(indexAt, indexAt + INDEX_LENGTH)),
  };
  if (!Number.isSafeInteger(place.seq)) return undefined;
  return eventIdOf(accountId, place) === id ? place : undefined;
}

/** What a receiver knows a delivery by: the same at every retry and every replay. */
export function deliveryIdOf(eventId: string, webhookId: string): string {
  return `${eventId}_${webhookId.slice(-16)}`;
}

function markOf(accountId: string): string {
  const hash = createHash('sha256').update(`event\0${accountId}`).digest();
  return encode(Math.floor(hash.readUIntBE(0, 6) / 8), MARK_LENGTH);
}
