/**
 * A sliding window, counted in slots. A count stays until its whole slot has left the window, so no window of this
 * length, wherever it starts, ever holds more than the limit; a permit may come back up to one slot late.
 */
export type SlotCounts = readonly (readonly [slot: number, count: number])[];

export class RateWindow {
  readonly windowMs: number;
  /** Nothing is available before this: what was granted earlier is not known. */
  blockedUntilMs = 0;
  private readonly slotMs: number;
  private readonly slots = new Map<number, number>();

  constructor(windowMs: number, slotMs: number, saved: SlotCounts = []) {
    this.windowMs = windowMs;
    this.slotMs = slotMs;
    for (const [slot, count] of saved) this.slots.set(slot, count);
  }

  /**
   * Forgets what has left the window. What lies later than `latestMs` was counted by a clock that ran ahead:
   * it counts as of then, or a clock set back would keep the window full for longer than it is.
   */
  advance(nowMs: number, latestMs: number): void {
    const latest = this.slotOf(latestMs);
    for (const [slot, count] of [...this.slots]) {
      if (this.leavesAt(slot) <= nowMs) this.slots.delete(slot);
      else if (slot > latest) {
        this.slots.delete(slot);
        this.slots.set(latest, (this.slots.get(latest) ?? 0) + count);
      }
    }
    this.blockedUntilMs = Math.min(this.blockedUntilMs, latestMs + this.windowMs);
  }

  get total(): number {
    let total = 0;
    for (const count of this.slots.values()) total += count;
    return total;
  }

  available(limit: number, nowMs: number): number {
    return nowMs < this.blockedUntilMs ? 0 : Math.max(0, limit - this.total);
  }

  charge(count: number, atMs: number): void {
    if (count > 0) this.slots.set(this.slotOf(atMs), this.countAt(atMs) + count);
  }

  /** Takes back what was charged at `atMs` and not used. */
  giveBack(count: number, atMs: number): void {
    const left = this.countAt(atMs) - count;
    if (left > 0) this.slots.set(this.slotOf(atMs), left);
    else this.slots.delete(this.slotOf(atMs));
  }

  countAt(atMs: number): number {
    return this.slots.get(this.slotOf(atMs)) ?? 0;
  }

  slotOf(atMs: number): number {
    return Math.floor(atMs / this.slotMs);
  }

  /** When the first permit of a full window comes free. */
  freeAt(limit: number, nowMs: number): number {
    if (limit < 1) return nowMs + this.windowMs;
    let total = this.total;
    let freeAtMs = nowMs;
    for (const [slot, count] of [...this.slots].sort(([a], [b]) => a - b)) {
      if (total < limit) break;
      total -= count;
      freeAtMs = this.leavesAt(slot);
    }
    return Math.max(freeAtMs, this.blockedUntilMs);
  }

  counts(): [number, number][] {
    return [...this.slots];
  }

  private leavesAt(slot: number): number {
    return (slot + 1) * this.slotMs + this.windowMs;
  }
}
