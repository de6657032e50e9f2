/**
 * Gives large bytes back at once. V8 frees the memory behind an array only when it collects, and lets some
 * 64 MB of it pile up before it does: half of what an isolate may have.
 */
const WORTHWHILE_BYTES = 64 * 1024;

/** The caller must be the last to hold them: they are empty afterwards. What shares its memory is left alone. */
export function releaseBytes(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes;
  if (byteLength < WORTHWHILE_BYTES || buffer.byteLength !== byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
