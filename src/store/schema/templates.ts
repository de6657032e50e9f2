import { foreignKey, integer, primaryKey, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const templates = sqliteTable(
  'templates',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    /** Base64 of a keyed hash. */
    aliasHash: text('alias_hash'),
    /** Name and alias. */
    sealedLabel: bytes('sealed_label').notNull(),
    /** The version that is edited; the same as the published one where nothing was changed since. */
    draftVersionId: text('draft_version_id').notNull(),
    publishedVersionId: text('published_version_id'),
    publishedAt: integer('published_at'),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.id] }),
    unique().on(table.accountId, table.aliasHash),
  ],
);

export const templateVersions = sqliteTable(
  'template_versions',
  {
    accountId: text('account_id').notNull(),
    templateId: text('template_id').notNull(),
    id: text('id').notNull(),
    sealedContent: bytes('sealed_content').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.templateId, table.id] }),
    foreignKey({
      columns: [table.accountId, table.templateId],
      foreignColumns: [templates.accountId, templates.id],
    }),
  ],
);
