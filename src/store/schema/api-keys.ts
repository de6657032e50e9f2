import { foreignKey, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';
import { domains } from './domains.ts';

export const PERMISSIONS = ['full_access', 'sending_access'] as const;
export type Permission = (typeof PERMISSIONS)[number];

export const apiKeys = sqliteTable(
  'api_keys',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    name: text('name').notNull(),
    hash: bytes('hash').notNull().unique(),
    prefix: text('prefix').notNull(),
    lastFour: text('last_four').notNull(),
    permission: text('permission', { enum: PERMISSIONS }).notNull(),
    domainId: text('domain_id'),
    /** In CIDR notation; empty: from anywhere. */
    allowedIps: text('allowed_ips', { mode: 'json' }).$type<readonly string[]>().notNull().default([]),
    expiresAt: integer('expires_at'),
    createdAt: integer('created_at').notNull(),
    /** A day, `2026-11-24`: finer would cost a write per request. */
    lastUsedOn: text('last_used_on'),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.id] }),
    foreignKey({
      columns: [table.accountId, table.domainId],
      foreignColumns: [domains.accountId, domains.id],
    }),
  ],
);

/** Secrets that a rotation replaced. */
export const apiKeySecrets = sqliteTable(
  'api_key_secrets',
  {
    accountId: text('account_id').notNull(),
    keyId: text('key_id').notNull(),
    hash: bytes('hash').notNull().unique(),
    validUntil: integer('valid_until').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.keyId, table.hash] }),
    foreignKey({
      columns: [table.accountId, table.keyId],
      foreignColumns: [apiKeys.accountId, apiKeys.id],
    }).onDelete('cascade'),
  ],
);
