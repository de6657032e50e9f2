/** Any text where only some characters may stand. */
import { ID } from './operations.ts';

export function inHeader(text: string): string {
  return text.replace(/[^\t\x20-\x7e\xa0-\xff]/g, '?').trim();
}

/** Lone surrogates as the bytes they would be; nothing else that a client could not send. */
export function percentEncoded(text: string): string {
  if (ID.test(text)) return text;
  let encoded = '';
  for (const character of text) {
    if (/^[A-Za-z0-9._~@:+-]$/.test(character)) encoded += character;
    else
      for (const byte of Buffer.from(character, 'utf8')) encoded += `%${byte.toString(16).padStart(2, '0')}`;
  }
  return encoded;
}
