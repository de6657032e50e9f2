import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { AuthMethod, TlsMode } from '../../smtp/types.ts';
import { bytes } from './columns.ts';

export const TLS_MODES = ['implicit', 'starttls', 'none'] as const satisfies readonly TlsMode[];
export const AUTH_METHODS = [
  'auto',
  'plain',
  'login',
  'cram-md5',
  'xoauth2',
] as const satisfies readonly AuthMethod[];

export const relays = sqliteTable(
  'relays',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    name: text('name').notNull(),
    host: text('host').notNull(),
    port: integer('port').notNull(),
    tls: text('tls', { enum: TLS_MODES }).notNull(),
    username: text('username'),
    sealedSecret: bytes('sealed_secret'),
    auth: text('auth', { enum: AUTH_METHODS }).notNull(),
    /** Lower first. */
    priority: integer('priority').notNull().default(10),
    /** The share of the mail among relays of one priority. */
    weight: integer('weight').notNull().default(1),
    /** Canonical names; empty: every domain. */
    fromDomains: text('from_domains', { mode: 'json' }).$type<readonly string[]>().notNull().default([]),
    maxSessions: integer('max_sessions'),
    messagesPerSecond: integer('messages_per_second'),
    messagesPerMinute: integer('messages_per_minute'),
    messagesPerDay: integer('messages_per_day'),
    messagesPerSession: integer('messages_per_session'),
    /** Counts up with every change; sessions opened under an older version are not reused. */
    version: integer('version').notNull(),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.id] })],
);
