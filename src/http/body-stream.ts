/** A request body as it comes, never held whole. */
import { AppError } from '../errors.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const READ_BYTES = 64 * KIB;

/** A piece is good until the next one is asked for. Throws once more than the limit was read. */
export async function* piecesOf(
  body: ReadableStream<Uint8Array> | null,
  limitBytes: number,
): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = body.getReader({ mode: 'byob' });
  let piece = new Uint8Array(READ_BYTES);
  let readBytes = 0;
  let isDone = false;
  try {
    for (;;) {
      const { done, value } = await reader.read(piece);
      isDone = done;
      if (done || !value) return;
      readBytes += value.byteLength;
      if (readBytes > limitBytes) throw tooLarge(limitBytes);
      yield value;
      piece = new Uint8Array(value.buffer as ArrayBuffer);
    }
  } finally {
    // The rest stays unread. Not awaited: the client may be slow to notice.
    if (!isDone) reader.cancel().catch(() => undefined);
  }
}

export function declaredLength(header: string | undefined): number {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : 0;
}

export function tooLarge(limitBytes: number): AppError {
  const limit =
    limitBytes >= MIB ? `${Math.floor(limitBytes / MIB)} MiB` : `${Math.floor(limitBytes / KIB)} KiB`;
  return new AppError('body_too_large', { limit });
}
