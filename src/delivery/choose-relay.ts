/** Which relay carries the next message. */

export interface RelayChoice {
  readonly id: string;
  readonly version: number;
}

/** A relay that failed as a whole stays closed until `untilMs`; a new version of it starts afresh. */
export interface RelayClosure {
  readonly version: number;
  readonly failures: number;
  readonly untilMs: number;
}

export type RelayDecision<R> =
  | { readonly kind: 'relay'; readonly relay: R }
  /** Every relay is closed; the first opens at `untilMs`. */
  | { readonly kind: 'wait'; readonly untilMs: number }
  | { readonly kind: 'none' };

/** The first relay, in the order given, that is not closed. */
export function chooseRelay<R extends RelayChoice>(
  relays: readonly R[],
  closures: ReadonlyMap<string, RelayClosure>,
  nowMs: number,
): RelayDecision<R> {
  let untilMs = Number.POSITIVE_INFINITY;
  for (const relay of relays) {
    const closure = closures.get(relay.id);
    if (!closure || closure.version !== relay.version || closure.untilMs <= nowMs)
      return { kind: 'relay', relay };
    untilMs = Math.min(untilMs, closure.untilMs);
  }
  return relays.length === 0 ? { kind: 'none' } : { kind: 'wait', untilMs };
}
