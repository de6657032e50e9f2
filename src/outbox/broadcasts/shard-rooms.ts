/** Which shard takes the next page of a broadcast: each in its turn, as long as not too much waits there. */
import type { BroadcastPartApi, Room } from './part-api.ts';

interface Known extends Room {
  readonly readAtMs: number;
}

export class ShardRooms {
  private readonly partOf: (shard: number) => BroadcastPartApi;
  private readonly askAgainMs: number;
  private readonly known = new Map<number, Known>();
  private last = -1;

  /** A shard that was full is asked again after `askAgainMs`. */
  constructor(partOf: (shard: number) => BroadcastPartApi, askAgainMs: number) {
    this.partOf = partOf;
    this.askAgainMs = askAgainMs;
  }

  /** undefined where all are full. Throws where none is known to have room, and one of them does not answer. */
  async find(shards: number, wanted: number): Promise<{ shard: number; free: number } | undefined> {
    let fault: { readonly error: unknown } | undefined;
    for (let turn = 1; turn <= shards; turn++) {
      const shard = (this.last + turn) % shards;
      try {
        const room = await this.roomOf(shard, shards, wanted);
        if (!isEnough(room, wanted)) continue;
        this.last = shard;
        return { shard, free: room.free };
      } catch (error) {
        fault ??= { error };
      }
    }
    if (fault) throw fault.error;
    return undefined;
  }

  use(shard: number, messages: number): void {
    const room = this.known.get(shard);
    if (room) this.known.set(shard, { ...room, free: room.free - messages });
  }

  /** It said that it is full. */
  close(shard: number): void {
    const room = this.known.get(shard);
    this.known.set(shard, { capacity: room?.capacity ?? 1, free: 0, readAtMs: Date.now() });
  }

  private async roomOf(shard: number, shards: number, wanted: number): Promise<Room> {
    const known = this.known.get(shard);
    const isFresh = known !== undefined && Date.now() - known.readAtMs < this.askAgainMs;
    // What it sends meanwhile only makes more room. Shard 0 is here, and costs nothing to ask.
    if (known && shard !== 0 && (isFresh || isEnough(known, wanted))) return known;
    const room = { ...(await this.partOf(shard).room(shards)), readAtMs: Date.now() };
    this.known.set(shard, room);
    return room;
  }
}

/** Small pages cost more: it pays to wait until a good part of what may wait was sent. */
function isEnough({ free, capacity }: Room, wanted: number): boolean {
  return free >= Math.min(wanted, Math.ceil(capacity / 2));
}
