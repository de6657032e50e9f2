/** Of each message in hand: where it may go, and which relays it has seen in this pass. */
import type { RelayPool, RoutedItem } from './relay-pool.ts';
import type { RelayPools } from './relay-pools.ts';
import type { SendingRelay } from './sending-state.ts';

interface Route {
  readonly routed: RoutedItem;
  readonly candidates: readonly SendingRelay[];
}

export class Routes {
  private readonly pools: RelayPools;
  private readonly withoutRelayMs: number;
  private readonly routes = new Map<string, Route>();
  private readonly tried = new Map<string, Set<string>>();

  /** `withoutRelayMs`: how long a message waits that no relay is for. */
  constructor(pools: RelayPools, withoutRelayMs: number) {
    this.pools = pools;
    this.withoutRelayMs = withoutRelayMs;
  }

  find(id: string): Route | undefined {
    return this.routes.get(id);
  }

  set(id: string, route: Route): void {
    this.routes.set(id, route);
  }

  /** It is in hand no more, and what it has tried counts still. */
  putDown(id: string): void {
    this.routes.delete(id);
  }

  forget(id: string): void {
    this.routes.delete(id);
    this.tried.delete(id);
  }

  markTried(id: string, relayId: string): void {
    const tried = this.tried.get(id) ?? new Set();
    this.tried.set(id, tried.add(relayId));
  }

  /** The first candidate that is open and was not tried in this pass. */
  targetOf(id: string): RelayPool | undefined {
    const nowMs = Date.now();
    const tried = this.tried.get(id);
    for (const relay of this.candidatesOf(id)) {
      const pool = this.pools.of(relay);
      if (!tried?.has(relay.id) && !pool.isClosed(nowMs)) return pool;
    }
    return undefined;
  }

  /** Where it goes on, at once; or else the moment that the first candidate opens. */
  nextChance(id: string): { readonly target: RelayPool | undefined; readonly untilMs: number } {
    const target = this.targetOf(id);
    const nowMs = Date.now();
    if (target) return { target, untilMs: nowMs };
    const times = this.candidatesOf(id).map((relay) => this.pools.of(relay).opensAtMs);
    // No relay at all: somebody has to add one, which wakes the pump.
    const opensAtMs = times.length > 0 ? Math.min(...times) : nowMs + this.withoutRelayMs;
    return { target, untilMs: Math.max(nowMs + 1, opensAtMs) };
  }

  private candidatesOf(id: string): readonly SendingRelay[] {
    return this.routes.get(id)?.candidates ?? [];
  }
}
