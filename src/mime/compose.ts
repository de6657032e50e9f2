/**
 * Composing: a message source in, the bytes of the message out.
 *
 * A pure function. The same source gives the same bytes on every machine and in every time zone, because a
 * message in doubt is sent again byte for byte: Message-ID, Date and boundaries come from the source, and
 * nothing is random. All bodies are 7-bit; only addresses under SMTPUTF8 are not.
 */
import { attachmentStream, inPieces, PIECE_BYTES, type ReadAttachment } from './message-stream.ts';
import { messageTree } from './message-tree.ts';
import { plainMessage } from './plain-message.ts';
import type { ComposedMessage, MessageSource } from './types.ts';

/** Below this, a message with attachments is built in one buffer too. */
const STREAM_FROM_BYTES = 256 * 1024;
const BASE64_LINE = 76;

export async function compose(
  source: MessageSource,
  readAttachment: ReadAttachment,
): Promise<ComposedMessage> {
  const eightBit = [source.from, ...source.to, ...source.cc, ...source.replyTo].some((box) => box.smtpUtf8);
  const plain = plainMessage(source);
  if (plain) return { ...wholeOf(plain), eightBit };
  const attachedBytes = source.attachments.reduce((sum, attachment) => sum + attachment.sizeBytes, 0);
  const tree = () =>
    messageTree(source, (attachment, index) => attachmentStream(attachment, readAttachment, index));
  if (attachedBytes < STREAM_FROM_BYTES) {
    return { ...wholeOf(await tree().build()), eightBit };
  }
  return { sizeBytes: await measure(source), eightBit, pieces: inPieces(() => tree().createReadStream()) };
}

function wholeOf(bytes: Uint8Array): Omit<ComposedMessage, 'eightBit'> {
  const pieces = inPieces(() => [bytes]);
  const isShort = bytes.length <= PIECE_BYTES;
  return { sizeBytes: bytes.length, pieces, ...(isShort ? { whole: bytes } : {}) };
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
