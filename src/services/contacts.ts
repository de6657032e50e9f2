/** Contacts of an account, one at a time: by id, or by address. */

import { suppressionHash } from '../crypto/address-hash.ts';
import { domainHash, emailHash } from '../crypto/contact-hash.ts';
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { isId, newId } from '../ids.ts';
import { parseMailbox } from '../mime/address.ts';
import { ERASED_ADDRESS } from '../outbox/client.ts';
import * as store from '../store/contacts.ts';
import { eraseContact } from '../store/erase-contact.ts';
import { isUniqueFault } from '../store/faults.ts';
import * as members from '../store/lists.ts';
import { findSuppression } from '../store/suppressions.ts';
import { recordAccountEvents } from './account-events.ts';
import { getDataKeys, refuseUnconfirmed } from './account-state.ts';
import { bareAddressOf } from './bare-address.ts';
import { mailConfirmations } from './confirmation-mail.ts';
import { type Contact, openContact, sameContent, sealContact } from './contact-content.ts';
import { contactChangesOf, contactInputOf, type GivenContact } from './contact-input.ts';
import {
  type ContactProperty,
  filterableIds,
  loadProperties,
  type PropertyValue,
} from './contact-properties.ts';
import { planErasure } from './erase-from-outboxes.ts';
import { joinableLists, pendingIds } from './lists.ts';
import { actorName, type ServiceContext } from './service-context.ts';
import { erasedAddress } from './suppressions.ts';
import { checkTopics, putSubscriptions, type TopicChoice } from './topics.ts';
import { auditsOf, changedContent, upsertContacts, valueChanges } from './upsert-contacts.ts';

const MAX_ATTEMPTS = 5;
/** What tells of somebody who is erased names nobody. */
const NOBODY = { email: ERASED_ADDRESS, firstName: null, lastName: null };

export interface NewContact extends GivenContact {
  readonly email: string;
  readonly listIds: readonly string[];
  readonly topics: readonly TopicChoice[];
}

/** One whose address is there already is changed by what is given. Returns the id. */
export async function createContact(
  context: ServiceContext,
  given: NewContact,
  fieldOfList: (index: number) => string,
): Promise<string> {
  await refuseUnconfirmed(context);
  const { listIds, topics } = given;
  const [properties, lists] = await Promise.all([
    propertiesFor(context, given),
    joinableLists(context, listIds, fieldOfList),
    checkTopics(context, topics, (index) => `topics[${index}].id`),
  ]);
  const input = contactInputOf(properties, given);
  const options = { onConflict: 'upsert', lists, topics, filterable: filterableIds(properties) } as const;
  const [made] = await upsertContacts(context, [input], options);
  if (!made) throw new AppError('unavailable');
  const type = made.outcome === 'created' ? 'contact.created' : 'contact.updated';
  const contact = await getContact(context, made.id);
  await tell(context, type, contact);
  await mailConfirmations(context, [contact], pendingIds(lists));
  return made.id;
}

export async function getContact(context: ServiceContext, idOrEmail: string): Promise<Contact> {
  const keys = await getDataKeys(context);
  return openContact(keys, context.scope.accountId, await getRecord(context, keys, idOrEmail));
}

export interface ValueOf {
  readonly key: string;
  readonly type: ContactProperty['type'];
  readonly value: PropertyValue;
}

/** The contact, with what the account's properties say of him. */
export async function describeContact(
  context: ServiceContext,
  idOrEmail: string,
): Promise<{ readonly contact: Contact; readonly values: readonly ValueOf[] }> {
  const [contact, properties] = await Promise.all([getContact(context, idOrEmail), loadProperties(context)]);
  const values = [...properties.values()].flatMap(({ id, key, type }) => {
    const value = contact.values[id];
    return value === undefined ? [] : [{ key, type, value }];
  });
  return { contact, values };
}

export async function updateContact(
  context: ServiceContext,
  idOrEmail: string,
  given: GivenContact & { readonly email?: string | undefined },
): Promise<string> {
  const { scope } = context;
  const keys = await getDataKeys(context);
  const properties = await propertiesFor(context, given);
  const changes = contactChangesOf(properties, given);
  const moved = given.email === undefined ? undefined : bareAddressOf(given.email, 'email');
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const record = await getRecord(context, keys, idOrEmail);
    const known = openContact(keys, scope.accountId, record);
    const { id, updatedAt: knownAt } = known;
    const after = { ...changedContent(known, changes), ...(moved && { email: moved.address }) };
    const unsubscribed = changes.unsubscribed ?? known.unsubscribed;
    if (sameContent(known, after) && unsubscribed === known.unsubscribed) return id;
    const updatedAt = Math.max(Date.now(), knownAt + 1);
    const sealed = sealContact(keys, scope.accountId, id, after);
    const values = valueChanges(keys, filterableIds(properties), known, after);
    const change = { id, knownAt, sealed, unsubscribed, updatedAt, values };
    const audits = auditsOf(context, [], [change], []);
    const hashes = moved && {
      emailHash: emailHash(keys, moved.address),
      domainHash: domainHash(keys, moved.domain),
    };
    const isDone = hashes
      ? await store.moveContact(scope, { ...change, ...hashes }, audits).catch(addressTaken)
      : (
          await store.writeContacts(scope, { ...onlyChange, changed: [change], nowMs: updatedAt }, audits)
        ).has(id);
    if (!isDone) continue;
    await tell(context, 'contact.updated', { ...known, ...after, unsubscribed, updatedAt });
    return id;
  }
  throw new AppError('overloaded');
}

const onlyChange = { created: [], contactIds: [], lists: [], topics: [] };

function addressTaken(error: unknown): never {
  if (!isUniqueFault(error)) throw error;
  throw new AppError('conflict', { reason: 'Another contact of this account has that address.' });
}

/**
 * Erases everything that is known of a contact. If the address is suppressed it stays so, and who has
 * unsubscribed is suppressed from now on: by the hash alone.
 * Returns the id; undefined where there was no such contact, or it is on another list than the one named.
 */
export async function deleteContact(
  context: ServiceContext,
  idOrEmail: string,
  { ifOnlyOn }: { readonly ifOnlyOn?: string } = {},
): Promise<string | undefined> {
  const { scope, actor } = context;
  const keys = await getDataKeys(context);
  const record = await findRecord(context, keys, idOrEmail);
  if (!record) return undefined;
  const contact = openContact(keys, scope.accountId, record);
  const listIds = await listIdsOf(context, contact.id);
  if (ifOnlyOn !== undefined && listIds.some((listId) => listId !== ifOnlyOn)) return undefined;
  const carryOut = await planErasure(context, keys, contact);
  const addressHash = suppressionHash(keys, contact.email);
  const known = await findSuppression(scope, { addressHash });
  const suppressionId = known?.id ?? newId('suppression');
  const audit = { actor: actorName(actor), action: 'contact.deleted', target: contact.id };
  const isGone = await eraseContact(scope, contact.id, {
    suppression: {
      id: suppressionId,
      erased: erasedAddress(keys, scope.accountId, suppressionId),
      addressHash,
      isThere: known !== undefined,
    },
    ifOnlyOn,
    audit,
  });
  if (!isGone) return ifOnlyOn === undefined ? contact.id : undefined;
  await tell(context, 'contact.deleted', { ...contact, ...NOBODY }, listIds);
  await carryOut();
  return contact.id;
}

export async function updateTopics(
  context: ServiceContext,
  idOrEmail: string,
  choices: readonly TopicChoice[],
  fieldOf: (index: number) => string,
): Promise<string> {
  const { id, email } = await getContact(context, idOrEmail);
  await checkTopics(context, choices, fieldOf);
  await putSubscriptions(context, id, choices);
  const data = { id, email, topics: choices };
  await recordAccountEvents(context, [{ type: 'contact.topics.updated', about: id, data }]);
  return id;
}

/** The account's properties by key, where they are needed. */
async function propertiesFor(
  context: ServiceContext,
  given: GivenContact,
): Promise<ReadonlyMap<string, ContactProperty>> {
  return given.properties ? loadProperties(context) : new Map();
}

/** By id or by address. */
export async function getRecord(
  context: ServiceContext,
  keys: readonly SealingKey[],
  idOrEmail: string,
): Promise<store.ContactRecord> {
  const record = await findRecord(context, keys, idOrEmail);
  if (!record) throw contactNotFound();
  return record;
}

export async function findRecord(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  idOrEmail: string,
): Promise<store.ContactRecord | undefined> {
  if (isId('contact', idOrEmail)) return store.findContact(scope, { id: idOrEmail });
  const parsed = parseMailbox(idOrEmail);
  if (!parsed.ok) return undefined;
  return store.findContact(scope, { emailHash: emailHash(keys, parsed.mailbox.address) });
}

async function listIdsOf({ scope }: ServiceContext, contactId: string): Promise<string[]> {
  return (await members.findMemberships(scope, contactId)).map(({ listId }) => listId);
}

/** For a change that hangs on the contact. */
export async function tellOfContact(
  context: ServiceContext,
  type: 'contact.updated',
  id: string,
): Promise<void> {
  await tell(context, type, await getContact(context, id));
}

/** The log of events, in the shape of the SDK. */
async function tell(
  context: ServiceContext,
  type: 'contact.created' | 'contact.updated' | 'contact.deleted',
  contact: Contact,
  listIds?: readonly string[],
): Promise<void> {
  const ids = listIds ?? (await listIdsOf(context, contact.id));
  const data = {
    id: contact.id,
    audience_id: ids[0] ?? null,
    segment_ids: ids,
    created_at: new Date(contact.createdAt).toISOString(),
    updated_at: new Date(contact.updatedAt).toISOString(),
    email: contact.email,
    first_name: contact.firstName,
    last_name: contact.lastName,
    unsubscribed: contact.unsubscribed,
  };
  await recordAccountEvents(context, [{ type, about: contact.id, data }]);
}

export function contactNotFound(): AppError {
  return new AppError('not_found', { what: 'Contact' });
}
