/** Message sources for the tests, and what they do with the composed bytes. */
import { compose } from '../../src/mime/compose.ts';
import type { Mailbox, MessageSource } from '../../src/mime/types.ts';

export function mailbox(address: string, name?: string): Mailbox {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, at);
  const parts = { address, local, domain: address.slice(at + 1), smtpUtf8: /[^\0-\x7f]/.test(local) };
  return name === undefined ? parts : { name, ...parts };
}

export function sourceWith(changes: Partial<MessageSource> = {}): MessageSource {
  return {
    from: mailbox('sender@example.com', 'Sender'),
    to: [mailbox('to@example.net')],
    cc: [],
    replyTo: [],
    subject: 'Hello',
    headers: [],
    attachments: [],
    messageId: 'msg_1@example.com',
    dateMs: Date.UTC(2026, 10, 24, 12, 0, 0),
    boundarySeed: '0123456789abcdef'.repeat(4),
    ...changes,
  };
}

/** An attachment and its bytes, the latter read in chunks of `chunkBytes`. */
export interface File {
  readonly filename: string;
  readonly contentType: string;
  readonly contentId?: string;
  readonly content: Uint8Array;
}

export function attached(files: readonly File[]): Pick<MessageSource, 'attachments'> {
  return { attachments: files.map(({ content, ...rest }) => ({ ...rest, sizeBytes: content.length })) };
}

export function reader(
  files: readonly File[],
  chunkBytes = 1 << 20,
): (index: number) => AsyncIterable<Uint8Array> {
  return async function* read(index) {
    const content = files[index]?.content ?? new Uint8Array();
    for (let at = 0; at < content.length; at += chunkBytes) yield content.subarray(at, at + chunkBytes);
  };
}

export async function composeBytes(source: MessageSource, files: readonly File[] = []): Promise<Buffer> {
  const message = await compose({ ...source, ...attached(files) }, reader(files));
  return collect(message.pieces);
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** The header block, unfolded: one string per field. */
export function headerFields(message: Buffer): string[] {
  const end = message.indexOf('\r\n\r\n');
  return message
    .toString('utf8', 0, end)
    .replace(/\r\n(?=[ \t])/g, '')
    .split('\r\n');
}

export function headerNames(message: Buffer): string[] {
  return headerFields(message).map((field) => field.slice(0, field.indexOf(':')));
}
