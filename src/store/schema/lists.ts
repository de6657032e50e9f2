import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const MEMBER_STATUSES = ['confirmed', 'pending'] as const;
export type MemberStatus = (typeof MEMBER_STATUSES)[number];

export const lists = sqliteTable(
  'lists',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    /** Name, and the filter of a dynamic list. */
    sealed: bytes('sealed').notNull(),
    isDynamic: integer('is_dynamic', { mode: 'boolean' }).notNull().default(false),
    doubleOptIn: integer('double_opt_in', { mode: 'boolean' }).notNull().default(false),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.id] })],
);

export const listMembers = sqliteTable(
  'list_members',
  {
    accountId: text('account_id').notNull(),
    listId: text('list_id').notNull(),
    contactId: text('contact_id').notNull(),
    status: text('status', { enum: MEMBER_STATUSES }).notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.contactId, table.listId] }),
    index('list_members_list').on(
      table.accountId,
      table.listId,
      table.contactId,
      table.status,
      table.createdAt,
    ),
  ],
);
