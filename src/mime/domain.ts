/**
 * Domains of addresses, brought to their one canonical form: lower-case A-labels (UTS-46, non-transitional).
 *
 * The mapping is the platform's, through its URL parser. That parser also reads numbers as IPv4, decodes
 * percent signs and takes characters that no domain has, so only letters, digits, hyphens and dots get to it,
 * and what comes out is checked again.
 */
import * as punycode from 'nodemailer/lib/punycode';
import { isAscii, isPlainLetter } from './characters.ts';

const MAX_DOMAIN = 255;
const MAX_LABEL = 63;
const LDH = /^[a-z0-9-]+$/;
/** What URL parsers take for the last part of an IPv4 address. */
const NUMERIC = /^(?:[0-9]+|0x[0-9a-f]*)$/;
/** Punctuation that IDNA allows inside labels (Catalan, Japanese). */
const INNER_PUNCTUATION = new Set(['\u00B7', '\u30FB']);

export const DOMAIN_REASONS = {
  empty: 'the domain is missing',
  tooLong: 'the domain is too long',
  literal: 'address literals are not accepted',
  trailingDot: 'the domain must not end with a dot',
  label: 'the domain has an empty or overlong label',
  hyphen: 'a label of the domain starts or ends with a hyphen',
  character: 'the domain contains a character that is not allowed',
  numeric: 'the last label of the domain must not be a number',
  idn: 'the domain is not a valid internationalized domain name',
} as const;

export type DomainReason = (typeof DOMAIN_REASONS)[keyof typeof DOMAIN_REASONS];

/** The domain as lower-case A-labels, or the reason why it is none. Linear in the length of the input. */
export function canonicalDomain(input: string): { domain: string } | { reason: DomainReason } {
  if (input === '') return { reason: DOMAIN_REASONS.empty };
  if (input.length > 2 * MAX_DOMAIN) return { reason: DOMAIN_REASONS.tooLong };
  if (input.includes('[') || input.includes(']')) return { reason: DOMAIN_REASONS.literal };
  if (input.endsWith('.')) return { reason: DOMAIN_REASONS.trailingDot };
  let domain = input.toLowerCase();
  if (!isAscii(input)) {
    // The raw text is checked, not the lower-case one: lower-casing turns the Kelvin sign into a plain k.
    if (!hasOnlyDomainCharacters(input)) return { reason: DOMAIN_REASONS.character };
    const mapped = mapToAscii(input);
    if (mapped === undefined) return { reason: DOMAIN_REASONS.idn };
    domain = mapped;
  }
  const reason = checkLabels(domain);
  return reason ? { reason } : { domain };
}

function checkLabels(domain: string): DomainReason | undefined {
  if (domain.length > MAX_DOMAIN) return DOMAIN_REASONS.tooLong;
  const labels = domain.split('.');
  for (const label of labels) {
    if (label === '' || label.length > MAX_LABEL) return DOMAIN_REASONS.label;
    if (!LDH.test(label)) return DOMAIN_REASONS.character;
    if (label.startsWith('-') || label.endsWith('-')) return DOMAIN_REASONS.hyphen;
    if (label.startsWith('xn--') && !isGenuineALabel(label)) return DOMAIN_REASONS.idn;
  }
  return NUMERIC.test(labels.at(-1) ?? '') ? DOMAIN_REASONS.numeric : undefined;
}

/**
 * An A-label must stand for a U-label that maps back to it. This refuses labels that decode to ASCII: to a
 * program that decodes before it splits, those are commas, angle brackets and at signs.
 */
function isGenuineALabel(label: string): boolean {
  let decoded: string;
  try {
    decoded = punycode.decode(label.slice('xn--'.length));
  } catch {
    return false;
  }
  return !isAscii(decoded) && hasOnlyDomainCharacters(decoded) && mapToAscii(decoded) === label;
}

function hasOnlyDomainCharacters(text: string): boolean {
  for (const character of text) {
    const allowed = isAscii(character)
      ? /[A-Za-z0-9.-]/.test(character)
      : isPlainLetter(character) || INNER_PUNCTUATION.has(character);
    if (!allowed) return false;
  }
  return true;
}

function mapToAscii(domain: string): string | undefined {
  try {
    return new URL(`http://${domain}`).hostname;
  } catch {
    return undefined;
  }
}
