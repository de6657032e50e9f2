import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

export const eventCounts = sqliteTable('event_counts', {
  /** What is counted and a keyed hash of for whom. */
  bucket: text('bucket').primaryKey(),
  startedAt: integer('started_at').notNull(),
  count: integer('count').notNull(),
});
