/**
 * Filters of dynamic lists: conditions in JSON, put together by `and`, `or` and `not`. What may be compared is what
 * there is an index for; everything else is refused with the reason, because it would mean opening every contact.
 *
 * A filter is read anew whenever it is used. Where it names something that is gone, nobody is meant: `not` on a list
 * that was deleted would otherwise mean everybody.
 */
import * as z from 'zod';
import { domainHash, propertyValueHash } from '../crypto/contact-hash.ts';
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { canonicalDomain } from '../mime/domain.ts';
import type { Condition } from '../store/contact-selection.ts';
import { findLists } from '../store/lists.ts';
import { SUBSCRIPTIONS } from '../store/schema/topics.ts';
import { findTopics, type TopicRecord } from '../store/topics.ts';
import { getDataKeys } from './account-state.ts';
import { type ContactProperty, loadProperties, propertyValueOf } from './contact-properties.ts';
import type { ServiceContext } from './service-context.ts';

const MAX_DEPTH = 6;
/** Each takes up to three bound parameters, of a hundred. */
const MAX_CONDITIONS = 25;
const MAX_ONE_OF = 20;
const DAY_MS = 24 * 60 * 60 * 1000;

/** As it is given, stored and shown. */
export type Filter = Readonly<Record<string, unknown>>;

const id = z.string().min(1).max(64);
const value = z.union([z.string().max(2000), z.number()]);
const time = z
  .strictObject({
    after: z.iso.datetime({ offset: true }),
    before: z.iso.datetime({ offset: true }),
    within_days: z.number().min(0).max(36_500),
    older_than_days: z.number().min(0).max(36_500),
  })
  .partial()
  .refine((given) => Object.keys(given).length > 0, 'must have at least one bound');

const OPERATORS = {
  list: z.strictObject({ list: id }),
  segment: z.strictObject({ segment: id }),
  topic: z.strictObject({ topic: id, subscription: z.enum(SUBSCRIPTIONS) }),
  unsubscribed: z.strictObject({ unsubscribed: z.boolean() }),
  domain: z.strictObject({ domain: z.string().min(1).max(255) }),
  created_at: z.strictObject({ created_at: time }),
  updated_at: z.strictObject({ updated_at: time }),
  property: z
    .strictObject({
      property: z.string().min(1).max(100),
      equals: value.optional(),
      not_equals: value.optional(),
      one_of: z.array(value).min(1).max(MAX_ONE_OF).optional(),
      is_set: z.boolean().optional(),
    })
    .refine((given) => Object.keys(given).length === 2, {
      message: 'takes exactly one of equals, not_equals, one_of and is_set',
      path: ['property'],
    }),
} as const;

type Operator = keyof typeof OPERATORS;
type Leaf = {
  readonly [K in Operator]: { readonly kind: K; readonly of: z.infer<(typeof OPERATORS)[K]> };
}[Operator];
type Node =
  | { readonly kind: 'and' | 'or'; readonly of: readonly Node[] }
  | { readonly kind: 'not'; readonly of: Node }
  | { readonly kind: 'leaf'; readonly leaf: Leaf; readonly path: string };

/** The condition of a filter, for now; throws an error that names the field. */
export async function compileFilter(context: ServiceContext, filter: Filter): Promise<Condition> {
  const leaves: Leaf[] = [];
  const tree = parse(filter, { path: 'filter', depth: 1, leaves });
  return resolve(tree, await namesOf(context, leaves));
}

interface Place {
  readonly path: string;
  readonly depth: number;
  readonly leaves: Leaf[];
}

function parse(given: unknown, place: Place): Node {
  const { path, depth, leaves } = place;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrong(path, 'must be an object with one condition');
  }
  if (depth > MAX_DEPTH) throw wrong(path, `must not be nested more than ${MAX_DEPTH} deep`);
  const names = Object.keys(given);
  const below = (name: string, index?: number): Place => {
    return { path: `${path}.${name}${index === undefined ? '' : `[${index}]`}`, depth: depth + 1, leaves };
  };
  for (const kind of ['and', 'or'] as const) {
    if (!names.includes(kind)) continue;
    alone(names, kind, path);
    const parts: unknown = Reflect.get(given, kind);
    if (!Array.isArray(parts) || parts.length === 0) {
      throw wrong(`${path}.${kind}`, 'must be a list of conditions');
    }
    return { kind, of: parts.map((part, index) => parse(part, below(kind, index))) };
  }
  if (names.includes('not')) {
    alone(names, 'not', path);
    return { kind: 'not', of: parse(Reflect.get(given, 'not'), below('not')) };
  }
  if (names.includes('activity')) {
    throw wrong(`${path}.activity`, 'what contacts opened or clicked is not recorded yet');
  }
  const kind = names.find((name): name is Operator => Object.hasOwn(OPERATORS, name));
  if (!kind) throw wrong(path, `must have one of and, or, not, ${Object.keys(OPERATORS).join(', ')}`);
  for (const name of names) {
    if (/^(?:gte?|lte?|greater_than|less_than|contains|starts_with|ends_with)$/.test(name)) {
      throw wrong(`${path}.${name}`, 'values are hashed, and can only be compared for equality');
    }
  }
  const checked = OPERATORS[kind].safeParse(given);
  if (!checked.success) throw faultOf(path, checked.error.issues[0]);
  const leaf = { kind, of: checked.data } as Leaf;
  leaves.push(leaf);
  if (leaves.length > MAX_CONDITIONS) {
    throw wrong('filter', `must have at most ${MAX_CONDITIONS} conditions`);
  }
  return { kind: 'leaf', leaf, path };
}

function alone(names: readonly string[], kind: string, path: string): void {
  if (names.length > 1) throw wrong(path, `must have nothing beside ${kind}`);
}

function faultOf(path: string, issue: z.core.$ZodIssue | undefined): AppError {
  const keys = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const where = [path, ...(issue?.path ?? []), ...keys].join('.').slice(0, 100);
  if (keys.length > 0) return new AppError('unknown_field', { field: where });
  return wrong(where, (issue?.message ?? 'is wrong').replace(/^Invalid (?:input|option): /, ''));
}

/** What a filter may name, as it is now. */
interface Names {
  readonly keys: readonly SealingKey[];
  readonly properties: ReadonlyMap<string, ContactProperty>;
  /** Of lists that are not dynamic themselves. */
  readonly lists: ReadonlySet<string>;
  readonly topics: ReadonlyMap<string, TopicRecord>;
  readonly nowMs: number;
}

async function namesOf(context: ServiceContext, leaves: readonly Leaf[]): Promise<Names> {
  const { scope } = context;
  const listIds = leaves.flatMap(({ of }) => ('list' in of ? of.list : 'segment' in of ? of.segment : []));
  const topicIds = leaves.flatMap(({ of }) => ('topic' in of ? of.topic : []));
  const needsProperties = leaves.some(({ kind }) => kind === 'property');
  const [keys, properties, lists, topics] = await Promise.all([
    getDataKeys(context),
    needsProperties ? loadProperties(context) : new Map<string, ContactProperty>(),
    findLists(scope, listIds),
    findTopics(scope, topicIds),
  ]);
  return {
    keys,
    properties,
    lists: new Set(lists.filter(({ isDynamic }) => !isDynamic).map((list) => list.id)),
    topics: new Map(topics.map((topic) => [topic.id, topic])),
    nowMs: Date.now(),
  };
}

function resolve(node: Node, names: Names): Condition {
  switch (node.kind) {
    case 'and':
    case 'or':
      return { kind: node.kind, of: node.of.map((part) => resolve(part, names)) };
    case 'not':
      return { kind: 'not', of: resolve(node.of, names) };
    default:
      return conditionOf(node.leaf, names, node.path);
  }
}

function conditionOf({ kind, of }: Leaf, names: Names, path: string): Condition {
  switch (kind) {
    case 'list':
      return memberOf(of.list, names, `${path}.list`);
    case 'segment':
      return memberOf(of.segment, names, `${path}.segment`);
    case 'topic': {
      const topic = names.topics.get(of.topic);
      if (!topic) throw wrong(`${path}.topic`, 'is not of a topic of this account');
      const isDefault = topic.defaultSubscription === of.subscription;
      return { kind, topicId: topic.id, subscription: of.subscription, isDefault };
    }
    case 'unsubscribed':
      return { kind, value: of.unsubscribed };
    case 'domain': {
      const canonical = canonicalDomain(of.domain);
      if ('reason' in canonical) throw wrong(`${path}.domain`, canonical.reason);
      return { kind, hash: domainHash(names.keys, canonical.domain) };
    }
    case 'created_at':
      return { kind: 'created', ...boundsOf(of.created_at, names.nowMs) };
    case 'updated_at':
      return { kind: 'updated', ...boundsOf(of.updated_at, names.nowMs) };
    case 'property':
      return propertyIs(of, names, path);
  }
}

function memberOf(listId: string, { lists }: Names, path: string): Condition {
  if (lists.has(listId)) return { kind: 'member', listId };
  throw wrong(path, 'is not of a list of this account that has members of its own');
}

function boundsOf(given: z.infer<typeof time>, nowMs: number) {
  const { after, before, within_days: within, older_than_days: olderThan } = given;
  const since = [
    ...(after === undefined ? [] : [Date.parse(after)]),
    ...(within === undefined ? [] : [nowMs - within * DAY_MS]),
  ];
  const until = [
    ...(before === undefined ? [] : [Date.parse(before)]),
    ...(olderThan === undefined ? [] : [nowMs - olderThan * DAY_MS]),
  ];
  return {
    ...(since.length > 0 && { after: Math.floor(Math.max(...since)) }),
    ...(until.length > 0 && { before: Math.floor(Math.min(...until)) }),
  };
}

function propertyIs(
  given: z.infer<typeof OPERATORS.property>,
  { properties, keys }: Names,
  path: string,
): Condition {
  const property = properties.get(given.property);
  if (!property) throw wrong(`${path}.property`, 'there is no contact property of that key');
  if (!property.isFilterable) {
    const reason =
      'is not filterable: its values are only kept sealed. Create a property with `is_filterable`';
    throw wrong(`${path}.property`, reason);
  }
  const propertyId = property.id;
  const hashOf = (wanted: string | number, name: string) => {
    const checked = propertyValueOf(property.type, wanted, `${path}.${name}`);
    return propertyValueHash(keys, propertyId, checked);
  };
  const isOneOf = (hashes: readonly Uint8Array[]): Condition => ({ kind: 'value', propertyId, hashes });
  const { equals: same, not_equals: other, one_of: oneOf, is_set: isSet } = given;
  if (same !== undefined) return isOneOf([hashOf(same, 'equals')]);
  if (other !== undefined) return { kind: 'not', of: isOneOf([hashOf(other, 'not_equals')]) };
  if (oneOf) return isOneOf(oneOf.map((wanted, index) => hashOf(wanted, `one_of[${index}]`)));
  const has: Condition = { kind: 'has_value', propertyId };
  return isSet ? has : { kind: 'not', of: has };
}

function wrong(field: string, reason: string): AppError {
  return new AppError('invalid_field', { field, reason });
}
