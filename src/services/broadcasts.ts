/** Broadcasts: drafts that are written here, and what became of those that were handed over to the Outbox. */
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { isId, newId } from '../ids.ts';
import { type BroadcastApi, type BroadcastRun, broadcastDeskOf } from '../outbox/client.ts';
import * as store from '../store/broadcasts.ts';
import { isUniqueFault } from '../store/faults.ts';
import { findLists } from '../store/lists.ts';
import type { Page, PageOf } from '../store/page.ts';
import { findTopics } from '../store/topics.ts';
import { getDataKeys, refuseUnconfirmed } from './account-state.ts';
import {
  type BroadcastContent,
  type BroadcastInput,
  broadcastContentOf,
  openBroadcast,
  openBroadcastName,
  sealBroadcast,
  sealBroadcastName,
} from './broadcast-content.ts';
import { changedMeanwhile } from './sealed-resource.ts';
import { actorName, type ServiceContext } from './service-context.ts';
import { findPublished } from './template-cache.ts';

const UNTITLED = 'Untitled';
/** So long after it was handed over, a broadcast that the Outbox does not know may be on its way there. */
const HAND_OVER_MS = 60_000;

export interface BroadcastDraftInput extends BroadcastInput {
  readonly name?: string | null | undefined;
  readonly listId?: string | undefined;
  readonly topicId?: string | null | undefined;
}

export type BroadcastStatus = BroadcastRun['status'] | 'draft';

export interface BroadcastOverview {
  readonly id: string;
  readonly name: string;
  readonly listId: string;
  readonly topicId: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly status: BroadcastStatus;
  /** Absent: it is a draft, or was sent longer ago than is kept. */
  readonly run?: BroadcastRun;
}

export interface BroadcastDetail extends BroadcastOverview {
  readonly content: BroadcastContent;
}

/** As it lies in D1, opened. */
export interface OpenBroadcast {
  readonly record: store.BroadcastWithContent;
  readonly content: BroadcastContent;
  readonly name: string;
}

interface Written {
  readonly listId: string;
  readonly topicId: string | null;
  readonly content: BroadcastContent;
}

export interface CreateOptions {
  /** What the request calls the id of the list. */
  readonly fieldOfList: string;
  /** May throw before anything is written. */
  readonly check?: (draft: Written) => Promise<unknown>;
  readonly request?: store.BroadcastRequest | undefined;
}

export async function createBroadcast(
  context: ServiceContext,
  input: BroadcastDraftInput,
  { fieldOfList, check, request }: CreateOptions,
): Promise<string> {
  const { listId, name, topicId = null } = input;
  if (listId === undefined) throw new AppError('missing_field', { field: fieldOfList });
  const content = await checkedContent(context, input);
  await checkAudience(context, { listId, topicId, fieldOfList });
  await check?.({ listId, topicId, content });
  const broadcast = { name: name ?? UNTITLED, listId, topicId, content };
  return insert(context, broadcast, { action: 'broadcast.created', request });
}

export async function duplicateBroadcast(context: ServiceContext, id: string): Promise<string> {
  const { record, content, name } = await getOpen(context, id);
  const { fixed: _fixed, ...written } = content;
  const { listId, topicId } = record;
  const copy = { name: `${name} (copy)`, listId, topicId, content: written };
  return insert(context, copy, { action: 'broadcast.duplicated' });
}

export async function getBroadcast(context: ServiceContext, id: string): Promise<BroadcastDetail> {
  const { record, content, name } = await getOpen(context, id);
  return { ...overviewOf(record, name, await findRun(context, record)), content };
}

export async function listBroadcasts(
  context: ServiceContext,
  page: PageOf,
): Promise<Page<BroadcastOverview>> {
  const { accountId } = context.scope;
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listBroadcasts(context.scope, page);
  const sent = rows.filter(({ handedOverAt }) => handedOverAt !== null).map(({ id }) => id);
  const runs = sent.length > 0 ? await broadcastsOf(context).find(sent) : [];
  const byId = new Map(runs.map((run) => [run.id, run]));
  return {
    rows: rows.map((record) =>
      overviewOf(record, openBroadcastName(keys, accountId, record), byId.get(record.id)),
    ),
    hasMore,
  };
}

/** Of a draft only. */
export async function updateBroadcast(
  context: ServiceContext,
  id: string,
  change: BroadcastDraftInput,
  fieldOfList: string,
): Promise<void> {
  const { scope, actor } = context;
  const keys = await getDataKeys(context);
  const { record, content: old, name: oldName } = await getOpen(context, id);
  const status = statusOf(record, await findRun(context, record));
  if (status !== 'draft') throw notDraft(status, 'changed');
  refuseOnItsWay(record);
  const { listId = record.listId, name } = change;
  const topicId = change.topicId === undefined ? record.topicId : change.topicId;
  const content = await checkedContent(context, change, old);
  await checkAudience(context, {
    ...(change.listId !== undefined && { listId }),
    topicId: change.topicId ?? null,
    fieldOfList,
  });
  const { accountId } = scope;
  const set = {
    listId,
    topicId,
    sealedName: sealBroadcastName(keys, accountId, id, name === null ? UNTITLED : (name ?? oldName)),
    sealedContent: sealBroadcast(keys, accountId, id, content),
    ...NOT_HANDED_OVER,
  };
  const audit = { actor: actorName(actor), action: 'broadcast.updated', target: id };
  if (!(await store.updateBroadcast(scope, record, set, audit))) throw changedMeanwhile();
}

export const NOT_HANDED_OVER = {
  handedOverAt: null,
  scheduledAt: null,
  startedAt: null,
  endedAs: null,
  origin: null,
} as const;

const REMOVABLE: readonly BroadcastStatus[] = ['draft', 'sent', 'canceled', 'failed'];

/** Of a draft, or of one that is over: the emails that it was sent as stay. */
export async function deleteBroadcast(context: ServiceContext, id: string): Promise<void> {
  const { scope, actor } = context;
  const record = await getRecord(context, id);
  const status = statusOf(record, await findRun(context, record));
  if (!REMOVABLE.includes(status)) throw notDraft(status, 'removed');
  if (status === 'draft') refuseOnItsWay(record);
  const audit = { actor: actorName(actor), action: 'broadcast.deleted', target: id };
  if (!(await store.deleteBroadcast(scope, record, audit))) throw changedMeanwhile();
}

export async function getOpen(context: ServiceContext, id: string): Promise<OpenBroadcast> {
  const record = isId('broadcast', id) ? await store.findBroadcast(context.scope, id) : undefined;
  if (!record) throw broadcastNotFound();
  const keys = await getDataKeys(context);
  const { accountId } = context.scope;
  return {
    record,
    content: openBroadcast(keys, accountId, record),
    name: openBroadcastName(keys, accountId, record),
  };
}

export async function getRecord(context: ServiceContext, id: string): Promise<store.BroadcastRecord> {
  const record = isId('broadcast', id) ? await store.findBroadcastRecord(context.scope, id) : undefined;
  if (!record) throw broadcastNotFound();
  return record;
}

/** Of what the Outbox does not keep any more, only that it was sent is known, and how that ended. */
export function statusOf(
  { startedAt, endedAs }: store.BroadcastRecord,
  run: BroadcastRun | undefined,
): BroadcastStatus {
  return run?.status ?? endedAs ?? (startedAt === null ? 'draft' : 'sent');
}

/** undefined where the Outbox does not know it, as it knows no draft. */
export async function findRun(
  context: ServiceContext,
  { id, handedOverAt }: store.BroadcastRecord,
): Promise<BroadcastRun | undefined> {
  return handedOverAt === null ? undefined : (await broadcastsOf(context).find([id]))[0];
}

export function broadcastsOf({ env, scope }: ServiceContext): BroadcastApi {
  return broadcastDeskOf(env, scope.accountId);
}

export function notDraft(status: BroadcastStatus, what: string): AppError {
  return new AppError('conflict', { reason: `This broadcast is ${status}, and cannot be ${what}.` });
}

export function broadcastNotFound(): AppError {
  return new AppError('not_found', { what: 'Broadcast' });
}

/** Somebody who sends it may be between the two steps of that: what is sent must be what was checked. */
function refuseOnItsWay({ handedOverAt }: store.BroadcastRecord): void {
  if (handedOverAt !== null && handedOverAt > Date.now() - HAND_OVER_MS) {
    throw new AppError('conflict', {
      reason: 'This broadcast is being handed over at this moment. Try again.',
    });
  }
}

async function checkedContent(
  context: ServiceContext,
  input: BroadcastInput,
  old?: BroadcastContent,
): Promise<BroadcastContent> {
  const content = broadcastContentOf(input, old);
  const { template } = content;
  if (!template || input.template == null) return content;
  const found = await findPublished(context, template.id);
  if (!found) throw templateNotFound();
  return { ...content, template: { ...template, id: found.id } };
}

export function templateNotFound(): AppError {
  const reason = 'this account has no published template of this id or alias';
  return new AppError('invalid_field', { field: 'template.id', reason });
}

async function checkAudience(
  { scope }: ServiceContext,
  given: {
    readonly listId?: string | undefined;
    readonly topicId: string | null;
    readonly fieldOfList: string;
  },
): Promise<void> {
  const { listId, topicId, fieldOfList } = given;
  if (listId !== undefined && (await findLists(scope, [listId])).length === 0) {
    const reason = 'is not of a list of this account';
    throw new AppError('invalid_field', { field: fieldOfList, reason });
  }
  if (topicId !== null && (await findTopics(scope, [topicId])).length === 0) {
    const reason = 'is not of a topic of this account';
    throw new AppError('invalid_field', { field: 'topic_id', reason });
  }
}

async function insert(
  context: ServiceContext,
  broadcast: Written & { readonly name: string },
  { action, request }: { readonly action: string; readonly request?: store.BroadcastRequest | undefined },
): Promise<string> {
  await refuseUnconfirmed(context);
  const { scope, actor } = context;
  const { name, listId, topicId, content } = broadcast;
  const keys: readonly SealingKey[] = await getDataKeys(context);
  const nowMs = Date.now();
  const id = newId('broadcast', nowMs);
  const row = {
    id,
    listId,
    topicId,
    sealedName: sealBroadcastName(keys, scope.accountId, id, name),
    sealedContent: sealBroadcast(keys, scope.accountId, id, content),
    createdAt: nowMs,
    updatedAt: nowMs,
    ...NOT_HANDED_OVER,
  };
  try {
    const audit = { actor: actorName(actor), action, target: id };
    await store.insertBroadcast(scope, row, { request, audit });
    return id;
  } catch (error) {
    // The same request, at the same moment.
    if (isUniqueFault(error)) throw new AppError('idempotency_in_progress');
    throw error;
  }
}

function overviewOf(
  record: store.BroadcastRecord,
  name: string,
  run: BroadcastRun | undefined,
): BroadcastOverview {
  const { id, listId, topicId, createdAt, updatedAt } = record;
  const status = statusOf(record, run);
  return { id, name, listId, topicId, createdAt, updatedAt, status, ...(run && { run }) };
}
