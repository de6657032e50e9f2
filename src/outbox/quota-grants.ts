/**
 * What the lead (shard 0) has given of an account's quota to the other shards.
 *
 * - What is granted is at least what the shard has used, so that the sum never exceeds the quota.
 * - A shard that was not heard of in this period may have used anything: it is asked before anything is given.
 * - A grant can be taken back: the shard first gives up what it has not used, durably; then it counts as granted no more.
 */
import { type Counter, PERIODS, type Period, type Quota, type UsageState } from './usage.ts';

/** The part of a shard, by period. */
export type QuotaPart = {
  readonly [period in Period]: { readonly number: number; readonly granted: number };
};

interface Granted {
  number: number;
  readonly shards: Map<number, number>;
}

export class QuotaGrants {
  private readonly granted: { readonly [period in Period]: Granted };
  /** Shards that have used all they were granted: there is nothing to take back. */
  private readonly settled = new Set<number>();

  constructor(saved: string | undefined) {
    const known = saved === undefined ? undefined : JSON.parse(saved);
    const read = (period: Period) => ({
      number: Number(known?.[period]?.number ?? 0),
      shards: new Map<number, number>(known?.[period]?.shards ?? []),
    });
    this.granted = { day: read('day'), month: read('month') };
  }

  reach(own: UsageState): void {
    for (const period of PERIODS) {
      const granted = this.granted[period];
      if (own[period].number <= granted.number) continue;
      granted.number = own[period].number;
      granted.shards.clear();
      this.settled.clear();
    }
  }

  /** What a shard has, and has used, after it gave up the rest. */
  note(shard: number, report: UsageState): void {
    let isSettled = true;
    for (const period of PERIODS) {
      const { number, used, lease } = report[period];
      const isOld = number < this.granted[period].number;
      this.granted[period].shards.set(shard, isOld ? 0 : Math.max(used, lease));
      if (!isOld && lease > used) isSettled = false;
    }
    if (isSettled) this.settled.add(shard);
    else this.settled.delete(shard);
  }

  grant(shard: number, recipients: number): void {
    if (recipients === 0) return;
    for (const { shards } of Object.values(this.granted)) {
      shards.set(shard, (shards.get(shard) ?? 0) + recipients);
    }
    this.settled.delete(shard);
  }

  /** What a shard has been given in all. */
  partOf(shard: number): QuotaPart {
    const of = ({ number, shards }: Granted) => ({ number, granted: shards.get(shard) ?? 0 });
    return { day: of(this.granted.day), month: of(this.granted.month) };
  }

  /** Those whose word is needed before the rest can be known. */
  unknown(shards: number): number[] {
    return others(shards).filter((shard) =>
      PERIODS.some((period) => !this.granted[period].shards.has(shard)),
    );
  }

  /** Those that may have something to give back. */
  unsettled(shards: number): number[] {
    const known = [...this.granted.day.shards.keys(), ...this.granted.month.shards.keys()];
    return [...new Set([...others(shards), ...known])].filter((shard) => !this.settled.has(shard));
  }

  /** What is left of the quota of one period. */
  left(period: Period, quota: Quota, own: Counter): number {
    const limit = quota[period];
    if (limit === undefined) return Number.POSITIVE_INFINITY;
    let used = own.used;
    for (const granted of this.granted[period].shards.values()) used += granted;
    return limit - used;
  }

  forget(): void {
    for (const { shards } of Object.values(this.granted)) shards.clear();
    this.settled.clear();
  }

  toText(): string {
    const { day, month } = this.granted;
    const text = ({ number, shards }: Granted) => ({ number, shards: [...shards] });
    return JSON.stringify({ day: text(day), month: text(month) });
  }
}

function others(shards: number): number[] {
  return Array.from({ length: Math.max(0, shards - 1) }, (_, index) => index + 1);
}
