/**
 * Composing: a message source in, the bytes of the message out.
 *
 * A pure function. The same source gives the same bytes on every machine and in every time zone, because a
 * message in doubt is sent again byte for byte: Message-ID, Date and boundaries come from the source, and
 * nothing is random. All bodies are 7-bit; only addresses under SMTPUTF8 are not.
 */
import { attachmentStream, inPieces, type ReadAttachment } from './message-stream.ts';
import { messageTree } from './message-tree.ts';
import { renderTree } from './render-tree.ts';
import type { ComposedMessage, MessageSource } from './types.ts';

/** Below this, a message with attachments is built in one buffer too. */
const STREAM_FROM_BYTES = 256 * 1024;
/** Up to this, text and html are encoded in one go. */
const RENDER_UP_TO_BYTES = 48 * 1024;
const BASE64_LINE = 76;

export async function compose(
  source: MessageSource,
  readAttachment: ReadAttachment,
): Promise<ComposedMessage> {
  const eightBit = [source.from, ...source.to, ...source.cc, ...source.replyTo].some((box) => box.smtpUtf8);
  const attachedBytes = source.attachments.reduce((sum, attachment) => sum + attachment.sizeBytes, 0);
  const tree = () =>
    messageTree(source, (attachment, index) => attachmentStream(attachment, readAttachment, index));
  if (attachedBytes < STREAM_FROM_BYTES) {
    const bytes = isPlain(source) ? renderTree(tree()) : await tree().build();
    return { sizeBytes: bytes.length, eightBit, pieces: inPieces(() => [bytes]) };
  }
  return { sizeBytes: await measure(source), eightBit, pieces: inPieces(() => tree().createReadStream()) };
}

/** Most messages: short and without attachments. They need no streams, which cost more than the rest. */
function isPlain(source: MessageSource): boolean {
  const { text = '', html = '' } = source;
  return (
    source.attachments.length === 0 && Buffer.byteLength(text) + Buffer.byteLength(html) <= RENDER_UP_TO_BYTES
  );
}

/** The exact size, without reading an attachment: each is built with one byte, and the rest is arithmetic. */
async function measure(source: MessageSource): Promise<number> {
  const skeleton = await messageTree(source, ({ sizeBytes }) => Buffer.alloc(Math.min(1, sizeBytes))).build();
  return source.attachments.reduce(
    (sum, { sizeBytes }) => sum + base64Size(sizeBytes) - base64Size(Math.min(1, sizeBytes)),
    skeleton.length,
  );
}

/** Lines of 76 characters, the last one without its line end. */
function base64Size(sizeBytes: number): number {
  const characters = Math.ceil(sizeBytes / 3) * 4;
  return characters + 2 * Math.max(0, Math.ceil(characters / BASE64_LINE) - 1);
}
