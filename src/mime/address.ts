/**
 * The one parser of addresses. It takes a single mailbox, reads it once from left to right, and hands out its
 * parts; what is stored and sent is put together from the parts again, so that the text a customer sent never
 * reaches a second parser. What is accepted, and why, is in docs/address-policy.md.
 */
import { hasBidiControl, hasControl, isAscii, isPlainLetter } from './characters.ts';
import { canonicalDomain, DOMAIN_REASONS, type DomainReason } from './domain.ts';
import type { Mailbox } from './types.ts';

const MAX_INPUT = 1000;
const MAX_NAME = 200;
const MAX_LOCAL_OCTETS = 64;
const MAX_ADDRESS_OCTETS = 254;

export const ADDRESS_REASONS = {
  empty: 'the address is empty',
  tooLong: 'the address is too long',
  notUnicode: 'the address must be well-formed Unicode',
  control: 'the address must not contain control characters or line breaks',
  outerSpace: 'the address must not start or end with a space',
  brackets: 'the angle brackets do not match',
  nameQuotes: 'the quotes of the display name do not match',
  nameSpecial: 'a display name with special characters must be in double quotes',
  nameBidi: 'the display name must not contain characters that reorder text',
  nameTooLong: 'the display name is too long',
  space: 'the address must not contain spaces',
  comment: 'comments are not accepted',
  group: 'groups, lists and source routes are not accepted',
  at: 'the address must contain exactly one @',
  quotedLocal: 'quoted local parts are not accepted',
  localEmpty: 'the local part is missing',
  localTooLong: 'the local part is too long',
  localDot: 'the local part must not start or end with a dot, or have two in a row',
  localCharacter: 'the local part contains a character that is not allowed',
  encodedWord: 'the address must not contain encoded words',
} as const;

export type AddressReason = (typeof ADDRESS_REASONS)[keyof typeof ADDRESS_REASONS] | DomainReason;
export type ParsedMailbox =
  | { readonly ok: true; readonly mailbox: Mailbox }
  | { readonly ok: false; readonly reason: AddressReason };

/** Parses `addr`, `<addr>`, `Name <addr>` or `"Quoted, Name" <addr>`. */
export function parseMailbox(input: string): ParsedMailbox {
  const reason = checkWhole(input);
  if (reason) return refuse(reason);
  if (!input.includes('<') && !input.includes('>')) return parseAddress(input, '');
  const named = splitName(input);
  return 'reason' in named ? refuse(named.reason) : parseAddress(named.address, named.name);
}

/** The mailbox for people and for the API: `parseMailbox` reads it back to the same parts. */
export function formatMailbox(mailbox: Mailbox): string {
  if (mailbox.name === undefined) return mailbox.address;
  const name = NAME_SPECIAL.test(mailbox.name) ? quote(mailbox.name) : mailbox.name;
  return `${name} <${mailbox.address}>`;
}

/** As an RFC 5322 quoted-string. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function checkWhole(input: string): AddressReason | undefined {
  if (input === '') return ADDRESS_REASONS.empty;
  if (input.length > MAX_INPUT) return ADDRESS_REASONS.tooLong;
  if (!input.isWellFormed()) return ADDRESS_REASONS.notUnicode;
  if (hasControl(input)) return ADDRESS_REASONS.control;
  if (input.startsWith(' ') || input.endsWith(' ')) return ADDRESS_REASONS.outerSpace;
  return undefined;
}

/** RFC 5322 specials, except the dot that everyone writes in names. */
const NAME_SPECIAL = /[()<>[\]:;@\\,"]/;

function splitName(input: string): { name: string; address: string } | { reason: AddressReason } {
  let name: string;
  let open: number;
  if (input.startsWith('"')) {
    const quoted = readQuoted(input);
    if (!quoted) return { reason: ADDRESS_REASONS.nameQuotes };
    name = quoted.text;
    open = quoted.end;
    while (input[open] === ' ') open++;
    if (input[open] !== '<') return { reason: quotedAddressReason(input, open) };
  } else {
    open = input.indexOf('<');
    if (open < 0) return { reason: ADDRESS_REASONS.brackets };
    name = input.slice(0, open);
    if (NAME_SPECIAL.test(name)) return { reason: ADDRESS_REASONS.nameSpecial };
  }
  const address = input.slice(open + 1, -1);
  if (!input.endsWith('>') || address.includes('<') || address.includes('>')) {
    return { reason: ADDRESS_REASONS.brackets };
  }
  if (hasBidiControl(name)) return { reason: ADDRESS_REASONS.nameBidi };
  const tidy = name.replace(/ +/g, ' ').trim();
  return tidy.length > MAX_NAME ? { reason: ADDRESS_REASONS.nameTooLong } : { name: tidy, address };
}

/** `"a<b"@example.com` is a quoted local part; anything else behind the quotes is no address at all. */
function quotedAddressReason(input: string, at: number): AddressReason {
  return input[at] === '@' ? ADDRESS_REASONS.quotedLocal : ADDRESS_REASONS.nameQuotes;
}

/** Reads the quoted string that `input` starts with; `end` is the index behind the closing quote. */
function readQuoted(input: string): { text: string; end: number } | undefined {
  let text = '';
  for (let at = 1; at < input.length; at++) {
    const character = input.charAt(at);
    if (character === '"') return { text, end: at + 1 };
    if (character === '\\') at++;
    text += input.charAt(at);
  }
  return undefined;
}

function parseAddress(address: string, name: string): ParsedMailbox {
  if (address === '') return refuse(ADDRESS_REASONS.empty);
  const split = splitAddress(address);
  if ('reason' in split) return refuse(split.reason);
  const local = split.local.normalize('NFC');
  // Both forms: composing turns the equals sign and a stroke, each allowed, into a symbol that is not.
  const reason = checkLocal(split.local) ?? checkLocal(local) ?? checkLocalLength(local);
  if (reason) return refuse(reason);
  const canonical = canonicalDomain(split.domain);
  if ('reason' in canonical) return refuse(canonical.reason);
  const { domain } = canonical;
  const whole = `${local}@${domain}`;
  if (octets(whole) > MAX_ADDRESS_OCTETS) return refuse(ADDRESS_REASONS.tooLong);
  const parts = { address: whole, local, domain, smtpUtf8: !isAscii(local) };
  return { ok: true, mailbox: name === '' ? parts : { name, ...parts } };
}

function splitAddress(address: string): { local: string; domain: string } | { reason: AddressReason } {
  if (address.includes('"')) return { reason: ADDRESS_REASONS.quotedLocal };
  if (/[()]/.test(address)) return { reason: ADDRESS_REASONS.comment };
  const at = address.indexOf('@');
  if (address.indexOf('[', at) > at) return { reason: DOMAIN_REASONS.literal };
  if (/[:;,]/.test(address)) return { reason: ADDRESS_REASONS.group };
  if (address.includes(' ')) return { reason: ADDRESS_REASONS.space };
  if (at < 0 || address.indexOf('@', at + 1) >= 0) return { reason: ADDRESS_REASONS.at };
  return { local: address.slice(0, at), domain: address.slice(at + 1) };
}

const ATEXT = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]$/;

function checkLocal(local: string): AddressReason | undefined {
  if (local === '') return ADDRESS_REASONS.localEmpty;
  if (local.startsWith('.') || local.endsWith('.') || local.includes('..')) return ADDRESS_REASONS.localDot;
  const word = local.indexOf('=?');
  if (word >= 0 && local.includes('?=', word + 2)) return ADDRESS_REASONS.encodedWord;
  // A mark without a letter before it would attach itself to whatever is displayed before the address.
  if (/^\p{M}/u.test(local)) return ADDRESS_REASONS.localCharacter;
  for (const character of local) {
    const allowed = character === '.' || ATEXT.test(character) || isPlainLetter(character);
    if (!allowed) return ADDRESS_REASONS.localCharacter;
  }
  return undefined;
}

function checkLocalLength(local: string): AddressReason | undefined {
  return octets(local) > MAX_LOCAL_OCTETS ? ADDRESS_REASONS.localTooLong : undefined;
}

function octets(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

function refuse(reason: AddressReason): ParsedMailbox {
  return { ok: false, reason };
}
