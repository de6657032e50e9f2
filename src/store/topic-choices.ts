/** Who wants mail about which topic: one contact's choice, and the question asked before mail is sent. */
import { and, eq, sql } from 'drizzle-orm';
import { hexOf } from './blobs.ts';
import type { AccountScope } from './db.ts';
import { contacts } from './schema/contacts.ts';
import { contactTopics, type Subscription, topics } from './schema/topics.ts';
import { isChoiceOf } from './topics.ts';

/** What holds for one contact about one topic; null where he chose nothing. undefined where there is no such topic. */
export async function findChoice(
  scope: AccountScope,
  { topicId, contactId }: { readonly topicId: string; readonly contactId: string },
): Promise<{ readonly chosen: Subscription | null; readonly byDefault: Subscription } | undefined> {
  const { db, accountId } = scope;
  const rows = await db
    .select({ chosen: contactTopics.subscription, byDefault: topics.defaultSubscription })
    .from(topics)
    .leftJoin(contactTopics, isChoiceOf(scope, contactId))
    .where(and(eq(topics.accountId, accountId), eq(topics.id, topicId)));
  return rows[0];
}

export interface ReaderQuestion {
  /** What the answer is known by. */
  readonly key: string;
  /** Absent: mail about no topic. */
  readonly topicId?: string;
  /** Mail to this contact: to nobody, once he was erased or has another address, whoever has this one by then. */
  readonly contactId?: string;
  readonly emailHash: Uint8Array;
}

/**
 * The keys of those questions to which the answer is no: the contact is unsubscribed or does not want the topic, or
 * chose nothing about one that nobody gets unasked, or the topic is gone, or the contact whom it is for, or has
 * another address. One statement for any number of them.
 */
export async function findUnwanted(
  { db, accountId }: AccountScope,
  questions: readonly ReaderQuestion[],
): Promise<ReadonlySet<string>> {
  const asked = questions.map(({ key, topicId = null, contactId = null, emailHash }) => ({
    key,
    topicId,
    contactId,
    email: hexOf(emailHash),
  }));
  const rows = await db.all<{ readonly key: string }>(sql`
    SELECT asked.value ->> 'key' AS key
    FROM json_each(${JSON.stringify(asked)}) AS asked
    LEFT JOIN ${topics} ON ${topics.accountId} = ${accountId} AND ${topics.id} = asked.value ->> 'topicId'
    LEFT JOIN ${contacts}
      ON ${contacts.accountId} = ${accountId} AND ${contacts.emailHash} = unhex(asked.value ->> 'email')
    LEFT JOIN ${contactTopics}
      ON ${contactTopics.accountId} = ${accountId} AND ${contactTopics.topicId} = ${topics.id}
      AND ${contactTopics.contactId} = ${contacts.id}
    WHERE ${contacts.unsubscribed} = 1
      OR (asked.value ->> 'topicId' IS NOT NULL AND ${topics.id} IS NULL)
      OR (asked.value ->> 'contactId' IS NOT NULL AND ${contacts.id} IS NOT asked.value ->> 'contactId')
      OR coalesce(${contactTopics.subscription}, ${topics.defaultSubscription}) = 'opt_out'`);
  return new Set(rows.map(({ key }) => key));
}
