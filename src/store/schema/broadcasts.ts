import { integer, primaryKey, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const BROADCAST_ENDS = ['sent', 'canceled', 'failed'] as const;
export type BroadcastEnd = (typeof BROADCAST_ENDS)[number];

export const broadcasts = sqliteTable(
  'broadcasts',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    listId: text('list_id').notNull(),
    topicId: text('topic_id'),
    sealedName: bytes('sealed_name').notNull(),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
    handedOverAt: integer('handed_over_at'),
    startedAt: integer('started_at'),
    endedAs: text('ended_as', { enum: BROADCAST_ENDS }),
    scheduledAt: integer('scheduled_at'),
    /** Where its links lead. */
    origin: text('origin'),
    requestHash: bytes('request_hash'),
    requestFingerprint: bytes('request_fingerprint'),
    sealedContent: bytes('sealed_content').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.id] }),
    unique().on(table.accountId, table.requestHash),
  ],
);
