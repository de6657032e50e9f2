/** Bytes in statements that take many rows as one bound parameter: JSON has no bytes, so they go as hex. */
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm';

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** One bound parameter, however many values. */
export function isOneOfBytes(column: SQLWrapper, values: readonly Uint8Array[]): SQL {
  return sql`${column} IN (SELECT unhex(value) FROM json_each(${JSON.stringify(values.map(hexOf))}))`;
}

export function isOneOf(column: SQLWrapper, values: readonly string[]): SQL {
  return sql`${column} IN (SELECT value FROM json_each(${JSON.stringify(values)}))`;
}
