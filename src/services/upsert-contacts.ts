/** Writes many contacts at once: those that are new, and those that are changed by what is given. */
import { domainHash, emailHash, propertyValueHash } from '../crypto/contact-hash.ts';
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { hexOf } from '../store/blobs.ts';
import * as store from '../store/contacts.ts';
import { isForeignKeyFault } from '../store/faults.ts';
import type { MemberStatus } from '../store/schema/lists.ts';
import type { Subscription } from '../store/schema/topics.ts';
import { getDataKeys } from './account-state.ts';
import { type ContactContent, openContact, sameContent, sealContact } from './contact-content.ts';
import type { ContactChanges, ContactInput } from './contact-input.ts';
import { actorName, type ServiceContext } from './service-context.ts';

export const MAX_UPSERT = 500;
/** Of the sealed contents in one statement; a bound text may have 2 MB, and they go as hex. */
const MAX_STATEMENT_BYTES = 600_000;
/** Of filterable properties: each is about 110 bytes of another such text. */
const MAX_STATEMENT_VALUES = 12_000;
/** Others may write the same contacts meanwhile. */
const MAX_ATTEMPTS = 5;

export interface UpsertOptions {
  /** What becomes of those that are there already: changed by what is given, or left alone altogether. */
  readonly onConflict: 'upsert' | 'skip';
  /** As `joinableLists` gives them. */
  readonly lists?: readonly { readonly id: string; readonly status: MemberStatus }[];
  readonly topics?: readonly { readonly id: string; readonly subscription: Subscription }[];
  /** Ids of those properties whose values are hashed. */
  readonly filterable: ReadonlySet<string>;
  /** For those that are new: the id that each input makes, and when it was given. */
  readonly made?: { readonly ids: readonly string[]; readonly atMs: number };
}

export interface UpsertOutcome {
  readonly id: string;
  readonly outcome: 'created' | 'updated' | 'skipped';
}

/** What is in hand of one address: as it was read, and as it is to be. */
interface Draft {
  readonly id: string;
  readonly input: ContactInput;
  readonly emailHash: Uint8Array;
  readonly known: store.ContactRecord | undefined;
  readonly before: ContactContent | undefined;
  after: ContactContent;
  unsubscribed: boolean;
}

/**
 * An outcome for each input, in the order given. Safe to repeat: what is as given already is not written again.
 * An address that is given twice is one contact, changed by the second one.
 */
export async function upsertContacts(
  context: ServiceContext,
  inputs: readonly ContactInput[],
  options: UpsertOptions,
): Promise<UpsertOutcome[]> {
  if (inputs.length > MAX_UPSERT) throw new RangeError('too many contacts at once');
  const keys = await getDataKeys(context);
  const outcomes = new Array<UpsertOutcome | undefined>(inputs.length);
  let open = inputs.map((input, index) => ({ index, input, hash: emailHash(keys, input.address) }));
  for (let attempt = 0; open.length > 0; attempt++) {
    if (attempt === MAX_ATTEMPTS) throw new AppError('overloaded');
    const hashes = open.map(({ hash }) => hash);
    const found = await store.findContactsByEmail(context.scope, hashes);
    const known = new Map(found.map((record) => [hexOf(record.emailHash), record]));
    const drafts = new Map<string, Draft>();
    for (const { index, input, hash } of open) {
      const name = hexOf(hash);
      const draft =
        drafts.get(name) ??
        draftOf(context, keys, {
          id: options.made?.ids[index],
          input,
          emailHash: hash,
          known: known.get(name),
        });
      if (draft.known && draft.id === options.made?.ids[index]) {
        // Of this very input, written by somebody who repeats the same import.
        outcomes[index] = { id: draft.id, outcome: 'created' };
        continue;
      }
      const isThere = draft.known !== undefined || drafts.has(name);
      const isSkipped = isThere && options.onConflict === 'skip';
      outcomes[index] = { id: draft.id, outcome: isSkipped ? 'skipped' : isThere ? 'updated' : 'created' };
      if (isSkipped) continue;
      drafts.set(name, draft);
      change(draft, input);
    }
    const lost = await write(context, keys, [...drafts.values()], options);
    open = open.filter(({ index }) => lost.has(outcomes[index]?.id ?? ''));
  }
  return outcomes.flatMap((outcome) => outcome ?? []);
}

function draftOf(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  {
    id,
    input,
    emailHash: hash,
    known,
  }: Pick<Draft, 'input' | 'emailHash' | 'known'> & { id: string | undefined },
): Draft {
  const opened = known && openContact(keys, scope.accountId, known);
  const empty = { email: input.address, firstName: null, lastName: null, values: {} };
  return {
    id: known?.id ?? id ?? newId('contact'),
    input,
    emailHash: hash,
    known,
    before: opened,
    after: opened ?? empty,
    unsubscribed: opened?.unsubscribed ?? false,
  };
}

function change(draft: Draft, input: ContactChanges): void {
  draft.after = changedContent(draft.after, input);
  draft.unsubscribed = input.unsubscribed ?? draft.unsubscribed;
}

export function changedContent(content: ContactContent, changes: ContactChanges): ContactContent {
  const values = { ...content.values };
  for (const [id, value] of changes.values) {
    if (value === null) delete values[id];
    else values[id] = value;
  }
  const { email } = content;
  const { firstName = content.firstName, lastName = content.lastName } = changes;
  return { email, firstName, lastName, values };
}

/** Returns the ids of those that somebody else wrote meanwhile: their drafts are good for nothing now. */
async function write(
  context: ServiceContext,
  keys: readonly SealingKey[],
  drafts: readonly Draft[],
  options: UpsertOptions,
): Promise<ReadonlySet<string>> {
  const { accountId } = context.scope;
  const lost = new Set<string>();
  let batch = emptyBatch();
  const flush = async () => {
    const { created, changed, contactIds } = batch;
    const writes = { created, changed, contactIds, lists: options.lists ?? [], topics: options.topics ?? [] };
    const audits = auditsOf(context, created, changed, contactIds);
    const written = await store
      .writeContacts(context.scope, { ...writes, nowMs: Date.now() }, audits)
      .catch(goneMeanwhile);
    for (const { id } of [...created, ...changed]) if (!written.has(id)) lost.add(id);
    batch = emptyBatch();
  };
  for (const draft of drafts) {
    const { id, known, before, after, unsubscribed } = draft;
    const isSame = before && sameContent(before, after) && known?.unsubscribed === unsubscribed;
    batch.contactIds.push(id);
    if (isSame) continue;
    const sealed = sealContact(keys, accountId, id, after);
    const values = valueChanges(keys, options.filterable, before, after);
    const isFull =
      batch.bytes + sealed.byteLength > MAX_STATEMENT_BYTES ||
      batch.values + values.length > MAX_STATEMENT_VALUES;
    if (isFull && batch.contactIds.length > 1) {
      batch.contactIds.pop();
      await flush();
      batch.contactIds.push(id);
    }
    batch.bytes += sealed.byteLength;
    batch.values += values.length;
    const nowMs = Date.now();
    if (known) {
      const updatedAt = Math.max(nowMs, known.updatedAt + 1);
      batch.changed.push({ id, knownAt: known.updatedAt, sealed, unsubscribed, updatedAt, values });
    } else {
      const hashes = { emailHash: draft.emailHash, domainHash: domainHash(keys, draft.input.domain) };
      const row = { id, sealed, unsubscribed, createdAt: options.made?.atMs ?? nowMs, updatedAt: nowMs };
      batch.created.push({ ...row, ...hashes, values });
    }
  }
  if (batch.contactIds.length > 0) await flush();
  return lost;
}

function emptyBatch() {
  return {
    created: [] as store.NewContact[],
    changed: [] as store.ContactChange[],
    contactIds: [] as string[],
    bytes: 0,
    values: 0,
  };
}

/** Of filterable properties, those whose value is not what it was. */
export function valueChanges(
  keys: readonly SealingKey[],
  filterable: ReadonlySet<string>,
  before: ContactContent | undefined,
  after: ContactContent,
): store.ValueChange[] {
  const ids = new Set([...Object.keys(before?.values ?? {}), ...Object.keys(after.values)]);
  return [...ids].flatMap((propertyId) => {
    const value = after.values[propertyId];
    if (!filterable.has(propertyId) || value === before?.values[propertyId]) return [];
    const valueHash = value === undefined ? null : propertyValueHash(keys, propertyId, value);
    return [{ propertyId, valueHash }];
  });
}

/** Never an address: ids and numbers. */
export function auditsOf(
  { actor }: ServiceContext,
  created: readonly { readonly id: string }[],
  changed: readonly { readonly id: string }[],
  joined: readonly string[],
): store.ContactAudits {
  const entry = (action: string, ids: readonly string[]) => ({
    actor: actorName(actor),
    action,
    target: ids.length === 1 ? (ids[0] ?? '') : 'contacts',
    details: { count: ids.length },
  });
  return {
    created: entry(
      'contact.created',
      created.map(({ id }) => id),
    ),
    updated: entry(
      'contact.updated',
      changed.map(({ id }) => id),
    ),
    joined: entry('contact.added_to_list', joined),
  };
}

function goneMeanwhile(error: unknown): never {
  if (!isForeignKeyFault(error)) throw error;
  throw new AppError('conflict', { reason: 'A list or a topic was deleted at the same moment.' });
}
