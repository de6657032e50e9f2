/**
 * The events of an account in the order of their logs, for those who ask instead of being told. Each shard has
 * its own log; a cursor holds a place in each, so that nothing is passed over that another shard logs late.
 */
import { AppError } from '../errors.ts';
import { decode, encode, MAX_SHARDS } from '../ids.ts';
import {
  type EventPage,
  type EventPayload,
  type EventPosition,
  eventPayload,
  outboxOf,
  parseEventId,
} from '../outbox/client.ts';
import { countShards, findAccountState } from './account-state.ts';
import type { ServiceContext } from './service-context.ts';

export interface EventsQuery {
  /** A cursor, an event's id, or `latest`; absent: from the oldest. */
  readonly after?: string | undefined;
  readonly types?: readonly string[] | undefined;
  readonly limit: number;
  /** How long to wait where there is none. */
  readonly waitMs: number;
}

export interface EventsFound {
  readonly events: readonly EventPayload[];
  /** For the next request. */
  readonly cursor: string;
  readonly hasMore: boolean;
}

type Start = EventPosition | 'oldest' | 'latest';

const CURSOR = 'evc_';
const SEQ_LENGTH = 11;
const INDEX_LENGTH = 4;
const PLACE_LENGTH = SEQ_LENGTH + INDEX_LENGTH;

export async function readEvents(context: ServiceContext, query: EventsQuery): Promise<EventsFound> {
  const deadlineMs = Date.now() + query.waitMs;
  let starts = await startsOf(context, query.after);
  for (;;) {
    const found = await readOnce(context, starts, query);
    const waitMs = deadlineMs - Date.now();
    if (found.events.length > 0 || found.hasMore || waitMs <= 0) return found;
    starts = found.positions;
    await waitForAny(context, found.positions, waitMs);
  }
}

async function readOnce(context: ServiceContext, starts: readonly Start[], query: EventsQuery) {
  const { env, scope } = context;
  const { accountId } = scope;
  const { types, limit } = query;
  const pages = await Promise.all(
    starts.map((after, shard) => outboxOf(env, accountId, shard).readEvents({ after, types, limit })),
  );
  const merged = pages
    .flatMap((page, shard) => page.events.map((event) => ({ shard, event })))
    .sort((one, other) => one.event.seq - other.event.seq || one.shard - other.shard);
  const shown = merged.slice(0, limit);
  const positions = pages.map((page, shard) => {
    const count = shown.filter((one) => one.shard === shard).length;
    return positionAfter(page, count, starts[shard]);
  });
  const keys = (await findAccountState(env, scope))?.dataKeys;
  if (!keys) throw new AppError('unavailable');
  const events = shown.flatMap(({ shard, event }) => eventPayload({ accountId, shard, keys }, event) ?? []);
  const hasMore = merged.length > shown.length || pages.some((page) => page.hasMore);
  return { events, positions, cursor: cursorOf(positions), hasMore };
}

/** Of a shard of whose page only the first `count` events were shown. */
function positionAfter(page: EventPage, count: number, start: Start | undefined): EventPosition {
  if (count === page.events.length) return page.position;
  const last = page.events[count - 1];
  if (last) return { seq: last.seq, index: last.index };
  return typeof start === 'object' ? start : { seq: 0, index: -1 };
}

async function waitForAny(
  { env, scope }: ServiceContext,
  positions: readonly EventPosition[],
  waitMs: number,
): Promise<void> {
  await Promise.race(
    positions.map((position, shard) => outboxOf(env, scope.accountId, shard).waitForEvents(position, waitMs)),
  );
}

async function startsOf(context: ServiceContext, after: string | undefined): Promise<Start[]> {
  const { env, scope } = context;
  if (after === undefined || after === 'latest') {
    const start = after ?? 'oldest';
    return Array.from({ length: await countShards(env, scope, 1) }, () => start);
  }
  const known = placesOf(after);
  const event = known ? undefined : parseEventId(scope.accountId, after);
  if (!known && !event) throw new AppError('invalid_field', { field: 'after', reason: 'is not a cursor' });
  const shards = await countShards(env, scope, known?.length ?? (event?.shard ?? 0) + 1);
  return Array.from({ length: shards }, (_, shard): Start => {
    if (known) return known[shard] ?? 'oldest';
    // By the time of the event in the other shards: nothing there is passed over that is not older.
    return { seq: event?.seq ?? 0, index: shard === event?.shard ? event.index : -1 };
  });
}

function cursorOf(positions: readonly EventPosition[]): string {
  // Before the first of a row is after everything of the row before.
  const places = positions.map(({ seq, index }) =>
    index < 0 ? { seq: Math.max(0, seq - 1), index: 0xfffff } : { seq, index },
  );
  return (
    CURSOR + places.map(({ seq, index }) => encode(seq, SEQ_LENGTH) + encode(index, INDEX_LENGTH)).join('')
  );
}

function placesOf(cursor: string): EventPosition[] | undefined {
  const text = cursor.slice(CURSOR.length);
  const count = text.length / PLACE_LENGTH;
  if (!cursor.startsWith(CURSOR) || !/^[0-9a-hjkmnp-tv-z]+$/.test(text)) return undefined;
  if (!Number.isInteger(count) || count > MAX_SHARDS) return undefined;
  const places = Array.from({ length: count }, (_, shard) => {
    const place = text.slice(shard * PLACE_LENGTH, (shard + 1) * PLACE_LENGTH);
    return { seq: decode(place.slice(0, SEQ_LENGTH)), index: decode(place.slice(SEQ_LENGTH)) };
  });
  return places.every(({ seq }) => Number.isSafeInteger(seq)) ? places : undefined;
}
