/** Attachments into a message, and the message out again, without ever holding the whole of either. */
import { Readable } from 'node:stream';
import type { Attachment } from './types.ts';

export type ReadAttachment = (index: number) => AsyncIterable<Uint8Array>;

/** What is handed to the encoder at a time; base64 makes about 64 KiB of it. */
const SLICE_BYTES = 48 * 1024;
export const PIECE_BYTES = 64 * 1024;

/** The content of an attachment, read only once the message gets there. Fails where the size is not as told. */
export function attachmentStream(attachment: Attachment, read: ReadAttachment, index: number): Readable {
  return Readable.from(slices(attachment, read, index), { objectMode: false, highWaterMark: SLICE_BYTES });
}

async function* slices(
  attachment: Attachment,
  read: ReadAttachment,
  index: number,
): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  for await (const chunk of read(index)) {
    sizeBytes += chunk.length;
    for (let at = 0; at < chunk.length; at += SLICE_BYTES) yield chunk.subarray(at, at + SLICE_BYTES);
  }
  if (sizeBytes !== attachment.sizeBytes)
    throw new Error('An attachment does not have the size it was stored with');
}

/**
 * Collects small chunks and cuts large ones, so that each piece but the last has about 64 KiB. The source is
 * opened by the first read: a message that nobody reads must not read its attachments, or fail on them.
 */
export async function* inPieces(
  open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const chunk of open()) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      const part = chunk.subarray(at, at + PIECE_BYTES);
      held.push(part);
      heldBytes += part.length;
      if (heldBytes < PIECE_BYTES) continue;
      yield join(held);
      held = [];
      heldBytes = 0;
    }
  }
  if (heldBytes > 0) yield join(held);
}

function join(parts: Uint8Array[]): Uint8Array {
  const [only] = parts;
  return parts.length === 1 && only ? only : Buffer.concat(parts);
}
