/**
 * The sealed content of messages that were written just now, because most of them are sent at once: reading it
 * back costs more than writing it did. Bounded, and only ever a copy of what is on the ledger.
 */
const MAX_BYTES = 8 * 1024 * 1024;
/** What nobody asked for by then waits for something else; it makes room. */
const FRESH_MS = 60_000;

interface Kept {
  readonly piece: Uint8Array;
  readonly untilMs: number;
}

export class FreshContent {
  /** In the order of their times. */
  private readonly kept = new Map<string, Kept>();
  private bytes = 0;

  /** The oldest are sent first, so where there is no room the newer one is not kept. */
  keep(id: string, piece: Uint8Array, nowMs: number): void {
    if (this.bytes + piece.byteLength > MAX_BYTES) this.dropOld(nowMs);
    if (this.bytes + piece.byteLength > MAX_BYTES || this.kept.has(id)) return;
    this.kept.set(id, { piece, untilMs: nowMs + FRESH_MS });
    this.bytes += piece.byteLength;
  }

  /** Once: whoever needs it again reads the ledger. */
  take(id: string): Uint8Array | undefined {
    const found = this.kept.get(id);
    if (found) this.drop(id, found);
    return found?.piece;
  }

  private dropOld(nowMs: number): void {
    for (const [id, kept] of this.kept) {
      if (kept.untilMs > nowMs) return;
      this.drop(id, kept);
    }
  }

  private drop(id: string, { piece }: Kept): void {
    this.kept.delete(id);
    this.bytes -= piece.byteLength;
  }
}
