/** Templates of emails: a draft that is edited, and the version that is published and sent. */
import type { SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { Page, PageOf } from '../store/page.ts';
import * as store from '../store/templates.ts';
import { getDataKeys, refuseUnconfirmed } from './account-state.ts';
import { actorName, type ServiceContext } from './service-context.ts';
import { forgetTemplates } from './template-cache.ts';
import {
  aliasHash,
  contentOf,
  labelOf,
  openContent,
  openLabel,
  sealContent,
  sealLabel,
  type TemplateContent,
  type TemplateInput,
  type TemplateLabel,
} from './template-content.ts';
import { templateKey } from './template-key.ts';

export interface TemplateOverview extends TemplateLabel {
  readonly id: string;
  readonly isPublished: boolean;
  readonly publishedAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface TemplateDetail extends TemplateOverview {
  readonly content: TemplateContent;
  readonly versionId: string;
  readonly hasUnpublishedVersions: boolean;
}

/** Others may have edited it in between; each attempt starts from what is there by then. */
const MAX_ATTEMPTS = 3;

export async function createTemplate(context: ServiceContext, input: TemplateInput): Promise<string> {
  const nowMs = Date.now();
  return insert(context, labelOf(input), contentOf(input, nowMs), { action: 'template.created', nowMs });
}

/** The draft under another id, without the alias. */
export async function duplicateTemplate(context: ServiceContext, idOrAlias: string): Promise<string> {
  const { content, name } = await getTemplate(context, idOrAlias);
  const label = { name: `${name} (copy)`, alias: null };
  return insert(context, label, content, { action: 'template.duplicated', nowMs: Date.now() });
}

/** With the content that is edited, published or not. */
export async function getTemplate(context: ServiceContext, idOrAlias: string): Promise<TemplateDetail> {
  const keys = await getDataKeys(context);
  const record = await store.findTemplate(context.scope, templateKey(keys, idOrAlias), 'draft');
  if (!record) throw notFound();
  return detailOf(context, keys, record);
}

export async function listTemplates(context: ServiceContext, page: PageOf): Promise<Page<TemplateOverview>> {
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listTemplates(context.scope, page);
  return { rows: rows.map((record) => overviewOf(context, keys, record)), hasMore };
}

/** A published version stays as it is: the change goes into the draft. Name and alias change at once. */
export async function updateTemplate(
  context: ServiceContext,
  idOrAlias: string,
  change: { readonly [K in keyof TemplateInput]?: TemplateInput[K] | undefined },
): Promise<string> {
  const { scope } = context;
  const keys = await getDataKeys(context);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const nowMs = Date.now();
    const record = await store.findTemplate(scope, templateKey(keys, idOrAlias), 'draft');
    if (!record) throw notFound();
    const { id, versionId } = record;
    const old = detailOf(context, keys, record);
    const label = labelOf(change, { name: old.name, alias: old.alias });
    const content = contentOf(change, nowMs, old.content);
    const next = sealed(context, keys, { id, label, content, nowMs });
    const isDone = await store.replaceDraft(scope, versionId, next, auditOf(context, 'template.updated')(id));
    if (isDone) {
      forgetTemplates(scope.accountId);
      return id;
    }
    await refuseTakenAlias(context, keys, label, id);
  }
  throw new AppError('conflict', {
    reason: 'The template was changed by others at the same time. Try again.',
  });
}

export async function publishTemplate(context: ServiceContext, idOrAlias: string): Promise<string> {
  const { scope } = context;
  const key = templateKey(await getDataKeys(context), idOrAlias);
  const id = await store.publishDraft(scope, key, Date.now(), auditOf(context, 'template.published'));
  if (id === undefined) throw notFound();
  forgetTemplates(scope.accountId);
  return id;
}

export async function removeTemplate(context: ServiceContext, idOrAlias: string): Promise<string> {
  const { scope } = context;
  const key = templateKey(await getDataKeys(context), idOrAlias);
  const id = await store.deleteTemplate(scope, key, auditOf(context, 'template.removed'));
  if (id === undefined) throw notFound();
  forgetTemplates(scope.accountId);
  return id;
}

async function insert(
  context: ServiceContext,
  label: TemplateLabel,
  content: TemplateContent,
  { action, nowMs }: { readonly action: string; readonly nowMs: number },
): Promise<string> {
  await refuseUnconfirmed(context);
  const keys = await getDataKeys(context);
  const id = newId('template', nowMs);
  const row = sealed(context, keys, { id, label, content, nowMs });
  if (!(await store.insertTemplate(context.scope, row, auditOf(context, action)(id)))) throw aliasTaken();
  return id;
}

function sealed(
  { scope: { accountId } }: ServiceContext,
  keys: readonly SealingKey[],
  template: {
    readonly id: string;
    readonly label: TemplateLabel;
    readonly content: TemplateContent;
    readonly nowMs: number;
  },
): store.NewTemplateVersion {
  const { id, label, content, nowMs } = template;
  const versionId = newId('templateVersion', nowMs);
  return {
    id,
    versionId,
    aliasHash: label.alias === null ? null : aliasHash(keys, label.alias),
    sealedLabel: sealLabel(keys, accountId, id, label),
    sealedContent: sealContent(keys, accountId, versionId, content),
    nowMs,
  };
}

async function refuseTakenAlias(
  context: ServiceContext,
  keys: readonly SealingKey[],
  { alias }: TemplateLabel,
  id: string,
): Promise<void> {
  if (alias === null) return;
  const holder = await store.findTemplate(context.scope, { aliasHash: aliasHash(keys, alias) }, 'draft');
  if (holder && holder.id !== id) throw aliasTaken();
}

function overviewOf(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  record: store.TemplateRecord,
): TemplateOverview {
  const { id, sealedLabel, publishedVersionId, publishedAt, createdAt, updatedAt } = record;
  const label = openLabel(keys, scope.accountId, id, sealedLabel);
  return { id, ...label, isPublished: publishedVersionId !== null, publishedAt, createdAt, updatedAt };
}

function detailOf(
  context: ServiceContext,
  keys: readonly SealingKey[],
  record: store.TemplateWithContent,
): TemplateDetail {
  const { versionId, sealedContent, draftVersionId, publishedVersionId } = record;
  return {
    ...overviewOf(context, keys, record),
    content: openContent(keys, context.scope.accountId, versionId, sealedContent),
    versionId,
    hasUnpublishedVersions: draftVersionId !== publishedVersionId,
  };
}

function auditOf({ actor }: ServiceContext, action: string) {
  return (target: string) => ({ actor: actorName(actor), action, target });
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Template' });
}

function aliasTaken(): AppError {
  return new AppError('conflict', { reason: 'Another template of this account has this alias.' });
}
