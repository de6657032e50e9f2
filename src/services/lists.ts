/** Lists: of members, or of those for whom a filter holds. What the `resend` SDK calls segments or audiences. */
import type { SealingKey } from '../crypto/seal.ts';
import { sealJson, unsealJson } from '../crypto/sealed-json.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { parseMailbox } from '../mime/address.ts';
import { checkHeaderText } from '../mime/characters.ts';
import * as store from '../store/lists.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { MemberStatus } from '../store/schema/lists.ts';
import { findSendingDomain, getDataKeys, refuseUnconfirmed } from './account-state.ts';
import type { Language } from './languages.ts';
import { changedMeanwhile, emptyInSteps } from './sealed-resource.ts';
import { compileFilter, type Filter } from './segment-filter.ts';
import { actorName, type ServiceContext } from './service-context.ts';

const MAX_LISTS = 1000;

export interface List {
  readonly id: string;
  readonly name: string;
  /** null: its members are those who were put on it. */
  readonly filter: Filter | null;
  /** Who is put on it counts once he has confirmed. */
  readonly doubleOptIn: boolean;
  /** How people are asked for it. Kept while it is switched off. */
  readonly confirmation: Confirmation | null;
  readonly createdAt: number;
}

export interface Confirmation {
  /** Of a verified domain of the account when it was set. */
  readonly from: string;
  /** null: a text of ours that names the list. */
  readonly subject: string | null;
  readonly language: Language;
}

/** What is absent stays as it is. */
export interface ConfirmationInput {
  readonly from?: string | undefined;
  readonly subject?: string | null | undefined;
  readonly language?: Language | undefined;
}

interface Content {
  readonly name: string;
  readonly filter?: Filter;
  readonly confirmation?: Confirmation;
}

export async function createList(
  context: ServiceContext,
  input: {
    readonly name: string;
    readonly filter?: Filter | undefined;
    readonly doubleOptIn: boolean;
    readonly confirmation?: ConfirmationInput;
  },
): Promise<List> {
  await refuseUnconfirmed(context);
  const { scope, actor } = context;
  const { name, filter, doubleOptIn } = input;
  // A filter that cannot be read would be found out by the broadcast.
  if (filter) await compileFilter(context, filter);
  checkKind(filter !== undefined, doubleOptIn);
  const confirmation = await confirmationOf(context, input.confirmation ?? {});
  checkAsks(doubleOptIn, confirmation);
  const keys = await getDataKeys(context);
  const createdAt = Date.now();
  const id = newId('list', createdAt);
  const content: Content = { name, ...(filter && { filter }), ...(confirmation && { confirmation }) };
  const sealed = sealJson(keys, placeOf(scope.accountId, id), content);
  const audit = { actor: actorName(actor), action: 'list.created', target: id };
  const row = { id, sealed, isDynamic: filter !== undefined, doubleOptIn, createdAt, updatedAt: createdAt };
  if (!(await store.insertList(scope, row, { limit: MAX_LISTS, audit }))) {
    throw new AppError('conflict', { reason: `This account has ${MAX_LISTS} lists already.` });
  }
  return { id, name, filter: filter ?? null, doubleOptIn, confirmation: confirmation ?? null, createdAt };
}

export async function getList(context: ServiceContext, id: string): Promise<List> {
  const record = await store.findList(context.scope, id);
  if (!record) throw listNotFound();
  return opened(context, await getDataKeys(context), record);
}

export async function listLists(context: ServiceContext, page: PageOf): Promise<Page<List>> {
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listLists(context.scope, page);
  return { rows: rows.map((record) => opened(context, keys, record)), hasMore };
}

/** The lists a contact was put on, with his status on each. */
export async function listListsOfContact(
  context: ServiceContext,
  contactId: string,
  page: PageOf,
): Promise<Page<List & { readonly status: MemberStatus }>> {
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listListsOfContact(context.scope, contactId, page);
  return {
    rows: rows.map((record) => ({ ...opened(context, keys, record), status: record.status })),
    hasMore,
  };
}

export async function updateList(
  context: ServiceContext,
  id: string,
  change: {
    readonly name?: string | undefined;
    readonly filter?: Filter | undefined;
    readonly doubleOptIn?: boolean | undefined;
    readonly confirmation?: ConfirmationInput;
  },
): Promise<void> {
  const { scope, actor } = context;
  const record = await store.findList(scope, id);
  if (!record) throw listNotFound();
  const { filter, name, doubleOptIn = record.doubleOptIn } = change;
  if (filter && !record.isDynamic) {
    throw new AppError('invalid_field', { field: 'filter', reason: 'this list has members of its own' });
  }
  checkKind(record.isDynamic, doubleOptIn);
  if (filter) await compileFilter(context, filter);
  const keys = await getDataKeys(context);
  const place = placeOf(scope.accountId, id);
  const known = unsealJson<Content>(keys, place, record.sealed);
  const confirmation = await confirmationOf(context, change.confirmation ?? {}, known.confirmation);
  if (change.doubleOptIn || change.confirmation) checkAsks(doubleOptIn, confirmation);
  const content: Content = {
    ...known,
    ...(name !== undefined && { name }),
    ...(filter && { filter }),
    ...(confirmation && { confirmation }),
  };
  const audit = { actor: actorName(actor), action: 'list.updated', target: id };
  const set = { sealed: sealJson(keys, place, content), doubleOptIn, knownAt: record.updatedAt };
  if (!(await store.updateList(scope, id, set, audit))) throw changedMeanwhile();
}

/** The contacts stay. False where there is no such list. */
export async function deleteList(context: ServiceContext, id: string): Promise<boolean> {
  const { scope, actor } = context;
  await emptyInSteps((limit) => store.thinList(scope, id, limit));
  const audit = { actor: actorName(actor), action: 'list.deleted', target: id };
  return store.deleteList(scope, id, audit);
}

/** With the status that somebody gets who is put on them. `fieldOf` names the field of an id. */
export async function joinableLists(
  context: ServiceContext,
  ids: readonly string[],
  fieldOf: (index: number) => string,
): Promise<{ readonly id: string; readonly status: MemberStatus }[]> {
  const found = new Map((await store.findLists(context.scope, ids)).map((list) => [list.id, list]));
  return ids.map((id, index) => {
    const list = found.get(id);
    if (list && !list.isDynamic) return joinable(list);
    const reason = list ? 'is of a list that has a filter' : 'is not of a list of this account';
    throw new AppError('invalid_field', { field: fieldOf(index), reason });
  });
}

/** A list, with the status that somebody gets who is put on it. */
export function joinable({ id, doubleOptIn }: store.ListRecord): {
  readonly id: string;
  readonly status: MemberStatus;
} {
  return { id, status: doubleOptIn ? 'pending' : 'confirmed' };
}

/** Those on which somebody who is put there has yet to confirm. */
export function pendingIds(lists: Awaited<ReturnType<typeof joinableLists>>): string[] {
  return lists.flatMap(({ id, status }) => (status === 'pending' ? [id] : []));
}

export function listNotFound(): AppError {
  // As the service whose SDK calls this says it.
  return new AppError('not_found', { what: 'Audience' });
}

function checkKind(isDynamic: boolean, doubleOptIn: boolean): void {
  if (isDynamic && doubleOptIn) {
    throw new AppError('invalid_field', {
      field: 'double_opt_in',
      reason: 'nobody joins a list that has a filter',
    });
  }
}

/** Throws where the sender is not an address that the account may send from. */
async function confirmationOf(
  { scope }: ServiceContext,
  input: ConfirmationInput,
  known?: Confirmation,
): Promise<Confirmation | undefined> {
  const { from = known?.from, subject = known?.subject ?? null, language = known?.language ?? 'en' } = input;
  if (input.from !== undefined) {
    const parsed = parseMailbox(input.from);
    const field = 'confirmation_from';
    if (!parsed.ok) throw new AppError('invalid_field', { field, reason: parsed.reason });
    const domain = await findSendingDomain(scope, parsed.mailbox.domain);
    if (domain?.status !== 'verified') {
      throw new AppError('invalid_field', { field, reason: 'is not of a verified domain of this account' });
    }
  }
  const problem = subject === null ? undefined : checkHeaderText('subject', subject);
  if (problem) throw new AppError('invalid_field', { field: 'confirmation_subject', reason: problem });
  if (from === undefined) {
    const given = input.subject !== undefined || input.language !== undefined;
    if (given) throw new AppError('missing_field', { field: 'confirmation_from' });
    return undefined;
  }
  return { from, subject, language };
}

function checkAsks(doubleOptIn: boolean, confirmation: Confirmation | undefined): void {
  if (doubleOptIn && !confirmation) throw new AppError('missing_field', { field: 'confirmation_from' });
}

function opened(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  { id, sealed, doubleOptIn, createdAt }: store.ListRecord,
): List {
  const { name, filter, confirmation } = unsealJson<Content>(keys, placeOf(scope.accountId, id), sealed);
  return { id, name, filter: filter ?? null, doubleOptIn, confirmation: confirmation ?? null, createdAt };
}

function placeOf(accountId: string, rowId: string) {
  return { accountId, table: 'lists', column: 'sealed', rowId };
}
