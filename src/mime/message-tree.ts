/**
 * The tree of a message. The header fields of its root are ours (`header-lines.ts`); nodemailer's MailComposer decides
 * the parts below: alternative around text and html, related around inline images, mixed around files.
 */
import MailComposer from 'nodemailer/lib/mail-composer';
import type MimeNode from 'nodemailer/lib/mime-node';
import { BOUNDARY_PREFIX, boundarySeed, headerLines, withCrlf } from './header-lines.ts';
import type { attachmentStream } from './message-stream.ts';
import type { Attachment, MessageSource } from './types.ts';

type AttachmentContent = ReturnType<typeof attachmentStream> | Buffer;

export function messageTree(
  source: MessageSource,
  contentOf: (attachment: Attachment, index: number) => AttachmentContent,
): MimeNode {
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
    boundaryPrefix: BOUNDARY_PREFIX,
    baseBoundary: boundarySeed(source),
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  // MailComposer would parse the addresses again, and write their domains as U-labels under SMTPUTF8.
  const lines = headerLines(source);
  const mimeHeaders = root.buildHeaders.bind(root);
  root.buildHeaders = () => [...lines, mimeHeaders()].join('\r\n');
  return root;
}
