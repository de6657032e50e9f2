/**
 * Most messages are text or html or both, short and without attachments. They are written here, byte for byte as
 * nodemailer's MailComposer writes them (`message-tree.ts`), at a fifth of the cost. A test holds the two together.
 */
import * as base64 from 'nodemailer/lib/base64';
import { isAscii } from './characters.ts';
import { BOUNDARY_PREFIX, boundarySeed, headerLines, withCrlf } from './header-lines.ts';
import { encodeQuotedPrintable } from './quoted-printable.ts';
import type { MessageSource } from './types.ts';

/** Above this, MailComposer encodes a text in slices. */
const MAX_BYTES = 48 * 1024;
const FOLD_AT = 76;
const MAX_LINE = 76;
/** All that is neither plain text nor a line end. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
const NOT_PLAIN = /[\x00-\x08\x0b\x0c\x0e-\x1f\u0080-\uFFFF]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is counted
const NOT_TEXT = /[\x00-\x08\x0b\x0c\x0e-\x1f\u0080-\uFFFF]/g;

interface Part {
  readonly subtype: 'plain' | 'html';
  readonly encoding: '7bit' | 'quoted-printable' | 'base64';
  readonly content: string;
}

/** Undefined where the message is not of that kind. */
export function plainMessage(source: MessageSource): Buffer | undefined {
  const { text = '', html = '', attachments, messageId } = source;
  if (attachments.length > 0 || !/^[!-;=?-~]+$/.test(messageId)) return undefined;
  if (Buffer.byteLength(text) + Buffer.byteLength(html) > MAX_BYTES) return undefined;
  const parts = [...(text ? [partOf('plain', text)] : []), ...(html ? [partOf('html', html)] : [])];
  const [only] = parts;
  if (!only) return undefined;
  const lines = [...headerLines(source), foldedId(messageId), `Date: ${dateOf(source)}`];
  if (parts.length === 1) {
    lines.push(`Content-Transfer-Encoding: ${only.encoding}`, 'MIME-Version: 1.0', typeOf(only));
    return bytesOf(`${lines.join('\r\n')}\r\n\r\n${only.content}`);
  }
  const boundary = `${BOUNDARY_PREFIX}-${boundarySeed(source)}-Part_1`;
  lines.push('MIME-Version: 1.0', `Content-Type: multipart/alternative;\r\n boundary="${boundary}"`);
  const body = parts.map(
    (part) => `${typeOf(part)}\r\nContent-Transfer-Encoding: ${part.encoding}\r\n\r\n${part.content}`,
  );
  const delimiter = `\r\n--${boundary}`;
  return bytesOf(
    `${lines.join('\r\n')}\r\n${delimiter}\r\n${body.join(`${delimiter}\r\n`)}${delimiter}--\r\n`,
  );
}

function bytesOf(message: string): Buffer {
  const whole = message.endsWith('\n') ? message : `${message}\r\n`;
  return Buffer.from(whole, isAscii(whole) ? 'latin1' : 'utf8');
}

function partOf(subtype: Part['subtype'], text: string): Part {
  const content = withCrlf(text);
  if (!NOT_PLAIN.test(content)) {
    if (!hasLongLine(content)) return { subtype, encoding: '7bit', content };
    if (/[A-Za-z]/.test(content)) return quoted(subtype, content);
  } else if ((content.match(NOT_TEXT)?.length ?? 0) < (content.match(/[A-Za-z]/g)?.length ?? 0)) {
    return quoted(subtype, content);
  }
  return { subtype, encoding: 'base64', content: base64.wrap(base64.encode(content)) };
}

function quoted(subtype: Part['subtype'], content: string): Part {
  return { subtype, encoding: 'quoted-printable', content: encodeQuotedPrintable(content) };
}

function hasLongLine(content: string): boolean {
  for (let start = 0; start < content.length; ) {
    const end = content.indexOf('\r\n', start);
    if ((end < 0 ? content.length : end) - start > MAX_LINE) return true;
    if (end < 0) return false;
    start = end + 2;
  }
  return false;
}

function typeOf({ subtype }: Part): string {
  return `Content-Type: text/${subtype}; charset=utf-8`;
}

/** There is one place to fold it, whatever its length. */
function foldedId(messageId: string): string {
  const line = `Message-ID: <${messageId}>`;
  return line.length < FOLD_AT ? line : `Message-ID:\r\n <${messageId}>`;
}

function dateOf({ dateMs }: MessageSource): string {
  return new Date(dateMs).toUTCString().replace('GMT', '+0000');
}
