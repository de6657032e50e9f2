import { Hono } from 'hono';
import * as z from 'zod';
import type { Contact } from '../../services/contact-content.ts';
import type { ContactProperty } from '../../services/contact-properties.ts';
import { propertyColumnName, STANDARD_COLUMNS } from '../../services/csv-columns.ts';
import { exportContacts } from '../../services/export-contacts.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { type ExportTable, exportResponse } from '../export-lines.ts';
import { queryOf } from '../validation.ts';
import { contactSummary } from './contact-fields.ts';

export const contactExportQuery = z.strictObject({
  format: z.enum(['csv', 'jsonl']),
  segment_id: z.string().min(1).max(64).optional(),
});

export const contactExportRoutes = new Hono<AppTypes>().get('/', queryOf(contactExportQuery), async (c) => {
  const { format, segment_id: listId } = c.req.valid('query');
  const { properties, contacts } = await exportContacts(serviceContextOf(c), { listId });
  return exportResponse(c, format, tableOf(properties), contacts);
});

function tableOf(properties: readonly ContactProperty[]): ExportTable<Contact> {
  const known = new Map(properties.map((property) => [property.id, property.key]));
  return {
    name: 'contacts',
    object: 'contact',
    end: 'export_end',
    columns: [...STANDARD_COLUMNS, ...properties.map(({ key }) => propertyColumnName(key))],
    recordOf: (contact) => ({
      ...contactSummary(contact),
      properties: Object.fromEntries(
        Object.entries(contact.values).flatMap(([id, value]) => {
          const key = known.get(id);
          return key === undefined ? [] : [[key, value]];
        }),
      ),
    }),
    cellsOf: (contact) => {
      const { id, email, first_name, last_name, unsubscribed, created_at, updated_at } =
        contactSummary(contact);
      const fields = [id, email, first_name, last_name, String(unsubscribed), created_at, updated_at];
      return [...fields, ...properties.map((property) => contact.values[property.id])];
    },
  };
}
