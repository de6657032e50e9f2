/** Parsed templates, for a short time in this isolate: a request that sends needs no read and no parsing. */
import { AppError } from '../errors.ts';
import { type EmailTemplate, parseEmailTemplate } from '../render/email-template.ts';
import { findTemplate, type VersionKind } from '../store/templates.ts';
import { getDataKeys } from './account-state.ts';
import { ExpiringCache } from './expiring-cache.ts';
import type { ServiceContext } from './service-context.ts';
import { openContent, partsOf, type TemplateContent } from './template-content.ts';
import { templateKey } from './template-key.ts';

export interface ReadyTemplate {
  readonly id: string;
  readonly versionId: string;
  readonly content: TemplateContent;
  readonly parsed: EmailTemplate;
}

/** What is published elsewhere is sent here after this time at the latest. */
const TTL_MS = 10_000;
const MAX_WEIGHT = 8 * 1024 * 1024;

const published = new ExpiringCache<ReadyTemplate>({
  ttlMs: TTL_MS,
  maxEntries: 500,
  maxWeight: MAX_WEIGHT,
  weightOf: ({ parsed }) => Object.values(parsed).reduce((sum, part) => sum + 2 * part.weight, 0),
});

export function findPublished(
  context: ServiceContext,
  idOrAlias: string,
): Promise<ReadyTemplate | undefined> {
  const key = `${context.scope.accountId}/${idOrAlias}`;
  return published.find(key, () => findReady(context, idOrAlias, 'published'));
}

export async function findReady(
  context: ServiceContext,
  idOrAlias: string,
  kind: VersionKind,
): Promise<ReadyTemplate | undefined> {
  const keys = await getDataKeys(context);
  const record = await findTemplate(context.scope, templateKey(keys, idOrAlias), kind);
  if (!record) return undefined;
  const { id, versionId, sealedContent } = record;
  const content = openContent(keys, context.scope.accountId, versionId, sealedContent);
  const result = parseEmailTemplate(partsOf(content));
  // It was parsed before it was saved: only an older version of the language can have let it through.
  if (!result.ok) throw new AppError('invalid_field', { field: result.field, reason: result.reason });
  return { id, versionId, content, parsed: result.template };
}

/** A template of the account changed in this isolate. */
export function forgetTemplates(accountId: string): void {
  published.forget((_template, key) => key.startsWith(`${accountId}/`));
}
