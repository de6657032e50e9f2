/**
 * Header lines: encoded words (RFC 2047) for whatever is not plain ASCII, and folding at 78 characters.
 * A line is only ever broken between two words, so no line consists of white space and none loses any.
 */

import { quote } from './address.ts';
import { hasControl, isAscii } from './characters.ts';
import type { Mailbox } from './types.ts';

const FOLD_AT = 78;
/** Leaves room for a field name and for folding below the 998 octets of RFC 5322. */
export const MAX_WORD = 900;
/** Octets in one encoded word, short enough for the longest usual field name to share its line. */
const MAX_Q = 48;
const MAX_B = 36;
const ATOMS = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/;
const Q_LITERAL = /^[A-Za-z0-9!*+\-/]$/;

/** `Name: value`, folded, without the last line end. The value is already encoded. */
export function headerLine(name: string, value: string): string {
  // The callers have refused or encoded these; a header that could end early must never get out.
  if (hasControl(value)) throw new Error(`The value of the header ${name} contains a control character`);
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of words(value)) {
    if (line.length + 1 + word.length > FOLD_AT && line !== `${name}:`) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  lines.push(line);
  return lines.join('\r\n');
}

/** Splits at single spaces; a run of spaces stays inside its word. */
function words(value: string): string[] {
  return value.split(/(?<! ) (?! )/);
}

/** Unstructured text: a subject, or the value of a header of the customer's own. */
export function encodeText(text: string): string {
  return needsEncoding(text) ? encodedWords(text) : text;
}

/** A mailbox as it stands in an address header. Only a UTF-8 local part is not ASCII here. */
export function encodeMailbox(mailbox: Mailbox): string {
  const { name, address } = mailbox;
  if (name === undefined) return address;
  if (needsEncoding(name)) return `${encodedWords(name)} <${address}>`;
  return `${ATOMS.test(name) ? name : quote(name)} <${address}>`;
}

function needsEncoding(text: string): boolean {
  // Text that looks like an encoded word would be decoded at the other end, and show something else.
  if (!isAscii(text) || hasControl(text) || text.includes('=?')) return true;
  if (text.startsWith(' ') || text.endsWith(' ') || text.includes('  ')) return true;
  return text.length > MAX_WORD && text.split(' ').some((word) => word.length > MAX_WORD);
}

function encodedWords(text: string): string {
  let plain = 0;
  let octets = 0;
  for (const byte of Buffer.from(text)) {
    octets++;
    if (byte < 0x80) plain++;
  }
  return plain * 2 > octets ? quotedWords(text) : base64Words(text);
}

function quotedWords(text: string): string {
  const result: string[] = [];
  let current = '';
  for (const character of text) {
    const piece = quoteCharacter(character);
    if (current.length + piece.length > MAX_Q) {
      result.push(current);
      current = '';
    }
    current += piece;
  }
  result.push(current);
  return result.map((word) => `=?UTF-8?Q?${word}?=`).join(' ');
}

function quoteCharacter(character: string): string {
  if (Q_LITERAL.test(character)) return character;
  if (character === ' ') return '_';
  let escaped = '';
  for (const byte of Buffer.from(character))
    escaped += `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return escaped;
}

function base64Words(text: string): string {
  const result: string[] = [];
  let current = '';
  let octets = 0;
  for (const character of text) {
    const size = Buffer.byteLength(character);
    if (octets + size > MAX_B) {
      result.push(current);
      current = '';
      octets = 0;
    }
    current += character;
    octets += size;
  }
  result.push(current);
  return result.map((word) => `=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ');
}
