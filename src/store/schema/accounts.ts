import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const ACCOUNT_STATUSES = ['active', 'suspended', 'closed'] as const;
export type AccountStatus = (typeof ACCOUNT_STATUSES)[number];

/** What becomes of a delivery whose final reply was lost. */
export const IN_DOUBT_POLICIES = ['retry', 'hold'] as const;
export type InDoubtPolicy = (typeof IN_DOUBT_POLICIES)[number];

export const accounts = sqliteTable('accounts', {
  accountId: text('account_id').primaryKey(),
  name: text('name').notNull(),
  email: text('email'),
  sealedProfile: bytes('sealed_profile'),
  emailHash: text('email_hash'),
  status: text('status', { enum: ACCOUNT_STATUSES }).notNull(),
  shards: integer('shards').notNull(),
  inDoubtPolicy: text('in_doubt_policy', { enum: IN_DOUBT_POLICIES }).notNull().default('retry'),
  /** 1 until the address of an account that registered itself is confirmed. */
  unconfirmed: integer('unconfirmed').notNull().default(0),
  /** Null: as the settings say; -1: no limit. */
  dailyQuota: integer('daily_quota'),
  monthlyQuota: integer('monthly_quota'),
  /** Null: as the settings say. */
  bodyDays: integer('body_days'),
  metadataDays: integer('metadata_days'),
  inviteId: text('invite_id'),
  createdAt: integer('created_at').notNull(),
  updatedAt: integer('updated_at').notNull(),
});

export const dataKeys = sqliteTable(
  'data_keys',
  {
    accountId: text('account_id').notNull(),
    number: integer('number').notNull(),
    wrapped: bytes('wrapped').notNull(),
    masterVersion: integer('master_version').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.number] })],
);
