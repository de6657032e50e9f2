/** Templates and their versions. At most two versions are kept: the published one, and what is edited. */
import { and, eq, isNull, ne, notExists, or, sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/sqlite-core';
import { type AuditEntry, auditOfChange } from './audit-log.ts';
import { type AccountScope, atomically } from './db.ts';
import { type Page, type PageOf, pageClauses, toPage } from './page.ts';
import { templates, templateVersions } from './schema/templates.ts';

export interface TemplateRecord {
  readonly id: string;
  readonly sealedLabel: Uint8Array;
  readonly draftVersionId: string;
  readonly publishedVersionId: string | null;
  readonly publishedAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface TemplateWithContent extends TemplateRecord {
  /** Of the version that was asked for. */
  readonly versionId: string;
  readonly sealedContent: Uint8Array;
}

/** What a write puts in place. */
export interface NewTemplateVersion {
  readonly id: string;
  readonly versionId: string;
  readonly aliasHash: string | null;
  readonly sealedLabel: Uint8Array;
  readonly sealedContent: Uint8Array;
  readonly nowMs: number;
}

/** One template, by its id or by its alias. */
export type TemplateKey = { readonly id: string } | { readonly aliasHash: string };
export type VersionKind = 'draft' | 'published';

const columns = {
  id: templates.id,
  sealedLabel: templates.sealedLabel,
  draftVersionId: templates.draftVersionId,
  publishedVersionId: templates.publishedVersionId,
  publishedAt: templates.publishedAt,
  createdAt: templates.createdAt,
  updatedAt: templates.updatedAt,
};

/** False where the account has another template of this alias. */
export async function insertTemplate(
  scope: AccountScope,
  template: NewTemplateVersion,
  audit: AuditEntry,
): Promise<boolean> {
  const { db, accountId } = scope;
  const { id, versionId, aliasHash, sealedLabel, nowMs } = template;
  const [inserted] = await atomically(scope, [
    db
      .insert(templates)
      .values({
        accountId,
        id,
        aliasHash,
        sealedLabel,
        draftVersionId: versionId,
        createdAt: nowMs,
        updatedAt: nowMs,
      })
      .onConflictDoNothing({ target: [templates.accountId, templates.aliasHash] }),
    auditOfChange(scope, audit),
    insertVersion(scope, template),
  ] as const);
  return inserted.meta.changes === 1;
}

export async function findTemplate(
  scope: AccountScope,
  key: TemplateKey,
  kind: VersionKind,
): Promise<TemplateWithContent | undefined> {
  const wanted = kind === 'draft' ? templates.draftVersionId : templates.publishedVersionId;
  const rows = await scope.db
    .select({
      ...columns,
      versionId: templateVersions.id,
      sealedContent: templateVersions.sealedContent,
    })
    .from(templates)
    .innerJoin(
      templateVersions,
      and(
        eq(templateVersions.accountId, scope.accountId),
        eq(templateVersions.templateId, templates.id),
        eq(templateVersions.id, wanted),
      ),
    )
    .where(and(eq(templates.accountId, scope.accountId), isTemplate(key)));
  return rows[0];
}

export async function listTemplates(scope: AccountScope, page: PageOf): Promise<Page<TemplateRecord>> {
  const { where, orderBy, limit } = pageClauses(templates.id, page, eq(templates.accountId, scope.accountId));
  const rows = await scope.db.select(columns).from(templates).where(where).orderBy(orderBy).limit(limit);
  return toPage(rows, page);
}

/**
 * Puts a new version in place of the draft `seen`. False where there is another draft by now, or another
 * template of this alias.
 */
export async function replaceDraft(
  scope: AccountScope,
  seen: string,
  next: NewTemplateVersion,
  audit: AuditEntry,
): Promise<boolean> {
  const { db, accountId } = scope;
  const { id, versionId, aliasHash, sealedLabel, nowMs } = next;
  const others = alias(templates, 'others');
  const isTaken = db
    .select({ one: sql`1` })
    .from(others)
    .where(and(eq(others.accountId, accountId), eq(others.aliasHash, aliasHash ?? ''), ne(others.id, id)));
  const [updated] = await atomically(scope, [
    db
      .update(templates)
      .set({ draftVersionId: versionId, aliasHash, sealedLabel, updatedAt: nowMs })
      .where(
        and(
          eq(templates.accountId, accountId),
          eq(templates.id, id),
          eq(templates.draftVersionId, seen),
          notExists(isTaken),
        ),
      ),
    auditOfChange(scope, audit),
    insertVersion(scope, next),
    deleteUnused(scope, id),
  ] as const);
  return updated.meta.changes === 1;
}

/** Publishes what is the draft now. Returns the template's id, or undefined where there is none. */
export async function publishDraft(
  scope: AccountScope,
  key: TemplateKey,
  nowMs: number,
  audit: (id: string) => AuditEntry,
): Promise<string | undefined> {
  const { db, accountId } = scope;
  const id = await findId(scope, key);
  if (id === undefined) return undefined;
  const isUnpublished = or(
    isNull(templates.publishedVersionId),
    ne(templates.publishedVersionId, templates.draftVersionId),
  );
  await atomically(scope, [
    db
      .update(templates)
      .set({ publishedVersionId: sql`${templates.draftVersionId}`, publishedAt: nowMs, updatedAt: nowMs })
      .where(and(eq(templates.accountId, accountId), eq(templates.id, id), isUnpublished)),
    auditOfChange(scope, audit(id)),
    deleteUnused(scope, id),
  ] as const);
  return id;
}

/** Returns the id of what was there and is gone. */
export async function deleteTemplate(
  scope: AccountScope,
  key: TemplateKey,
  audit: (id: string) => AuditEntry,
): Promise<string | undefined> {
  const { db, accountId } = scope;
  const id = await findId(scope, key);
  if (id === undefined) return undefined;
  const [, deleted] = await atomically(scope, [
    db
      .delete(templateVersions)
      .where(and(eq(templateVersions.accountId, accountId), eq(templateVersions.templateId, id))),
    db.delete(templates).where(and(eq(templates.accountId, accountId), eq(templates.id, id))),
    auditOfChange(scope, audit(id)),
  ] as const);
  return deleted.meta.changes === 1 ? id : undefined;
}

async function findId({ db, accountId }: AccountScope, key: TemplateKey): Promise<string | undefined> {
  const found = await db
    .select({ id: templates.id })
    .from(templates)
    .where(and(eq(templates.accountId, accountId), isTemplate(key)));
  return found[0]?.id;
}

function isTemplate(key: TemplateKey) {
  return 'id' in key ? eq(templates.id, key.id) : eq(templates.aliasHash, key.aliasHash);
}

/** Only where the template has it as its draft: what was refused leaves no version behind. */
function insertVersion(
  { db, accountId }: AccountScope,
  { id, versionId, sealedContent, nowMs }: NewTemplateVersion,
) {
  // In the order of the table's columns.
  return db.insert(templateVersions).select(sql`
    SELECT ${accountId}, ${id}, ${versionId}, ${Uint8Array.from(sealedContent).buffer}, ${nowMs}
    FROM ${templates}
    WHERE ${templates.accountId} = ${accountId} AND ${templates.id} = ${id}
      AND ${templates.draftVersionId} = ${versionId}`);
}

/** Versions that are neither the draft nor published. */
function deleteUnused({ db, accountId }: AccountScope, id: string) {
  const inUse = db
    .select({ one: sql`1` })
    .from(templates)
    .where(
      and(
        eq(templates.accountId, accountId),
        eq(templates.id, id),
        or(
          eq(templates.draftVersionId, templateVersions.id),
          eq(templates.publishedVersionId, templateVersions.id),
        ),
      ),
    );
  return db
    .delete(templateVersions)
    .where(
      and(eq(templateVersions.accountId, accountId), eq(templateVersions.templateId, id), notExists(inUse)),
    );
}
