import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

export const outboxes = sqliteTable(
  'outboxes',
  {
    accountId: text('account_id').notNull(),
    shard: integer('shard').notNull(),
    createdAt: integer('created_at').notNull(),
    /** When the sweep last came by; 0 where it never did. */
    sweptAt: integer('swept_at').notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.shard] })],
);
