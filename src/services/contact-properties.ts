/** Custom properties of contacts: their keys and fallback values are sealed, as what they hold is. */
import { propertyKeyHash } from '../crypto/contact-hash.ts';
import type { SealingKey } from '../crypto/seal.ts';
import { sealJson, unsealJson } from '../crypto/sealed-json.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import * as store from '../store/contact-properties.ts';
import { isUniqueFault } from '../store/faults.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { PropertyType } from '../store/schema/contacts.ts';
import { getDataKeys, refuseUnconfirmed } from './account-state.ts';
import { changedMeanwhile, emptyInSteps } from './sealed-resource.ts';
import { actorName, type ServiceContext } from './service-context.ts';

/** All of them are read with every contact that is written. */
export const MAX_PROPERTIES = 100;
export const MAX_VALUE_LENGTH = 2000;

export type PropertyValue = string | number;

export interface ContactProperty {
  readonly id: string;
  readonly key: string;
  readonly type: PropertyType;
  readonly fallback: PropertyValue | null;
  /** Its values are also kept as keyed hashes, so that lists can filter by them. */
  readonly isFilterable: boolean;
  readonly createdAt: number;
}

/** What is sealed of one. */
interface Content {
  readonly key: string;
  readonly fallback: PropertyValue | null;
}

export async function createProperty(
  context: ServiceContext,
  input: Omit<ContactProperty, 'id' | 'createdAt'>,
): Promise<string> {
  await refuseUnconfirmed(context);
  const { scope, actor } = context;
  const { key, type, isFilterable } = input;
  const fallback = input.fallback === null ? null : propertyValueOf(type, input.fallback, 'fallback_value');
  const keys = await getDataKeys(context);
  const createdAt = Date.now();
  const id = newId('contactProperty', createdAt);
  const content: Content = { key, fallback };
  const sealed = sealJson(keys, placeOf(scope.accountId, id), content);
  const keyHash = propertyKeyHash(keys, key);
  const audit = { actor: actorName(actor), action: 'contact_property.created', target: id };
  try {
    const row = { id, keyHash, sealed, type, isFilterable, createdAt, updatedAt: createdAt };
    if (await store.insertProperty(scope, row, { limit: MAX_PROPERTIES, audit })) return id;
  } catch (error) {
    if (!isUniqueFault(error)) throw error;
    throw new AppError('conflict', { reason: 'This account already has a contact property of that key.' });
  }
  throw new AppError('conflict', {
    reason: `This account has ${MAX_PROPERTIES} contact properties already.`,
  });
}

export async function getProperty(context: ServiceContext, id: string): Promise<ContactProperty> {
  const record = await store.findProperty(context.scope, id);
  if (!record) throw notFound();
  return opened(context, await getDataKeys(context), record);
}

export async function listProperties(context: ServiceContext, page: PageOf): Promise<Page<ContactProperty>> {
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listProperties(context.scope, page);
  return { rows: rows.map((record) => opened(context, keys, record)), hasMore };
}

/** By key. */
export async function loadProperties(context: ServiceContext): Promise<ReadonlyMap<string, ContactProperty>> {
  const keys = await getDataKeys(context);
  const records = await store.findProperties(context.scope);
  return new Map(
    records.map((record) => {
      const property = opened(context, keys, record);
      return [property.key, property];
    }),
  );
}

export async function updateProperty(
  context: ServiceContext,
  id: string,
  change: { readonly fallback: PropertyValue | null },
): Promise<void> {
  const { scope, actor } = context;
  const record = await store.findProperty(scope, id);
  if (!record) throw notFound();
  const keys = await getDataKeys(context);
  const { key, type } = opened(context, keys, record);
  const fallback = change.fallback === null ? null : propertyValueOf(type, change.fallback, 'fallback_value');
  const content: Content = { key, fallback };
  const sealed = sealJson(keys, placeOf(scope.accountId, id), content);
  const audit = { actor: actorName(actor), action: 'contact_property.updated', target: id };
  if (!(await store.updateProperty(scope, id, { sealed, knownAt: record.updatedAt }, audit))) {
    throw changedMeanwhile();
  }
}

/** What contacts hold of it is not shown any more at once, and leaves their blobs when they are next written. */
export async function deleteProperty(context: ServiceContext, id: string): Promise<void> {
  const { scope, actor } = context;
  await getProperty(context, id);
  await emptyInSteps((limit) => store.thinProperty(scope, id, limit));
  const audit = { actor: actorName(actor), action: 'contact_property.deleted', target: id };
  if (!(await store.deleteProperty(scope, id, audit))) throw notFound();
}

/** Of those whose values are hashed too. */
export function filterableIds(properties: ReadonlyMap<string, ContactProperty>): ReadonlySet<string> {
  return new Set([...properties.values()].filter(({ isFilterable }) => isFilterable).map(({ id }) => id));
}

/** A value that fits the type, or an error that names the field. */
export function propertyValueOf(type: PropertyType, value: unknown, field: string): PropertyValue {
  // The SDK also gives booleans, for which there is no type of property.
  const given = typeof value !== 'boolean' ? value : type === 'string' ? String(value) : Number(value);
  if (type === 'number') {
    if (typeof given === 'number' && Number.isFinite(given)) return given;
    throw new AppError('invalid_field', { field, reason: 'must be a number' });
  }
  if (typeof given !== 'string') throw new AppError('invalid_field', { field, reason: 'must be a string' });
  if (given.length <= MAX_VALUE_LENGTH) return given;
  throw new AppError('invalid_field', { field, reason: `must have at most ${MAX_VALUE_LENGTH} characters` });
}

function opened(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  { id, sealed, type, isFilterable, createdAt }: store.PropertyRecord,
): ContactProperty {
  const { key, fallback } = unsealJson<Content>(keys, placeOf(scope.accountId, id), sealed);
  return { id, key, type, fallback, isFilterable, createdAt };
}

function placeOf(accountId: string, rowId: string) {
  return { accountId, table: 'contact_properties', column: 'sealed', rowId };
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Contact property' });
}
