import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const WEBHOOK_STATUSES = ['enabled', 'disabled'] as const;
export type WebhookStatus = (typeof WEBHOOK_STATUSES)[number];

export const webhooks = sqliteTable(
  'webhooks',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    endpoint: text('endpoint').notNull(),
    events: text('events', { mode: 'json' }).$type<readonly string[]>(),
    status: text('status', { enum: WEBHOOK_STATUSES }).notNull(),
    disabledReason: text('disabled_reason'),
    sealedSecret: bytes('sealed_secret').notNull(),
    previousSecret: bytes('previous_secret'),
    previousUntil: integer('previous_until'),
    activeSince: integer('active_since').notNull(),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.id] })],
);
