/** What is known of a contact besides that there is one: sealed together, in one blob. */
import type { SealingKey } from '../crypto/seal.ts';
import { sealJson, unsealJson } from '../crypto/sealed-json.ts';
import { AppError } from '../errors.ts';
import type { ContactRecord } from '../store/contacts.ts';
import type { PropertyValue } from './contact-properties.ts';

/** Of the blob before it is sealed. */
export const MAX_CONTENT_BYTES = 16 * 1024;

export interface ContactContent {
  readonly email: string;
  readonly firstName: string | null;
  readonly lastName: string | null;
  /** By the id of the property: a key that is given away and taken again is another property. */
  readonly values: Readonly<Record<string, PropertyValue>>;
}

export interface Contact extends ContactContent {
  readonly id: string;
  readonly unsubscribed: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Short names: they are in every row. */
interface Sealed {
  readonly e: string;
  readonly f?: string;
  readonly l?: string;
  readonly p?: Readonly<Record<string, PropertyValue>>;
}

export function sealContact(
  keys: readonly SealingKey[],
  accountId: string,
  id: string,
  { email, firstName, lastName, values }: ContactContent,
): Uint8Array {
  const content: Sealed = {
    e: email,
    ...(firstName !== null && { f: firstName }),
    ...(lastName !== null && { l: lastName }),
    ...(Object.keys(values).length > 0 && { p: values }),
  };
  const sealed = sealJson(keys, placeOf(accountId, id), content);
  if (sealed.byteLength > MAX_CONTENT_BYTES) {
    const limit = `${MAX_CONTENT_BYTES / 1024} KiB`;
    throw new AppError('invalid_field', {
      field: 'properties',
      reason: `all that is known of a contact must fit into ${limit}`,
    });
  }
  return sealed;
}

export function openContact(keys: readonly SealingKey[], accountId: string, record: ContactRecord): Contact {
  const { sealed, ...row } = record;
  const { e, f, l, p } = unsealJson<Sealed>(keys, placeOf(accountId, row.id), sealed);
  return { ...row, email: e, firstName: f ?? null, lastName: l ?? null, values: p ?? {} };
}

export function sameContent(a: ContactContent, b: ContactContent): boolean {
  const ids = Object.keys(a.values);
  return (
    a.email === b.email &&
    a.firstName === b.firstName &&
    a.lastName === b.lastName &&
    ids.length === Object.keys(b.values).length &&
    ids.every((id) => a.values[id] === b.values[id])
  );
}

function placeOf(accountId: string, rowId: string) {
  return { accountId, table: 'contacts', column: 'sealed', rowId };
}
