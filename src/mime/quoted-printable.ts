/**
 * Quoted-printable (RFC 2045 section 6.7), broken into lines exactly where nodemailer breaks them: a message in
 * doubt must compose to the same bytes in every version of ours. Its line breaking costs a few regular expressions
 * a line; here most lines cost a search for the next line end. All line ends of the text must be CRLF.
 */
import * as quotedPrintable from 'nodemailer/lib/qp';
import { isAscii } from './characters.ts';

const LINE_LENGTH = 76;
/** A line is broken behind a space or a punctuation mark if there is one among so many of its last characters. */
const MARGIN = 25;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to be encoded
const ESCAPED = /[=\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[ \t](?=\r|$)/g;

export function encodeQuotedPrintable(text: string): string {
  // White space at the end is encoded apart, because nodemailer keeps it until it knows what follows.
  let end = text.length;
  while (end > 0 && isWhiteSpace(text.charCodeAt(end - 1))) end--;
  if (end === text.length) return wrap(escaped(text));
  const encoded = wrap(escaped(text.slice(0, end)));
  const lastLine = encoded.lastIndexOf('\n') + 1;
  return encoded.slice(0, lastLine) + wrap(encoded.slice(lastLine) + escaped(text.slice(end)));
}

function escaped(text: string): string {
  if (!isAscii(text)) return quotedPrintable.encode(text);
  return text.replace(ESCAPED, (character) => {
    const hex = character.charCodeAt(0).toString(16).toUpperCase();
    return `=${hex.padStart(2, '0')}`;
  });
}

/** Breaks what is encoded already. Line breaks of the text stay. */
function wrap(encoded: string): string {
  const { length } = encoded;
  let result = '';
  let lineEnd = -1;
  for (let at = 0; at < length; ) {
    if (lineEnd <= at) {
      const next = encoded.indexOf('\r\n', at);
      lineEnd = next < 0 ? Number.POSITIVE_INFINITY : next + 2;
    }
    const fits = Math.min(at + LINE_LENGTH, length);
    if (lineEnd <= fits) {
      result += encoded.slice(at, lineEnd);
      at = lineEnd;
      continue;
    }
    if (length <= LINE_LENGTH) return encoded;
    const end = breakOf(encoded, at, fits);
    result += end < length ? `${encoded.slice(at, end)}=\r\n` : encoded.slice(at);
    at = end;
  }
  return result;
}

/** Where the line that starts at `at` and could go on to `fits` ends. */
function breakOf(encoded: string, at: number, fits: number): number {
  if (fits - at > LINE_LENGTH - MARGIN) {
    for (let end = fits; end > fits - MARGIN; end--) {
      if (isSeparator(encoded.charCodeAt(end - 1))) return shortened(encoded, at, end);
    }
  }
  let line = encoded.slice(at, fits);
  line = line.slice(0, line.length - (/=[\da-f]?$/i.exec(line)?.[0].length ?? 0));
  // The octets of one character stay together, up to four of them.
  while (line.length > 3 && at + line.length < encoded.length && !/^(?:=[\da-f]{2}){1,4}$/i.test(line)) {
    const octet = /=[\da-f]{2}$/i.exec(line)?.[0];
    const value = octet === undefined ? 0 : Number.parseInt(octet.slice(1), 16);
    if (value < 0x80) break;
    line = line.slice(0, -3);
    if (value >= 0xc0) break;
  }
  return shortened(encoded, at, at + line.length);
}

/** A full line leaves room for the `=` of its break. */
function shortened(encoded: string, at: number, end: number): number {
  if (end === encoded.length || end - at < LINE_LENGTH) return end;
  return /=[\da-f]{2}$/i.test(encoded.slice(at, end)) ? end - 3 : end - 1;
}

function isSeparator(code: number): boolean {
  return isWhiteSpace(code) || code === 0x2e || code === 0x2c || code === 0x21 || code === 0x3f;
}

function isWhiteSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
