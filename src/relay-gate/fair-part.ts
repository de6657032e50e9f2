/** How much of what is left one asker may take while others want some too. */

export interface Claim {
  readonly wants: number;
  /** What it has had of the present window, or holds of the sessions. */
  readonly used: number;
  /** When it was last served: who has waited longest goes first where there is not one for each. */
  readonly servedAtMs: number;
}

/**
 * Each of `n` askers has a right to one nth of `limit`. What the others still lack of their part, and want, is left for
 * them; the rest may be taken by anybody. Where a part is less than one, one is left for each that was served earlier.
 */
export function fairPart(
  self: Claim,
  others: readonly Claim[],
  { available, limit }: { available: number; limit: number },
): number {
  const share = limit / (others.length + 1);
  let reserved = 0;
  let ahead = 0;
  for (const other of others) {
    if (other.wants <= 0) continue;
    const lacks = Math.max(0, Math.min(other.wants, share - other.used));
    const isAhead = other.servedAtMs < self.servedAtMs;
    if (isAhead) ahead++;
    reserved += isAhead ? Math.max(1, lacks) : lacks;
  }
  const rest = Math.floor(available - reserved);
  const entitled = Math.min(Math.ceil(share - self.used), available - ahead);
  return Math.max(0, Math.min(self.wants, available, Math.max(rest, entitled)));
}
