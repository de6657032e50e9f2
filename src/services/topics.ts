/** Topics: what contacts can subscribe to, or not. */
import type { SealingKey } from '../crypto/seal.ts';
import { sealJson, unsealJson } from '../crypto/sealed-json.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { isForeignKeyFault } from '../store/faults.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { Subscription, TopicVisibility } from '../store/schema/topics.ts';
import * as store from '../store/topics.ts';
import { recordAccountEvents } from './account-events.ts';
import { getDataKeys, refuseUnconfirmed } from './account-state.ts';
import { changedMeanwhile, emptyInSteps } from './sealed-resource.ts';
import { actorName, type ServiceContext } from './service-context.ts';

/** A page shows all of them. */
export const MAX_TOPICS = 100;

export interface Topic {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  /** What holds for a contact who chose nothing. */
  readonly defaultSubscription: Subscription;
  readonly visibility: TopicVisibility;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface TopicChoice {
  readonly id: string;
  readonly subscription: Subscription;
}

interface Content {
  readonly name: string;
  readonly description: string | null;
}

export async function createTopic(
  context: ServiceContext,
  input: Omit<Topic, 'id' | 'createdAt' | 'updatedAt'>,
): Promise<string> {
  await refuseUnconfirmed(context);
  const { scope, actor } = context;
  const { name, description, defaultSubscription, visibility } = input;
  const keys = await getDataKeys(context);
  const createdAt = Date.now();
  const id = newId('topic', createdAt);
  const content: Content = { name, description };
  const sealed = sealJson(keys, placeOf(scope.accountId, id), content);
  const audit = { actor: actorName(actor), action: 'topic.created', target: id };
  const row = { id, sealed, defaultSubscription, visibility, createdAt, updatedAt: createdAt };
  if (!(await store.insertTopic(scope, row, { limit: MAX_TOPICS, audit }))) {
    throw new AppError('conflict', { reason: `This account has ${MAX_TOPICS} topics already.` });
  }
  await tell(context, 'topic.created', opened(context, keys, row));
  return id;
}

export async function getTopic(context: ServiceContext, id: string): Promise<Topic> {
  const [record] = await store.findTopics(context.scope, [id]);
  if (!record) throw notFound();
  return opened(context, await getDataKeys(context), record);
}

export async function listTopics(context: ServiceContext, page: PageOf): Promise<Page<Topic>> {
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listTopics(context.scope, page);
  return { rows: rows.map((record) => opened(context, keys, record)), hasMore };
}

export async function updateTopic(
  context: ServiceContext,
  id: string,
  change: {
    readonly name?: string | undefined;
    readonly description?: string | null | undefined;
    readonly visibility?: TopicVisibility | undefined;
  },
): Promise<void> {
  const { scope, actor } = context;
  const [record] = await store.findTopics(scope, [id]);
  if (!record) throw notFound();
  const keys = await getDataKeys(context);
  const known = opened(context, keys, record);
  const { name = known.name, description = known.description, visibility = known.visibility } = change;
  const content: Content = { name, description };
  const set = {
    sealed: sealJson(keys, placeOf(scope.accountId, id), content),
    visibility,
    knownAt: record.updatedAt,
  };
  const audit = { actor: actorName(actor), action: 'topic.updated', target: id };
  if (!(await store.updateTopic(scope, id, set, audit))) throw changedMeanwhile();
  await tell(context, 'topic.updated', { ...known, ...content, visibility, updatedAt: Date.now() });
}

export async function deleteTopic(context: ServiceContext, id: string): Promise<void> {
  const { scope, actor } = context;
  const topic = await getTopic(context, id);
  await emptyInSteps((limit) => store.thinTopic(scope, id, limit));
  const audit = { actor: actorName(actor), action: 'topic.deleted', target: id };
  if (!(await store.deleteTopic(scope, id, audit))) throw notFound();
  await tell(context, 'topic.deleted', topic);
}

/** Topics as they are for one contact: what he chose, or the default. */
export async function listTopicsOfContact(
  context: ServiceContext,
  contactId: string,
  page: PageOf,
): Promise<Page<Topic & { readonly subscription: Subscription }>> {
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listTopicsOfContact(context.scope, contactId, page);
  return {
    rows: rows.map((record) => {
      const topic = opened(context, keys, record);
      return { ...topic, subscription: record.subscription ?? topic.defaultSubscription };
    }),
    hasMore,
  };
}

/** Refuses topics that the account does not have. `fieldOf` names the field of one. */
export async function checkTopics(
  { scope }: ServiceContext,
  choices: readonly TopicChoice[],
  fieldOf: (index: number) => string,
): Promise<void> {
  const found = await store.findTopics(
    scope,
    choices.map(({ id }) => id),
  );
  const known = new Set(found.map(({ id }) => id));
  const wrong = choices.findIndex(({ id }) => !known.has(id));
  if (wrong < 0) return;
  throw new AppError('invalid_field', { field: fieldOf(wrong), reason: 'is not of a topic of this account' });
}

/** What one contact chooses, by himself or through the account. */
export async function putSubscriptions(
  { scope, actor }: ServiceContext,
  contactId: string,
  choices: readonly TopicChoice[],
): Promise<void> {
  const audit = { actor: actorName(actor), action: 'contact.topics_updated', target: contactId };
  try {
    await store.putSubscriptions(scope, contactId, choices, audit);
  } catch (error) {
    if (!isForeignKeyFault(error)) throw error;
    throw new AppError('not_found', { what: 'Contact' });
  }
}

async function tell(context: ServiceContext, type: string, topic: Topic): Promise<void> {
  const { id, name, description, defaultSubscription, createdAt, updatedAt } = topic;
  const data = {
    id,
    name,
    description,
    default_subscription: defaultSubscription,
    deleted: type === 'topic.deleted',
    created_at: new Date(createdAt).toISOString(),
    updated_at: new Date(updatedAt).toISOString(),
  };
  await recordAccountEvents(context, [{ type, data }]);
}

function opened(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  { id, sealed, defaultSubscription, visibility, createdAt, updatedAt }: store.TopicRecord,
): Topic {
  const { name, description } = unsealJson<Content>(keys, placeOf(scope.accountId, id), sealed);
  return { id, name, description, defaultSubscription, visibility, createdAt, updatedAt };
}

function placeOf(accountId: string, rowId: string) {
  return { accountId, table: 'topics', column: 'sealed', rowId };
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Topic' });
}
