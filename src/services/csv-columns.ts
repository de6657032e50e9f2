/** Which column of a file holds what: as the caller says, or by the names in the header. */
import { AppError } from '../errors.ts';
import type { ImportOptions } from '../outbox/client.ts';
import type { ContactProperty } from './contact-properties.ts';

export interface ColumnMap {
  readonly email?: string | undefined;
  readonly firstName?: string | undefined;
  readonly lastName?: string | undefined;
  readonly unsubscribed?: string | undefined;
  /** By key. Absent: each column that is named like a property. */
  readonly properties?:
    | Readonly<Record<string, { readonly column: string; readonly type?: string | undefined }>>
    | undefined;
  /** False where the caller said nothing about columns. */
  readonly isGiven: boolean;
}

/** Columns of the file that nothing is said about are passed over. */
export function columnsOf(
  header: readonly string[],
  map: ColumnMap,
  properties: ReadonlyMap<string, ContactProperty>,
): ImportOptions['columns'] {
  const names = header.map((name) => name.trim());
  const given = (name: string, field: string): number => {
    const column = names.indexOf(name.trim());
    if (column < 0) throw wrong(`column_map.${field}`, 'the file has no column of this name');
    if (names.lastIndexOf(name.trim()) > column) {
      throw wrong(`column_map.${field}`, 'the file has more than one column of this name');
    }
    return column;
  };
  const byName = (wanted: string): number | undefined => {
    const column = names.findIndex((name) => plain(name) === wanted);
    return column < 0 ? undefined : column;
  };
  const fieldOf = (name: string | undefined, field: string): number | undefined => {
    if (name !== undefined) return given(name, field);
    return map.isGiven ? undefined : byName(plain(field));
  };
  const email = map.email === undefined ? byName('email') : given(map.email, 'email');
  if (email === undefined) throw wrong('file', 'it has no column `email`');
  return {
    email,
    firstName: fieldOf(map.firstName, 'first_name'),
    lastName: fieldOf(map.lastName, 'last_name'),
    unsubscribed: fieldOf(map.unsubscribed, 'unsubscribed'),
    properties: map.isGiven
      ? Object.entries(map.properties ?? {}).map(([key, { column, type }]) => {
          const field = `properties.${key.slice(0, 60)}`;
          checkProperty(properties.get(key), type, `column_map.${field}`);
          return { key, column: given(column, `${field}.column`), isBoolean: type === 'boolean' };
        })
      : [...properties.keys()].flatMap((key) => {
          const column = propertyColumn(names, key);
          return column === undefined ? [] : [{ key, column, isBoolean: false }];
        }),
  };
}

/** Names of columns that are no property's: an export writes a property of such a name another way. */
export const STANDARD_COLUMNS = [
  'id',
  'email',
  'first_name',
  'last_name',
  'unsubscribed',
  'created_at',
  'updated_at',
];

export function propertyColumnName(key: string): string {
  return STANDARD_COLUMNS.some((name) => plain(name) === plain(key)) ? `properties.${key}` : key;
}

function propertyColumn(names: readonly string[], key: string): number | undefined {
  const column = names.indexOf(propertyColumnName(key));
  return column < 0 ? undefined : column;
}

function checkProperty(property: ContactProperty | undefined, type: string | undefined, field: string): void {
  if (!property) throw wrong(field, 'there is no contact property of that key');
  if (type === undefined || type === 'boolean' || type === property.type) return;
  throw wrong(`${field}.type`, `the property is of the type ${property.type}`);
}

/** `First Name`, `first_name` and `firstName` are one. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[\s_.-]/g, '');
}

function wrong(field: string, reason: string): AppError {
  return new AppError('invalid_field', { field, reason });
}
