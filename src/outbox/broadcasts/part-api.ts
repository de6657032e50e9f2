/**
 * What crosses between shard 0, which runs a broadcast, and the shards that have a part of it: each of them counts its
 * own messages, in the transaction that changes them.
 */

/** Of recipients in one shard. `waiting`: not tried yet; what was and is tried again is in none of the others. */
export interface PartCounts {
  readonly accepted: number;
  readonly waiting: number;
  readonly delivered: number;
  readonly failed: number;
  readonly suppressed: number;
  readonly canceled: number;
  readonly inDoubt: number;
}

/** Pages are numbered over all shards of a broadcast, and a number is used once. */
export interface BroadcastPage {
  readonly broadcastId: string;
  readonly page: number;
}

/** How many messages of broadcasts a shard takes now, and how many it takes when it has none. */
export interface Room {
  readonly free: number;
  readonly capacity: number;
}

/** The RPC surface about a shard's part. What it answers is durable. */
export interface BroadcastPartApi {
  /** In the order of the ids; zeros for what it has nothing of. */
  read(ids: readonly string[]): Promise<readonly PartCounts[]>;
  room(shards: number): Promise<Room>;
  /** From here on the page cannot be accepted, unless it was. */
  fence(page: BroadcastPage): Promise<'accepted' | 'fenced'>;
  /** From here on nothing of the broadcast is accepted, or sent; what waits is canceled by and by. */
  stop(broadcastId: string): Promise<void>;
}
