/** Which relay would carry a message now, and what speaks against each of the others. */
import { type MessageRoute, type RoutedRelay, rankRelays } from './choose-relay.ts';

export type ChoiceReason =
  /** Of the relay that is chosen. */
  | 'named'
  | 'only_relay'
  | 'for_the_domain'
  | 'first_by_priority'
  | 'drawn_by_weight'
  /** The one before it is closed. */
  | 'next_open'
  /** Every relay that may carry it is closed: it waits for the first. */
  | 'all_closed'
  /** Of the others. */
  | 'not_named'
  | 'for_other_domains'
  | 'closed'
  | 'comes_later';

export interface ExplainedRelay {
  readonly relayId: string;
  readonly reason: ChoiceReason;
}

export interface ExplainedChoice {
  /** Absent where no relay may carry it, or none is open. */
  readonly chosen?: ExplainedRelay;
  readonly others: readonly ExplainedRelay[];
}

export function explainChoice<R extends RoutedRelay>(
  relays: readonly R[],
  message: MessageRoute,
  options: { readonly isClosed: (relay: R) => boolean; readonly random: () => number },
): ExplainedChoice {
  const ranked = rankRelays(relays, message, options.random);
  const chosen = ranked.find((relay) => !options.isClosed(relay));
  const others = relays
    .filter((relay) => relay !== chosen)
    .map((relay): ExplainedRelay => ({ relayId: relay.id, reason: reasonAgainst(relay) }));
  return chosen ? { chosen: { relayId: chosen.id, reason: reasonFor(chosen) }, others } : { others };

  function reasonAgainst(relay: R): ChoiceReason {
    if (!ranked.includes(relay)) return message.relayId === undefined ? 'for_other_domains' : 'not_named';
    if (!options.isClosed(relay)) return 'comes_later';
    return chosen ? 'closed' : 'all_closed';
  }

  function reasonFor(relay: R): ChoiceReason {
    if (message.relayId !== undefined) return 'named';
    if (ranked[0] !== relay) return 'next_open';
    if (ranked.length === 1) return relays.length === 1 ? 'only_relay' : 'for_the_domain';
    const isOwn = (one: R) => one.fromDomains.includes(message.fromDomain);
    const peers = ranked.filter(
      (other) => isOwn(other) === isOwn(relay) && other.priority === relay.priority,
    );
    if (peers.length > 1) return 'drawn_by_weight';
    return isOwn(relay) && !ranked.slice(1).some(isOwn) ? 'for_the_domain' : 'first_by_priority';
  }
}
