/**
 * A broadcast's way from a draft to the Outbox that runs it. It is written down in D1 that it was handed over, with all
 * that the run needs, and then the run is started; whoever repeats the request after a crash in between does the same.
 */
import { AppError } from '../errors.ts';
import { parseMailbox } from '../mime/address.ts';
import type { BroadcastRun } from '../outbox/client.ts';
import { variableValues } from '../render/template-variables.ts';
import { insertAudit } from '../store/audit-log.ts';
import * as store from '../store/broadcasts.ts';
import { findSendingAccount, getDataKeys } from './account-state.ts';
import { type BroadcastContent, OWN_VARIABLES, sealBroadcast } from './broadcast-content.ts';
import { readyBroadcast } from './broadcast-mail.ts';
import {
  broadcastsOf,
  findRun,
  getOpen,
  getRecord,
  NOT_HANDED_OVER,
  notDraft,
  statusOf,
  templateNotFound,
} from './broadcasts.ts';
import { recipientSelection } from './contact-pages.ts';
import { readScheduledTime } from './scheduled-time.ts';
import { changedMeanwhile } from './sealed-resource.ts';
import { findAllowedDomain, refuseInactive, type SendOptions } from './send-emails.ts';
import { actorName, type ServiceContext } from './service-context.ts';
import { findPublished } from './template-cache.ts';
import { originOf } from './unsubscribe-links.ts';

export interface BroadcastSending extends Pick<SendOptions, 'boundDomainId'> {
  readonly scheduledAt?: string | undefined;
}

const GONE = 'The list or the topic of this broadcast was deleted. Choose another one.';

/** Throws where it cannot be sent; then it stays a draft, and what it is like is told. */
export async function sendBroadcast(
  context: ServiceContext,
  id: string,
  sending: BroadcastSending,
): Promise<BroadcastRun> {
  const { scope, actor } = context;
  const { record, content } = await getOpen(context, id);
  const scheduledAtMs = timeOf(sending);
  const known = await findRun(context, record);
  if (known) return repeated(known, scheduledAtMs);
  const status = statusOf(record, known);
  if (status !== 'draft') throw notDraft(status, 'sent again');
  const fixed = await checkSendable(context, { content, ...audienceOf(record) }, sending);
  const nowMs = Date.now();
  const sealedContent = sealBroadcast(await getDataKeys(context), scope.accountId, id, fixed);
  const set = {
    handedOverAt: nowMs,
    scheduledAt: scheduledAtMs ?? null,
    origin: originOf(context) ?? null,
    sealedContent,
  };
  const action = scheduledAtMs === undefined ? 'broadcast.handed_over' : 'broadcast.scheduled';
  const audit = { actor: actorName(actor), action, target: id };
  if (!(await store.updateBroadcast(scope, record, set, audit))) throw changedMeanwhile();
  const run = await broadcastsOf(context).start({
    id,
    ...(scheduledAtMs !== undefined && { scheduledAtMs }),
  });
  // Another request may have been faster.
  return repeated(run, scheduledAtMs);
}

/** One that has not begun is a draft again; of one that has, nothing more is sent. */
export async function cancelBroadcast(
  context: ServiceContext,
  id: string,
): Promise<BroadcastRun | undefined> {
  const { scope, actor } = context;
  const record = await getRecord(context, id);
  if (record.handedOverAt === null) throw isDraft('canceled');
  await insertAudit(scope, { actor: actorName(actor), action: 'broadcast.cancel_requested', target: id });
  const outcome = await broadcastsOf(context).cancel(id);
  if (outcome === 'not_found' || outcome === 'conflict') throw await refusal(context, record, 'canceled');
  if (outcome !== 'draft_again') {
    const canceled = { actor: actorName(actor), action: 'broadcast.canceled', target: id };
    await store.markEnded(scope, id, 'canceled', canceled);
    return outcome.run;
  }
  const audit = { actor: actorName(actor), action: 'broadcast.draft_again', target: id };
  // Whoever changed it in between found a draft already.
  await store.updateBroadcast(scope, record, NOT_HANDED_OVER, audit);
  return undefined;
}

export async function steerBroadcast(
  context: ServiceContext,
  id: string,
  verb: 'pause' | 'resume',
): Promise<BroadcastRun> {
  const { scope, actor } = context;
  const record = await getRecord(context, id);
  const done = verb === 'pause' ? 'paused' : 'resumed';
  if (record.handedOverAt === null) throw isDraft(done);
  await insertAudit(scope, { actor: actorName(actor), action: `broadcast.${verb}_requested`, target: id });
  const outcome = await broadcastsOf(context)[verb](id);
  if (outcome === 'not_found' || outcome === 'conflict') throw await refusal(context, record, done);
  return outcome.run;
}

export function timeOf({ scheduledAt }: BroadcastSending): number | undefined {
  if (scheduledAt === undefined) return undefined;
  return readScheduledTime(scheduledAt, 'scheduled_at', Date.now()).atMs;
}

/** The same once more is no error while it is under way; anything else is. */
function repeated(run: BroadcastRun, scheduledAtMs: number | undefined): BroadcastRun {
  const isUnderWay = run.status === 'scheduled' || run.status === 'queued' || run.status === 'sending';
  if (isUnderWay && run.scheduledAtMs === scheduledAtMs) return run;
  throw notDraft(run.status, 'sent again');
}

function audienceOf({ listId, topicId }: store.BroadcastRecord) {
  return { listId, topicId };
}

/** The content as it will be sent. Throws whatever would keep it from being sent. */
export async function checkSendable(
  context: ServiceContext,
  draft: {
    readonly content: BroadcastContent;
    readonly listId: string;
    readonly topicId: string | null;
  },
  { boundDomainId }: BroadcastSending,
): Promise<BroadcastContent> {
  const { env, scope } = context;
  const account = await findSendingAccount(env, scope);
  if (!account) throw new AppError('unavailable');
  refuseInactive(account, false);
  if (originOf(context) === undefined) throw new AppError('unavailable');
  const { listId, topicId } = draft;
  try {
    await recipientSelection(context, { listId, topicId: topicId ?? undefined });
  } catch (error) {
    const isGone = error instanceof AppError && error.code === 'not_found';
    throw isGone ? new AppError('conflict', { reason: GONE }) : error;
  }
  const content = await withTemplate(context, draft.content);
  const from = content.from ?? content.fixed?.from ?? null;
  if (from === null) throw new AppError('missing_field', { field: 'from' });
  if ((content.subject ?? content.fixed?.subject ?? null) === null) {
    throw new AppError('missing_field', { field: 'subject' });
  }
  const parsed = parseMailbox(from);
  if (!parsed.ok) throw new AppError('invalid_from', { reason: parsed.reason });
  await findAllowedDomain(context, parsed.mailbox.domain, { boundDomainId });
  if (!readyBroadcast(content))
    throw new AppError('conflict', { reason: 'This broadcast cannot be rendered.' });
  return content;
}

/** With what is published of its template by now: a version that is published later changes nothing. */
export async function withTemplate(
  context: ServiceContext,
  content: BroadcastContent,
): Promise<BroadcastContent> {
  const { fixed: _old, ...written } = content;
  if (!content.template) return written;
  const found = await findPublished(context, content.template.id);
  if (!found) throw templateNotFound();
  const { from, subject, replyTo, html, text, variables } = found.content;
  const declared = variables.filter(({ key }) => !OWN_VARIABLES.has(key));
  const checked = variableValues(declared, content.template.variables);
  if (!checked.ok) {
    const field = `template.variables.${checked.key}`;
    if (checked.reason === undefined) throw new AppError('missing_field', { field });
    throw new AppError('invalid_field', { field, reason: checked.reason });
  }
  return { ...written, fixed: { from, subject, replyTo, html, text, values: checked.values } };
}

function isDraft(what: string): AppError {
  return new AppError('conflict', { reason: `This broadcast is a draft: there is nothing to be ${what}.` });
}

async function refusal(
  context: ServiceContext,
  record: store.BroadcastRecord,
  what: string,
): Promise<AppError> {
  const status = statusOf(record, await findRun(context, record));
  return status === 'draft' ? isDraft(what) : notDraft(status, what);
}
