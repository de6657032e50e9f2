/** What services do for a broadcast, over a list that is only a set: a message says nothing but whom it is for. */
import { createHash } from 'node:crypto';
import { broadcastMessageId } from '../../src/ids.ts';
import type {
  BroadcastJobs,
  BroadcastRefusal,
  ContactRange,
} from '../../src/outbox/broadcasts/broadcast-api.ts';
import type { Quota } from '../../src/outbox/usage.ts';

export interface ListOfWorld {
  readonly members: ReadonlySet<string>;
  readonly shardCount: number;
  readonly quota: Quota | undefined;
  /** The messages of more than so many are too much for a page. */
  readonly largestPage: number;
  /** What every call answers instead. */
  readonly refusal: BroadcastRefusal | undefined;
}

/** Each of its calls is made through `call`, which may be where the process ends. */
export function servicesOf(
  list: ListOfWorld,
  call: <T>(step: string, work: () => Promise<T>) => Promise<T>,
): BroadcastJobs {
  const answer = <T>(step: string, work: () => T) => call(step, async () => list.refusal ?? work());
  return {
    countRecipients: () => answer('count', () => ({ counted: list.members.size })),
    planPage: (_job, { after, limit }) =>
      answer('plan', () => {
        const ids = membersIn(list, after === undefined ? {} : { after }).slice(0, limit);
        const upTo = ids.at(-1);
        const { quota, shardCount: shards } = list;
        return {
          shards,
          ...(quota && { quota }),
          ...(upTo !== undefined && { range: rangeOf(after, upTo) }),
        };
      }),
    composePage: ({ broadcastId }, { range, shard, atMs }) =>
      answer('compose', () => {
        const contacts = membersIn(list, range);
        if (contacts.length > list.largestPage) return { kind: 'too_large', recipients: contacts.length };
        const messages = contacts.map((contact) => ({
          id: broadcastMessageId(hashOf(`${broadcastId}/${contact}`), { shard, atMs }),
          recipientCount: 1,
          broadcastId,
          summary: new TextEncoder().encode(contact),
          head: [new Uint8Array(8)],
          attachments: [],
        }));
        return { messages, skipped: 0 };
      }),
  };
}

/** Newest first, as pages are taken. */
function membersIn({ members }: ListOfWorld, { after, upTo }: Partial<ContactRange>): string[] {
  return [...members]
    .filter((id) => (after === undefined || id < after) && (upTo === undefined || id >= upTo))
    .sort()
    .reverse();
}

function rangeOf(after: string | undefined, upTo: string): ContactRange {
  return { upTo, ...(after !== undefined && { after }) };
}

function hashOf(name: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(name).digest());
}
