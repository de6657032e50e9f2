/**
 * Events as the log has them: compact, and without an address, a subject or a reply. What an event tells its
 * reader is made when it is read (`event-payload.ts`).
 */
import { newProgress, type Progress, type TimelineEvent } from '../../delivery/progress.ts';
import type { MessageToAccept } from '../client.ts';

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
  /** Whom it told of is erased. */
  readonly z?: true;
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
  const isFirst = !before.timeline.some(isAttempt);
  return isFirst && fresh.some(isAttempt) ? [{ m: id, t: 'sent', a: nowMs }, ...entries] : entries;
}

/** Everything that the log should have of a message. */
export function entriesOfTimeline(id: string, timeline: readonly TimelineEvent[]): readonly MessageEntry[] {
  const told = timeline.filter(({ type }) => type !== 'queued');
  const entries = told.map((event) => entryOf(id, event));
  const first = told.findIndex(isAttempt);
  const sent = entries[first];
  if (!sent) return entries;
  return [...entries.slice(0, first), { m: id, t: 'sent', a: sent.a }, ...entries.slice(first)];
}

/** What a new message tells at once: that it is scheduled, and who was rejected. Most tell nothing. */
export function entriesOfNew(
  id: string,
  message: Pick<MessageToAccept, 'recipientCount' | 'rejections' | 'scheduledAtMs'>,
  nowMs: number,
): readonly MessageEntry[] {
  if (message.scheduledAtMs === undefined && message.rejections === undefined) return [];
  const { timeline } = newProgress(message.recipientCount, nowMs, message);
  return timeline.filter(({ type }) => type !== 'queued').map((event) => entryOf(id, event));
}

/** What was rejected at acceptance was never on its way. */
function isAttempt({ type, reason }: TimelineEvent): boolean {
  return ATTEMPTS.has(type) && reason !== 'invalid_address' && reason !== 'test_address';
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
