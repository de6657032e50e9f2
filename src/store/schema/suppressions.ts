import { integer, primaryKey, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const SUPPRESSION_ORIGINS = ['manual', 'bounce', 'complaint', 'unsubscribe'] as const;
export type SuppressionOrigin = (typeof SUPPRESSION_ORIGINS)[number];

export const suppressions = sqliteTable(
  'suppressions',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    /** Base64 of a keyed hash: the only thing there is to compare with. */
    addressHash: text('address_hash').notNull(),
    sealedAddress: bytes('sealed_address').notNull(),
    origin: text('origin', { enum: SUPPRESSION_ORIGINS }).notNull(),
    /** The message that led to it, where one did. */
    sourceId: text('source_id'),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.id] }),
    unique().on(table.accountId, table.addressHash),
  ],
);
