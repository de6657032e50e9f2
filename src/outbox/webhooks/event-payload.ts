/**
 * What an event tells its reader, in the shapes of the `resend` SDK and with our own fields beside them.
 * Pure: made anew each time from the log and the sealed message, so every attempt has the same body.
 */
import { type SealingKey, seal, unseal } from '../../crypto/seal.ts';
import { formatMailbox } from '../../mime/address.ts';
import { type MessageSummary, openReplies, openSummary, recipientsOf } from '../message-content.ts';
import {
  type AccountEntry,
  type EventEntry,
  isMessageEntry,
  type MessageEntry,
  wireTypeOf,
} from './event-entry.ts';
import { type EventPosition, eventIdOf } from './event-id.ts';

/** An event and, where it is about a message, the sealed parts that its payload is made of. */
export interface LoggedEvent extends EventPosition {
  readonly entry: EventEntry;
  readonly message?: {
    readonly acceptedAtMs: number;
    readonly summary: Uint8Array;
    readonly replies?: Uint8Array;
  };
}

export interface EventPayload {
  readonly id: string;
  readonly type: string;
  readonly created_at: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface EventOwner {
  readonly accountId: string;
  readonly shard: number;
  readonly keys: readonly SealingKey[];
}

/** Standard Webhooks asks for less than 20 kB. */
export const MAX_PAYLOAD_BYTES = 20_000;
const CUT_SUBJECT = 200;
const CUT_LIST = 20;

/** Undefined where the message is past its retention. */
export function eventPayload(owner: EventOwner, event: LoggedEvent): EventPayload | undefined {
  const { accountId, keys, shard } = owner;
  const { entry, message } = event;
  const head = {
    id: eventIdOf(accountId, { ...event, shard }),
    type: wireTypeOf(entry),
    created_at: isoTime(entry.a),
  };
  if (!isMessageEntry(entry)) {
    return { ...head, data: openEventData(keys, accountId, entry) };
  }
  if (!message) return undefined;
  const identity = { accountId, id: entry.m };
  const summary = openSummary(keys, identity, message.summary);
  const replies = openReplies(keys, identity, message.replies);
  const data = emailData(entry, summary, { acceptedAtMs: message.acceptedAtMs, replies });
  return bounded({ ...head, data });
}

/** The data of an event about the account, for the log. Throws where the account has no key. */
export function sealEventData(
  keys: readonly SealingKey[],
  { accountId, nonce }: { readonly accountId: string; readonly nonce: string },
  data: Readonly<Record<string, unknown>>,
): string {
  const key = keys.at(-1);
  if (!key) throw new Error('the account has no data key');
  const sealed = seal(key, dataPlace(accountId, nonce), new TextEncoder().encode(JSON.stringify(data)));
  return Buffer.from(sealed).toString('base64');
}

export function openEventData(
  keys: readonly SealingKey[],
  accountId: string,
  { k, d }: AccountEntry,
): Record<string, unknown> {
  const opened = unseal(keys, dataPlace(accountId, k), Buffer.from(d, 'base64'));
  return JSON.parse(new TextDecoder().decode(opened));
}

function emailData(
  entry: MessageEntry,
  summary: MessageSummary,
  about: { readonly acceptedAtMs: number; readonly replies: ReadonlyMap<number, string> },
) {
  const addresses = recipientsOf(summary).map((mailbox) => mailbox.address);
  const concerned = entry.r ?? addresses.map((_, index) => index);
  const reply = concerned.map((index) => about.replies.get(index)).find((text) => text !== undefined);
  return {
    email_id: entry.m,
    created_at: isoTime(about.acceptedAtMs),
    from: formatMailbox(summary.from),
    to: summary.to.map(formatMailbox),
    subject: summary.subject,
    message_id: `<${entry.m}@${summary.from.domain}>`,
    ...(summary.tags.length > 0 && {
      tags: Object.fromEntries(summary.tags.map(({ name, value }) => [name, value])),
    }),
    ...(summary.templateId !== undefined && { template_id: summary.templateId }),
    ...(summary.broadcastId !== undefined && { broadcast_id: summary.broadcastId }),
    ...detailsOf(entry, reply),
    recipients: concerned.flatMap((index) => addresses[index] ?? []),
    relay: entry.y ?? null,
    code: entry.c ?? null,
    enhanced_code: entry.e ?? null,
    reason: entry.x ?? null,
  };
}

/** What only one type has. */
function detailsOf({ t, c, e, x }: MessageEntry, reply: string | undefined) {
  const said = reply ?? [c, e].filter((part) => part !== undefined).join(' ');
  switch (t) {
    case 'bounced':
      return {
        bounce: {
          type: 'Permanent',
          subType: x === 'no_such_mailbox' ? 'NoEmail' : 'General',
          message: said,
          diagnosticCode: said === '' ? [] : [`smtp; ${said}`],
        },
      };
    case 'failed':
      return { failed: { reason: x ?? said } };
    case 'expired':
      return { failed: { reason: 'expired' } };
    case 'suppressed':
      return {
        suppressed: {
          type: x ?? 'account',
          message: 'The address is on the suppression list of the account.',
        },
      };
    default:
      return {};
  }
}

/** Cuts what may be long, the least needed first, until the payload has a size that receivers take. */
function bounded(payload: EventPayload): EventPayload {
  const { tags, bounce, ...rest } = payload.data;
  const cuts = [
    payload.data,
    { ...rest, ...(bounce !== undefined && { bounce }), truncated: true },
    {
      ...rest,
      ...(bounce !== undefined && { bounce }),
      subject: String(rest.subject).slice(0, CUT_SUBJECT),
      to: firstOf(rest.to),
      recipients: firstOf(rest.recipients),
      truncated: true,
    },
  ];
  const fits = (data: EventPayload['data']) =>
    Buffer.byteLength(JSON.stringify({ ...payload, data })) < MAX_PAYLOAD_BYTES;
  return { ...payload, data: cuts.find(fits) ?? cuts.at(-1) ?? payload.data };
}

function firstOf(list: unknown): unknown[] {
  return Array.isArray(list) ? list.slice(0, CUT_LIST) : [];
}

function dataPlace(accountId: string, nonce: string) {
  return { accountId, table: 'events', column: 'data', rowId: nonce };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
