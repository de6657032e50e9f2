/**
 * Every command line that can reach a server is made here, and checked on its final bytes: no control
 * octet, ASCII unless SMTPUTF8 was negotiated, not too long. What does not pass is refused, never repaired.
 */
import type { Capabilities, Envelope } from './types.ts';

/** With CRLF: RFC 5321 section 4.5.3.1.4, and RFC 4954 section 4 for AUTH. */
const MAX_LINE_OCTETS = 512;
const MAX_AUTH_LINE_OCTETS = 12_288;

export type CommandField = 'ehloName' | 'from' | 'recipient' | 'sizeBytes' | 'credentials' | 'smtpUtf8';

/** A value that may not become part of a command line. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly field: CommandField;

  constructor(field: CommandField, reason: string) {
    super(`Invalid \`${field}\`: ${reason}.`);
    this.field = field;
  }
}

const encoder = new TextEncoder();

interface LineRules {
  readonly field: CommandField;
  readonly maxOctets?: number;
  readonly utf8?: boolean;
}

function line(text: string, { field, maxOctets = MAX_LINE_OCTETS, utf8 = false }: LineRules): Uint8Array {
  // The encoder would turn a lone surrogate into U+FFFD: another address than the one that was checked.
  if (!text.isWellFormed()) throw new CommandError(field, 'it is not well-formed Unicode');
  const bytes = encoder.encode(`${text}\r\n`);
  if (bytes.length > maxOctets) throw new CommandError(field, 'the command line would be too long');
  for (const octet of bytes.subarray(0, -2)) {
    if (octet < 0x20 || octet === 0x7f) throw new CommandError(field, 'it contains a control character');
    if (octet > 0x7f && !utf8) throw new CommandError(field, 'it contains a character that is not ASCII');
  }
  return bytes;
}

/** Brackets and white space would end the path early; Unicode's own line ends are refused with them. */
const NOT_IN_A_PATH = /[<>\p{Cc}\p{Z}]/u;

function path(address: string, field: CommandField): string {
  if (NOT_IN_A_PATH.test(address)) {
    throw new CommandError(field, 'it contains an angle bracket, a space or a control character');
  }
  return `<${address}>`;
}

const HOST_OR_LITERAL = /^[A-Za-z0-9.:_[\]-]+$/;

function hostName(name: string): string {
  if (!HOST_OR_LITERAL.test(name)) throw new CommandError('ehloName', 'it is not a host name');
  return name;
}

export function ehlo(name: string): Uint8Array {
  return line(`EHLO ${hostName(name)}`, { field: 'ehloName' });
}

export function helo(name: string): Uint8Array {
  return line(`HELO ${hostName(name)}`, { field: 'ehloName' });
}

/** MAIL with those parameters that the server offers. */
export function mail(envelope: Envelope, offered: Capabilities): Uint8Array {
  if (envelope.smtpUtf8 && !offered.smtpUtf8) {
    throw new CommandError('smtpUtf8', 'the server does not offer it');
  }
  if (!Number.isSafeInteger(envelope.sizeBytes) || envelope.sizeBytes < 0) {
    throw new CommandError('sizeBytes', 'it is not a number of bytes');
  }
  let text = `MAIL FROM:${path(envelope.from, 'from')}`;
  if (offered.size !== undefined) text += ` SIZE=${envelope.sizeBytes}`;
  if (envelope.eightBit && offered.eightBitMime) text += ' BODY=8BITMIME';
  if (envelope.smtpUtf8) text += ' SMTPUTF8';
  return line(text, { field: 'from', utf8: envelope.smtpUtf8 });
}

export function rcpt(address: string, utf8: boolean): Uint8Array {
  if (address === '') throw new CommandError('recipient', 'it is empty');
  return line(`RCPT TO:${path(address, 'recipient')}`, { field: 'recipient', utf8 });
}

/** AUTH itself, or an answer to a 334: base64 and method names only. */
export function authLine(text: string): Uint8Array {
  return line(text, { field: 'credentials', maxOctets: MAX_AUTH_LINE_OCTETS });
}

export const STARTTLS: Uint8Array = encoder.encode('STARTTLS\r\n');
export const DATA: Uint8Array = encoder.encode('DATA\r\n');
export const RSET: Uint8Array = encoder.encode('RSET\r\n');
export const NOOP: Uint8Array = encoder.encode('NOOP\r\n');
export const QUIT: Uint8Array = encoder.encode('QUIT\r\n');
