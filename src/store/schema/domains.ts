import { integer, primaryKey, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';

export const DOMAIN_STATUSES = ['pending', 'verified'] as const;
export type DomainStatus = (typeof DOMAIN_STATUSES)[number];

export const domains = sqliteTable(
  'domains',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    name: text('name').notNull(),
    status: text('status', { enum: DOMAIN_STATUSES }).notNull(),
    returnPath: text('return_path'),
    createdAt: integer('created_at').notNull(),
    verifiedAt: integer('verified_at'),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.id] }), unique().on(table.accountId, table.name)],
);
