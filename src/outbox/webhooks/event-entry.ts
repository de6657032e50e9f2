/**
 * Events as the log has them: compact, and without an address, a subject or a reply. What an event tells its
 * reader is made when it is read (`event-payload.ts`).
 */
import type { Progress, TimelineEvent } from '../../delivery/progress.ts';

/** About a message: a place in its timeline. Short names, because a row holds many. */
export interface MessageEntry {
  readonly m: string;
  /** The timeline's type, or `sent`. */
  readonly t: string;
  readonly a: number;
  /** Recipients by index; absent: all of them. */
  readonly r?: readonly number[];
  /** Relay, code, enhanced code, reason. */
  readonly y?: string;
  readonly c?: number;
  readonly e?: string;
  readonly x?: string;
}

/** About the account: its data are sealed under the nonce `k`. */
export interface AccountEntry {
  readonly t: string;
  readonly a: number;
  readonly k: string;
  readonly d: string;
}

export type EventEntry = MessageEntry | AccountEntry;

/** The first of these means that the message was sent on its way. */
const ATTEMPTS: ReadonlySet<string> = new Set([
  'delivered',
  'delivery_delayed',
  'bounced',
  'failed',
  'expired',
  'in_doubt',
  'relay.failover',
]);

/** Where the wire format's name is not the timeline's after `email.`. */
const WIRE_TYPES: ReadonlyMap<string, string> = new Map([
  ['expired', 'email.failed'],
  ['relay.failover', 'email.relay_failover'],
]);

export function isMessageEntry(entry: EventEntry): entry is MessageEntry {
  return 'm' in entry;
}

/** `email.delivered` and the like: what a webhook subscribes to. */
export function wireTypeOf(entry: EventEntry): string {
  return isMessageEntry(entry) ? (WIRE_TYPES.get(entry.t) ?? `email.${entry.t}`) : entry.t;
}

/** What a change of a message adds to the log. That it was sent is told with the first thing that came of it. */
export function entriesOfChange(
  id: string,
  before: Progress,
  after: Progress,
  nowMs: number,
): readonly MessageEntry[] {
  if (before.timeline === after.timeline) return [];
  const known = new Set(before.timeline);
  const fresh = after.timeline.filter((event) => !known.has(event));
  const entries = fresh.map((event) => entryOf(id, event));
  const isFirst = !before.timeline.some(({ type }) => ATTEMPTS.has(type));
  return isFirst && fresh.some(({ type }) => ATTEMPTS.has(type))
    ? [{ m: id, t: 'sent', a: nowMs }, ...entries]
    : entries;
}

/** Everything that the log should have of a message. */
export function entriesOfTimeline(id: string, timeline: readonly TimelineEvent[]): readonly MessageEntry[] {
  const entries = entriesOfNew(id, timeline);
  const first = entries.findIndex(({ t }) => ATTEMPTS.has(t));
  const sent = entries[first];
  if (!sent) return entries;
  return [...entries.slice(0, first), { m: id, t: 'sent', a: sent.a }, ...entries.slice(first)];
}

/** What a new message's timeline has beyond its acceptance. */
export function entriesOfNew(id: string, timeline: readonly TimelineEvent[]): readonly MessageEntry[] {
  return timeline.filter(({ type }) => type !== 'queued').map((event) => entryOf(id, event));
}

function entryOf(m: string, { type, atMs, recipients, relayId, code, enhanced, reason }: TimelineEvent) {
  return {
    m,
    t: type,
    a: atMs,
    ...(recipients && { r: recipients }),
    ...(relayId !== undefined && { y: relayId }),
    ...(code !== undefined && { c: code }),
    ...(enhanced !== undefined && { e: enhanced }),
    ...(reason !== undefined && { x: reason }),
  };
}
