/** One shard's part of the broadcasts, as shard 0 asks for it. */
import type { Settings } from '../../env.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { shareOf } from '../shards.ts';
import type { BroadcastPage, BroadcastPartApi, PartCounts, Room } from './part-api.ts';

export interface PartContext {
  readonly ledger: Ledger;
  readonly settings: Pick<Settings, 'BROADCAST_WAITING' | 'BACKLOG_LIMIT'>;
  readonly sync: () => Promise<void>;
  readonly onStop: () => void;
}

export class BroadcastPart implements BroadcastPartApi {
  private readonly context: PartContext;

  constructor(context: PartContext) {
    this.context = context;
  }

  async read(ids: readonly string[]): Promise<readonly PartCounts[]> {
    return ids.map((id) => this.context.ledger.parts.read(id));
  }

  async room(shards: number): Promise<Room> {
    const { ledger, settings } = this.context;
    // What is deferred waits for its own time and not in line. A half of the backlog is left to other mail.
    const half = Math.max(1, Math.floor(shareOf(settings.BACKLOG_LIMIT, shards) / 2));
    const capacity = Math.min(settings.BROADCAST_WAITING, half);
    const free = Math.min(settings.BROADCAST_WAITING - ledger.parts.countWaiting(), half - ledger.backlog);
    return { capacity, free: Math.max(0, Math.min(free, capacity)) };
  }

  async fence(page: BroadcastPage): Promise<'accepted' | 'fenced'> {
    const outcome = this.context.ledger.parts.fence(page, Date.now());
    await this.context.sync();
    return outcome;
  }

  async stop(broadcastId: string): Promise<void> {
    const { ledger, sync, onStop } = this.context;
    ledger.stopBroadcast(broadcastId, Date.now());
    await sync();
    onStop();
  }
}
