import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const invites = sqliteTable('invites', {
  id: text('id').primaryKey(),
  hash: bytes('hash').notNull().unique(),
  createdAt: integer('created_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
});
