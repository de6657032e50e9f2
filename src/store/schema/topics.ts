import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const SUBSCRIPTIONS = ['opt_in', 'opt_out'] as const;
export type Subscription = (typeof SUBSCRIPTIONS)[number];
export const TOPIC_VISIBILITIES = ['public', 'private'] as const;
export type TopicVisibility = (typeof TOPIC_VISIBILITIES)[number];

export const topics = sqliteTable(
  'topics',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    /** Name and description. */
    sealed: bytes('sealed').notNull(),
    defaultSubscription: text('default_subscription', { enum: SUBSCRIPTIONS }).notNull(),
    visibility: text('visibility', { enum: TOPIC_VISIBILITIES }).notNull(),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.id] })],
);

/** Only what somebody chose. */
export const contactTopics = sqliteTable(
  'contact_topics',
  {
    accountId: text('account_id').notNull(),
    topicId: text('topic_id').notNull(),
    contactId: text('contact_id').notNull(),
    subscription: text('subscription', { enum: SUBSCRIPTIONS }).notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.contactId, table.topicId] }),
    index('contact_topics_topic').on(
      table.accountId,
      table.topicId,
      table.contactId,
      table.subscription,
      table.updatedAt,
    ),
  ],
);
