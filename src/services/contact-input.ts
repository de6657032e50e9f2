/** What somebody says about a contact, checked. */
import { AppError } from '../errors.ts';
import { type BareAddress, bareAddressOf } from './bare-address.ts';
import { type ContactProperty, type PropertyValue, propertyValueOf } from './contact-properties.ts';

const MAX_NAME_LENGTH = 200;

/** As it comes in. What is absent stays as it is; null clears it. */
export interface GivenContact {
  readonly firstName?: string | null | undefined;
  readonly lastName?: string | null | undefined;
  readonly unsubscribed?: boolean | undefined;
  /** By key. */
  readonly properties?: Readonly<Record<string, unknown>> | undefined;
}

export interface ContactChanges {
  readonly firstName?: string | null;
  readonly lastName?: string | null;
  readonly unsubscribed?: boolean;
  /** By the id of the property. */
  readonly values: ReadonlyMap<string, PropertyValue | null>;
}

/** An address in its canonical form, and what is to be known of it. */
export interface ContactInput extends ContactChanges, BareAddress {}

export function contactInputOf(
  properties: ReadonlyMap<string, ContactProperty>,
  given: GivenContact & { readonly email: string },
): ContactInput {
  return { ...bareAddressOf(given.email, 'email'), ...contactChangesOf(properties, given) };
}

/** Throws an error that names the field. `properties`: the account's, by key. */
export function contactChangesOf(
  properties: ReadonlyMap<string, ContactProperty>,
  given: GivenContact,
): ContactChanges {
  const { firstName, lastName, unsubscribed } = given;
  checkName(firstName, 'first_name');
  checkName(lastName, 'last_name');
  const values = new Map<string, PropertyValue | null>();
  for (const [key, value] of Object.entries(given.properties ?? {})) {
    const property = properties.get(key);
    const field = `properties.${key.slice(0, 60)}`;
    if (!property) {
      throw new AppError('invalid_field', { field, reason: 'there is no contact property of that key' });
    }
    values.set(property.id, value === null ? null : propertyValueOf(property.type, value, field));
  }
  return {
    ...(firstName !== undefined && { firstName: firstName || null }),
    ...(lastName !== undefined && { lastName: lastName || null }),
    ...(unsubscribed !== undefined && { unsubscribed }),
    values,
  };
}

function checkName(name: string | null | undefined, field: string): void {
  if (!name) return;
  if (name.length > MAX_NAME_LENGTH) {
    throw new AppError('invalid_field', { field, reason: `must have at most ${MAX_NAME_LENGTH} characters` });
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) {
    throw new AppError('invalid_field', { field, reason: 'must not have control characters' });
  }
}
