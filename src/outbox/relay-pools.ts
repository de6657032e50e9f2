/** The pools of an account's relays, each made when it is first needed. */
import type { RelayUse } from './client.ts';
import { RelayPool } from './relay-pool.ts';
import type { SendingRelay } from './sending-state.ts';

export class RelayPools {
  private readonly pools = new Map<string, RelayPool>();

  /** As the relay is now: one that was changed begins afresh. */
  of(relay: SendingRelay): RelayPool {
    let pool = this.pools.get(relay.id);
    if (!pool) {
      pool = new RelayPool(relay);
      this.pools.set(relay.id, pool);
    }
    if (pool.relay.version !== relay.version) pool.reset(relay);
    return pool;
  }

  all(): RelayPool[] {
    return [...this.pools.values()];
  }

  drop(pool: RelayPool): void {
    this.pools.delete(pool.relay.id);
  }

  get opening(): number {
    return this.all().reduce((sum, pool) => sum + pool.opening, 0);
  }

  get hasParked(): boolean {
    return this.all().some((pool) => pool.hasParked);
  }

  /** When the first relay that cannot be used now may be used again. */
  opensAt(nowMs: number): number | undefined {
    const times = this.all()
      .map((pool) => pool.opensAtMs)
      .filter((atMs) => atMs > nowMs);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  useOf(relayId: string): RelayUse {
    const pool = this.pools.get(relayId);
    return pool?.use(Date.now()) ?? { openSessions: 0, breaker: 'closed', deliveredLastMinute: 0 };
  }

  reset(): void {
    for (const pool of this.pools.values()) pool.reset(pool.relay);
  }
}
