import { index, integer, primaryKey, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';
import { bytes } from './columns.ts';

export const PROPERTY_TYPES = ['string', 'number'] as const;
export type PropertyType = (typeof PROPERTY_TYPES)[number];

export const contacts = sqliteTable(
  'contacts',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    emailHash: bytes('email_hash').notNull(),
    domainHash: bytes('domain_hash').notNull(),
    /** Address, names and properties. */
    sealed: bytes('sealed').notNull(),
    unsubscribed: integer('unsubscribed', { mode: 'boolean' }).notNull().default(false),
    createdAt: integer('created_at').notNull(),
    /** Grows with every change of the row. */
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.id] }),
    unique().on(table.accountId, table.emailHash),
    index('contacts_domain').on(table.accountId, table.domainHash, table.id),
  ],
);

export const contactProperties = sqliteTable(
  'contact_properties',
  {
    accountId: text('account_id').notNull(),
    id: text('id').notNull(),
    keyHash: bytes('key_hash').notNull(),
    /** Key and fallback value. */
    sealed: bytes('sealed').notNull(),
    type: text('type', { enum: PROPERTY_TYPES }).notNull(),
    isFilterable: integer('is_filterable', { mode: 'boolean' }).notNull().default(false),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.id] }),
    unique().on(table.accountId, table.keyHash),
  ],
);

/** Of filterable properties only. */
export const contactValues = sqliteTable(
  'contact_values',
  {
    accountId: text('account_id').notNull(),
    propertyId: text('property_id').notNull(),
    contactId: text('contact_id').notNull(),
    valueHash: bytes('value_hash').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountId, table.contactId, table.propertyId] }),
    index('contact_values_value').on(table.accountId, table.propertyId, table.valueHash, table.contactId),
  ],
);
