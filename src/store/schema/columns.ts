/** Column types that drizzle does not have. */
import { customType } from 'drizzle-orm/sqlite-core';

/** D1 takes a byte array and gives back an array of numbers. */
export const bytes = customType<{ data: Uint8Array; driverData: ArrayBuffer | number[] }>({
  dataType: () => 'blob',
  toDriver: (value) => Uint8Array.from(value).buffer,
  fromDriver: (value) => new Uint8Array(value),
});
