/**
 * Who is meant: everybody, the members of a list, or those for whom a condition holds; compiled to bound SQL.
 *
 * A selection is read in the order of contact ids along one index, its driver: the first condition that must hold
 * and has an index of its own. Every other condition is asked of each candidate by a look-up in an index.
 */
import { and, eq, gte, lt, not, or, type SQL, type SQLWrapper, sql } from 'drizzle-orm';
import { firstIdAt } from '../ids.ts';
import { hexOf, isOneOfBytes } from './blobs.ts';
import { contacts, contactValues } from './schema/contacts.ts';
import { listMembers } from './schema/lists.ts';
import { contactTopics, type Subscription } from './schema/topics.ts';

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  /** Confirmed, unless anybody on the list is meant. */
  | { readonly kind: 'member'; readonly listId: string; readonly withPending?: true }
  | { readonly kind: 'unsubscribed'; readonly value: boolean }
  | TimeCondition
  | { readonly kind: 'is'; readonly id: string }
  | { readonly kind: 'domain'; readonly hash: Uint8Array }
  /** Any of the values. */
  | { readonly kind: 'value'; readonly propertyId: string; readonly hashes: readonly Uint8Array[] }
  | { readonly kind: 'has_value'; readonly propertyId: string }
  | {
      readonly kind: 'topic';
      readonly topicId: string;
      readonly subscription: Subscription;
      readonly isDefault: boolean;
    };

/** From `after` on, and earlier than `before`. */
interface TimeCondition {
  readonly kind: 'created' | 'updated';
  readonly after?: number | undefined;
  readonly before?: number | undefined;
}

type Driver = 'contacts' | 'domain' | 'members' | 'values';

export interface Selection {
  readonly driver: Driver;
  /** The column of contact ids that the driver is read along. */
  readonly id: SQLWrapper;
  /** What narrows the driver to one range of its index. */
  readonly range: readonly SQL[];
  /** What is asked of each candidate. */
  readonly conditions: readonly SQL[];
}

/** Those for whom all of it holds; without conditions, everybody. */
export function selectionOf(accountId: string, ...all: readonly Condition[]): Selection {
  const wanted = all.flatMap(flat);
  const found = DRIVERS.map((kind) => wanted.find((one) => one.kind === kind && canDrive(one))).find(
    (one) => one,
  );
  const { driver, id, where } = driverOf(accountId, found);
  const created = wanted.filter((one): one is TimeCondition => one.kind === 'created');
  const named = wanted.filter((one) => one.kind === 'is');
  // A member has a status, which the index of members does not narrow by.
  const rest = wanted.filter(
    (one) => one.kind !== 'created' && one.kind !== 'is' && (one !== found || one.kind === 'member'),
  );
  return {
    driver,
    id,
    range: [...where, ...named.map((one) => sql`${id} = ${one.id}`), ...createdRange(id, narrowest(created))],
    conditions: rest.flatMap((one) => (one === found ? memberStatus(one) : [sqlOf(one)])),
  };
}

/** The narrowest first. */
const DRIVERS = ['value', 'domain', 'member'] as const;

/** Several values are several ranges of the index, each in an order of its own. */
function canDrive(condition: Condition): boolean {
  return condition.kind !== 'value' || condition.hashes.length === 1;
}

function flat(condition: Condition): readonly Condition[] {
  return condition.kind === 'and' ? condition.of.flatMap(flat) : [condition];
}

function driverOf(accountId: string, by: Condition | undefined) {
  switch (by?.kind) {
    case 'value':
      return {
        driver: 'values' as const,
        id: contactValues.contactId,
        where: [
          eq(contactValues.accountId, accountId),
          eq(contactValues.propertyId, by.propertyId),
          sql`${contactValues.valueHash} = unhex(${by.hashes.map(hexOf).join('')})`,
        ],
      };
    case 'member':
      return {
        driver: 'members' as const,
        id: listMembers.contactId,
        where: [eq(listMembers.accountId, accountId), eq(listMembers.listId, by.listId)],
      };
    case 'domain':
      return {
        driver: 'domain' as const,
        id: contacts.id,
        where: [eq(contacts.accountId, accountId), eq(contacts.domainHash, by.hash)],
      };
    default:
      return {
        driver: 'contacts' as const,
        id: contacts.id,
        where: [eq(contacts.accountId, accountId)],
      };
  }
}

function memberStatus(condition: Condition): SQL[] {
  const isFree = condition.kind === 'member' && condition.withPending;
  return isFree ? [] : [eq(listMembers.status, 'confirmed')];
}

/** One range of all of them: it stands in a statement several times, which takes a hundred bound parameters at most. */
function narrowest(all: readonly TimeCondition[]): TimeCondition {
  const after = all.flatMap((one) => one.after ?? []);
  const before = all.flatMap((one) => one.before ?? []);
  return {
    kind: 'created',
    ...(after.length > 0 && { after: Math.max(...after) }),
    ...(before.length > 0 && { before: Math.min(...before) }),
  };
}

/** Ids begin with the time, so a time of creation is a place among them. */
function createdRange(id: SQLWrapper, { after, before }: TimeCondition) {
  return [
    ...(after === undefined ? [] : [gte(id, firstIdAt('contact', after))]),
    ...(before === undefined ? [] : [lt(id, firstIdAt('contact', before))]),
  ];
}

/** About the row of `contacts` at hand. */
function sqlOf(condition: Condition): SQL {
  switch (condition.kind) {
    case 'and':
      return and(...condition.of.map(sqlOf)) ?? sql`true`;
    case 'or':
      return or(...condition.of.map(sqlOf)) ?? sql`false`;
    case 'not':
      return not(sqlOf(condition.of));
    case 'is':
      return eq(contacts.id, condition.id);
    case 'unsubscribed':
      return eq(contacts.unsubscribed, condition.value);
    case 'created':
      return and(...createdRange(contacts.id, condition)) ?? sql`true`;
    case 'updated': {
      const { after, before } = condition;
      const since = after === undefined ? undefined : gte(contacts.updatedAt, after);
      return and(since, before === undefined ? undefined : lt(contacts.updatedAt, before)) ?? sql`true`;
    }
    case 'domain':
      return eq(contacts.domainHash, condition.hash);
    case 'member':
      return sql`EXISTS (SELECT 1 FROM list_members AS member WHERE member.account_id = ${contacts.accountId}
        AND member.list_id = ${condition.listId} AND member.contact_id = ${contacts.id}
        AND (member.status = 'confirmed' OR ${condition.withPending ?? false}))`;
    case 'value':
      return hasValue(condition.propertyId, sql`AND ${isOneOfBytes(sql`had.value_hash`, condition.hashes)}`);
    case 'has_value':
      return hasValue(condition.propertyId, sql``);
    case 'topic':
      return topicIs(condition);
  }
}

function hasValue(propertyId: string, same: SQL): SQL {
  return sql`EXISTS (SELECT 1 FROM contact_values AS had WHERE had.account_id = ${contacts.accountId}
    AND had.contact_id = ${contacts.id} AND had.property_id = ${propertyId} ${same})`;
}

/** There is a row only where somebody chose: without one, the default of the topic holds. */
function topicIs(condition: Extract<Condition, { kind: 'topic' }>): SQL {
  const { topicId, subscription, isDefault } = condition;
  const chose = (choice: Subscription) => sql`EXISTS (SELECT 1 FROM ${contactTopics} AS choice
    WHERE choice.account_id = ${contacts.accountId} AND choice.topic_id = ${topicId}
      AND choice.contact_id = ${contacts.id} AND choice.subscription = ${choice})`;
  return isDefault ? not(chose(subscription === 'opt_in' ? 'opt_out' : 'opt_in')) : chose(subscription);
}
