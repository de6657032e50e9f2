/**
 * The tree of a message. The header fields of its root are written here; nodemailer's MailComposer decides
 * the parts below: alternative around text and html, related around inline images, mixed around files.
 */
import MailComposer from 'nodemailer/lib/mail-composer';
import type MimeNode from 'nodemailer/lib/mime-node';
import { isStructured } from './header.ts';
import { encodeMailbox, encodeText, headerLine } from './header-encoding.ts';
import type { attachmentStream } from './message-stream.ts';
import type { Attachment, Mailbox, MessageSource } from './types.ts';

/** 160 bits of the seed: RFC 2046 allows a boundary 70 characters. */
const SEED_LENGTH = 40;

type AttachmentContent = ReturnType<typeof attachmentStream> | Buffer;

export function messageTree(
  source: MessageSource,
  contentOf: (attachment: Attachment, index: number) => AttachmentContent,
): MimeNode {
  if (!/^[0-9a-f]{32,}$/.test(source.boundarySeed))
    throw new Error('The boundary seed must be 128 bits of hex');
  const root = new MailComposer({
    messageId: `<${source.messageId}>`,
    date: new Date(source.dateMs),
    text: source.text === undefined ? undefined : withCrlf(source.text),
    html: source.html === undefined ? undefined : withCrlf(source.html),
    attachments: source.attachments.map((attachment, index) => ({
      filename: attachment.filename,
      contentType: attachment.contentType,
      contentTransferEncoding: 'base64',
      contentDisposition: attachment.contentId === undefined ? 'attachment' : 'inline',
      cid: attachment.contentId,
      content: contentOf(attachment, index),
    })),
    // Neither quoted-printable nor base64 can produce `=_`.
    boundaryPrefix: '=_er',
    baseBoundary: source.boundarySeed.slice(0, SEED_LENGTH),
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  // MailComposer would parse the addresses again, and write their domains as U-labels under SMTPUTF8.
  const lines = headerLines(source);
  const mimeHeaders = root.buildHeaders.bind(root);
  root.buildHeaders = () => [...lines, mimeHeaders()].join('\r\n');
  return root;
}

function headerLines(source: MessageSource): string[] {
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

function withCrlf(text: string): string {
  return text.replace(/\r\n?|\n/g, '\r\n');
}
