/** Encoded words (RFC 2047) made readable, for display. What cannot be decoded is shown as it is. */
const WORD = /=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z0-9-]*)?\?([bBqQ])\?([!->@-~]*)\?=/g;

export function decodeWords(text: string): string {
  // White space between two encoded words is no part of the text.
  return text.replace(/(\?=)[ \t]+(?==\?)/g, '$1').replace(WORD, (whole, charset, encoding, encoded) => {
    try {
      const bytes = encoding.toLowerCase() === 'b' ? Buffer.from(encoded, 'base64') : quotedBytes(encoded);
      return new TextDecoder(charset).decode(bytes);
    } catch {
      return whole;
    }
  });
}

function quotedBytes(encoded: string): Uint8Array {
  const text = encoded
    .replaceAll('_', ' ')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(text, 'latin1');
}
