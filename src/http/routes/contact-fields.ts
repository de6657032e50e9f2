/** Fields that several routes about contacts share. */
import * as z from 'zod';
import type { Contact } from '../../services/contact-content.ts';
import type { ValueOf } from '../../services/contacts.ts';
import { isoTime, pageQuery } from '../pagination.ts';

const MAX_PER_REQUEST = 100;
const email = z.string().min(1).max(1000);
const id = z.string().min(1).max(64);
const name = z.string().max(1000).nullable();
const subscription = z.enum(['opt_in', 'opt_out']);

export const topicChoices = z.array(z.strictObject({ id, subscription })).max(MAX_PER_REQUEST);
/** The SDK sends objects, the API's description says ids. */
export const listRefs = z.array(z.union([id, z.strictObject({ id })])).max(MAX_PER_REQUEST);

export function listIdsOf(refs: z.infer<typeof listRefs>): string[] {
  return refs.map((one) => (typeof one === 'string' ? one : one.id));
}

const fields = {
  first_name: name.optional(),
  last_name: name.optional(),
  unsubscribed: z.boolean().optional(),
  properties: z
    .record(z.string().max(100), z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .optional(),
};

export const createContactBody = z.strictObject({
  email,
  ...fields,
  segments: listRefs.optional(),
  topics: topicChoices.optional(),
  audience_id: id.optional(),
});
export const createMemberBody = z.strictObject({ email, ...fields });
export const updateContactBody = z.strictObject({ email: email.optional(), ...fields });
export const contactQuery = pageQuery.safeExtend({
  segment_id: id.optional(),
  // Our own.
  email: email.optional(),
  domain: z.string().min(1).max(255).optional(),
});

export function givenContact(body: z.infer<typeof createMemberBody>) {
  return { email: body.email, ...givenChanges(body) };
}

export function givenChanges(body: Omit<z.infer<typeof updateContactBody>, 'email'>) {
  const { first_name, last_name, unsubscribed, properties } = body;
  return { firstName: first_name, lastName: last_name, unsubscribed, properties };
}

export function contactSummary(contact: Contact) {
  return {
    id: contact.id,
    email: contact.email,
    first_name: contact.firstName,
    last_name: contact.lastName,
    created_at: isoTime(contact.createdAt),
    updated_at: isoTime(contact.updatedAt),
    unsubscribed: contact.unsubscribed,
  };
}

export function contactBody(contact: Contact, values: readonly ValueOf[]) {
  const properties = Object.fromEntries(values.map(({ key, type, value }) => [key, { type, value }]));
  return { object: 'contact', ...contactSummary(contact), properties };
}
