/** What every message of ours has in common: the header fields of its root, its boundaries and its line ends. */
import { isStructured } from './header.ts';
import { encodeMailbox, encodeText, headerLine } from './header-encoding.ts';
import type { Mailbox, MessageSource } from './types.ts';

/** 160 bits of the seed: RFC 2046 allows a boundary 70 characters. */
const SEED_LENGTH = 40;
/** Neither quoted-printable nor base64 can produce `=_`. */
export const BOUNDARY_PREFIX = '=_er';

/** The part of all boundaries that is this message's own. Throws where it could be guessed. */
export function boundarySeed({ boundarySeed: seed }: MessageSource): string {
  if (!/^[0-9a-f]{32,}$/.test(seed)) throw new Error('The boundary seed must be 128 bits of hex');
  return seed.slice(0, SEED_LENGTH);
}

/** All header fields but those of MIME, Message-ID and Date, folded. */
export function headerLines(source: MessageSource): string[] {
  const lines = [headerLine('From', encodeMailbox(source.from))];
  addMailboxes(lines, 'To', source.to);
  addMailboxes(lines, 'Cc', source.cc);
  addMailboxes(lines, 'Reply-To', source.replyTo);
  if (source.subject !== '') lines.push(headerLine('Subject', encodeText(source.subject)));
  for (const { name, value } of source.headers) {
    lines.push(headerLine(name, isStructured(name) ? value : encodeText(value)));
  }
  return lines;
}

function addMailboxes(lines: string[], name: string, mailboxes: readonly Mailbox[]): void {
  if (mailboxes.length > 0) lines.push(headerLine(name, mailboxes.map(encodeMailbox).join(', ')));
}

export function withCrlf(text: string): string {
  return text.includes('\r') ? text.replace(/\r\n?|\n/g, '\r\n') : text.replaceAll('\n', '\r\n');
}
