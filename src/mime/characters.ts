/** Which characters may appear where. Everything here looks at code points; nothing is ever narrowed to a byte. */

/** C0, DEL, C1 (with NEL, U+0085) and the two Unicode line separators. TAB too: a header has no use for it. */
const CONTROL = /[\p{Cc}\u2028\u2029]/u;
/** Marks, overrides and isolates that reorder the text around them. */
const BIDI = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/;
const LETTER = /^[\p{L}\p{M}\p{N}]$/u;
const HAS_ASCII = /[\0-\x7F]/;

export function hasControl(text: string): boolean {
  return CONTROL.test(text);
}

export function hasBidiControl(text: string): boolean {
  return BIDI.test(text);
}

/** True for text without a code point above U+007F. */
export function isAscii(text: string): boolean {
  // The UTF-8 length is computed natively, which a loop or a regular expression over 13 MB is not.
  return Buffer.byteLength(text, 'utf8') === text.length;
}

/**
 * True for a non-ASCII letter, mark or number that stands for itself. Compatibility forms of ASCII (full-width
 * letters, ligatures, the Kelvin sign) are not: they look like an address that they are not.
 */
export function isPlainLetter(character: string): boolean {
  return LETTER.test(character) && !HAS_ASCII.test(character.normalize('NFKC'));
}

/**
 * Checks text that becomes a header: a subject, a display name. Returns the reason to refuse it, which names
 * the field, or undefined. Every other character is encoded, so letters whose low byte happens to be CR or
 * LF (U+010A, U+560D) are welcome.
 */
export function checkHeaderText(field: string, text: string, maxLength = 2000): string | undefined {
  if (text.length > maxLength) return `\`${field}\` must not be longer than ${maxLength} characters`;
  if (!text.isWellFormed()) return `\`${field}\` must be well-formed Unicode`;
  if (hasControl(text)) return `\`${field}\` must not contain control characters or line breaks`;
  return undefined;
}
