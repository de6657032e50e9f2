/**
 * Which relay carries the next message.
 *
 * - A message that names its relay goes through that one or waits for it; no other rule applies.
 * - Otherwise a relay for certain From domains carries only those, and is preferred for them over a relay for
 *   all domains.
 * - Then the lower priority comes first, and relays of one priority share the mail by weight.
 * - Of that order, the dispatcher takes the first relay that is not closed.
 */

export interface RoutedRelay {
  readonly id: string;
  /** Lower first. */
  readonly priority: number;
  /** The share of the mail among relays of one priority; at least 1. */
  readonly weight: number;
  /** Canonical names; empty: every domain. */
  readonly fromDomains: readonly string[];
}

export interface MessageRoute {
  /** Canonical, as addresses have it. */
  readonly fromDomain: string;
  readonly relayId?: string | undefined;
}

/**
 * The relays that may carry a message, the first choice first. `random` gives numbers from 0 to below 1, and is
 * asked once for each relay that may carry it, in the order given.
 */
export function rankRelays<R extends RoutedRelay>(
  relays: readonly R[],
  message: MessageRoute,
  random: () => number,
): readonly R[] {
  const { fromDomain, relayId } = message;
  if (relayId !== undefined) return relays.filter((relay) => relay.id === relayId);
  const ranked = relays.flatMap((relay) => {
    const isOwn = relay.fromDomains.includes(fromDomain);
    if (!isOwn && relay.fromDomains.length > 0) return [];
    return [{ relay, group: isOwn ? 0 : 1, delay: weightedDelay(relay.weight, random()) }];
  });
  ranked.sort(
    (one, other) =>
      one.group - other.group || one.relay.priority - other.relay.priority || one.delay - other.delay,
  );
  return ranked.map(({ relay }) => relay);
}

/**
 * Of exponentially distributed delays, the one of rate w is the shortest with probability w in proportion
 * to the sum of all rates, and the rest keep that property among themselves (Efraimidis and Spirakis).
 */
function weightedDelay(weight: number, random: number): number {
  return -Math.log(1 - random) / weight;
}
