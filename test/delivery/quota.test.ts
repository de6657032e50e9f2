/** Quotas over several shards: objects that call each other, in whatever order the calls arrive. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type QuotaDemand, QuotaKeeper } from '../../src/outbox/quota-keeper.ts';
import { type Period, periodEnd, periodNumber, type Quota } from '../../src/outbox/usage.ts';

const NOON = Date.UTC(2026, 10, 24, 12);
const DAY_MS = 24 * 60 * 60 * 1000;

/** The shards of one account. A pause comes before and after each call and each sync, of random length. */
class Shards {
  nowMs = NOON;
  trims = 0;
  readonly keepers: QuotaKeeper[] = [];
  private readonly meta: Map<string, string>[] = [];
  private readonly random: () => number;

  constructor(count: number, random: () => number = () => 0) {
    this.random = random;
    for (let shard = 0; shard < count; shard++) {
      this.meta.push(new Map());
      this.restart(shard);
    }
  }

  get count(): number {
    return this.keepers.length;
  }

  grow(): void {
    this.meta.push(new Map());
    this.restart(this.keepers.length);
  }

  /** What was not saved is gone. */
  restart(shard: number): void {
    const meta = this.meta[shard];
    this.keepers[shard] = new QuotaKeeper({
      readMeta: (name) => meta?.get(name),
      writeMeta: (name, value) => meta?.set(name, value),
      sync: () => this.pause(),
      askLead: (request) => this.overTheWire(() => this.keeper(0).lease(request)),
      trim: (other, part) => {
        this.trims++;
        return this.overTheWire(() => this.keeper(other).trim(part));
      },
      now: () => this.nowMs,
    });
  }

  /** As the Outbox does. */
  async accept(shard: number, recipients: number, quota: Quota): Promise<Period | 'accepted'> {
    const demand: QuotaDemand = { shard, shards: this.count, recipients, quota };
    const keeper = this.keeper(shard);
    try {
      for (;;) {
        // A group may be on its way to disk.
        await this.pause();
        if (keeper.fits(demand)) {
          keeper.count(recipients, demand);
          keeper.save();
          await this.pause();
          return 'accepted';
        }
        const period = await keeper.ask(demand);
        if (period) return period;
      }
    } finally {
      keeper.release(demand);
    }
  }

  used(period: Period): number {
    return this.keepers.reduce((sum, keeper) => sum + keeper.state()[period].used, 0);
  }

  keeper(shard: number): QuotaKeeper {
    const keeper = this.keepers[shard];
    if (!keeper) throw new Error('no such shard');
    return keeper;
  }

  private async overTheWire<T>(call: () => Promise<T>): Promise<T> {
    await this.pause();
    const result = await call();
    await this.pause();
    return structuredClone(result);
  }

  private async pause(): Promise<void> {
    const turns = 1 + Math.floor(this.random() * 8);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  }
}

/** A small generator that a seed fixes. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('a quota', () => {
  test.each([1, 2, 4, 16, 64])(
    'of 500 lets exactly 500 of 1,000 parallel messages pass, over %i shards',
    async (count) => {
      const random = randomOf(count);
      const shards = new Shards(count, random);
      const results = await Promise.all(
        Array.from({ length: 1000 }, () => shards.accept(Math.floor(random() * count), 1, { day: 500 })),
      );
      expect(results.filter((result) => result === 'accepted')).toHaveLength(500);
      expect(results.filter((result) => result === 'day')).toHaveLength(500);
      expect(shards.used('day')).toBe(500);
    },
  );

  test('is never exceeded, and never refuses what fits, for any requests, shards and restarts', async () => {
    const request = fc.record({ shard: fc.nat({ max: 3 }), recipients: fc.integer({ min: 1, max: 50 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.nat(),
          count: fc.integer({ min: 1, max: 4 }),
          day: fc.integer({ min: 0, max: 300 }),
          month: fc.integer({ min: 0, max: 300 }),
          waves: fc.array(fc.array(request, { maxLength: 15 }), { maxLength: 4 }),
          restarted: fc.nat({ max: 3 }),
        }),
        async ({ seed, count, day, month, waves, restarted }) => {
          const shards = new Shards(count, randomOf(seed));
          const quota = { day, month };
          let accepted = 0;
          for (const wave of waves) {
            const results = await Promise.all(
              wave.map(({ shard, recipients }) => shards.accept(shard % count, recipients, quota)),
            );
            const refused = wave.filter((_, index) => results[index] !== 'accepted');
            accepted += wave.reduce(
              (sum, { recipients }, index) => sum + (results[index] === 'accepted' ? recipients : 0),
              0,
            );
            expect(shards.used('day')).toBe(accepted);
            expect(accepted).toBeLessThanOrEqual(Math.min(day, month));
            // A refusal means that it did not fit beside what is counted now.
            for (const { recipients } of refused) {
              expect(accepted + recipients).toBeGreaterThan(Math.min(day, month));
            }
            shards.restart(restarted % count);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('starts anew with the day, and that of the month with the month', async () => {
    const shards = new Shards(3);
    const quota = { day: 10, month: 25 };
    for (let day = 0; day < 3; day++) {
      shards.nowMs = NOON + day * DAY_MS;
      const results = [];
      for (let n = 0; n < 12; n++) results.push(await shards.accept(n % 3, 1, quota));
      const left = Math.min(10, 25 - 10 * day);
      expect(results.filter((result) => result === 'accepted')).toHaveLength(left);
      expect(results.at(-1)).toBe(day < 2 ? 'day' : 'month');
    }
    shards.nowMs = Date.UTC(2026, 11, 1);
    expect(await shards.accept(2, 10, quota)).toBe('accepted');
    expect([shards.used('day'), shards.used('month')]).toEqual([10, 10]);
  });

  test('counts what was sent before there was a quota, or before there were so many shards', async () => {
    const shards = new Shards(2);
    shards.keeper(0).count(3, undefined);
    shards.keeper(1).count(4, undefined);
    shards.grow();
    shards.keeper(2).count(5, undefined);
    await shards.keeper(0).forget();
    expect(await shards.accept(1, 9, { month: 20 })).toBe('month');
    expect(await shards.accept(1, 8, { month: 20 })).toBe('accepted');
    expect(await shards.accept(0, 1, { month: 20 })).toBe('month');
  });

  test('that was lowered below what is used refuses everything, and raised it goes on', async () => {
    const shards = new Shards(2);
    expect(await shards.accept(1, 30, { day: 100 })).toBe('accepted');
    await shards.keeper(0).forget();
    for (const shard of [0, 1]) expect(await shards.accept(shard, 1, { day: 20 })).toBe('day');
    await shards.keeper(0).forget();
    for (const shard of [0, 1]) expect(await shards.accept(shard, 5, { day: 40 })).toBe('accepted');
    expect(await shards.accept(0, 1, { day: 40 })).toBe('day');
  });

  test('is not looked for again where nothing is left', async () => {
    const shards = new Shards(8);
    for (let n = 0; n < 10; n++) await shards.accept(n % 8, 1, { day: 10 });
    await shards.accept(3, 1, { day: 10 });
    const { trims } = shards;
    for (let n = 0; n < 50; n++) expect(await shards.accept(n % 8, 1, { day: 10 })).toBe('day');
    expect(shards.trims - trims).toBeLessThanOrEqual(8);
  });

  test('without a limit costs no call at all', async () => {
    const shards = new Shards(4);
    for (let n = 0; n < 10; n++) expect(await shards.accept(n % 4, 1, {})).toBe('accepted');
    expect(shards.used('month')).toBe(10);
  });
});

describe('the periods', () => {
  test.each([
    ['2026-11-24T00:00:00.000Z', '2026-11-25T00:00:00.000Z', '2026-12-01T00:00:00.000Z'],
    ['2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
    ['2028-02-29T12:00:00.000Z', '2028-03-01T00:00:00.000Z', '2028-03-01T00:00:00.000Z'],
  ])('of %s end at %s and %s', (at, dayEnd, monthEnd) => {
    const atMs = Date.parse(at);
    expect(new Date(periodEnd('day', atMs)).toISOString()).toBe(dayEnd);
    expect(new Date(periodEnd('month', atMs)).toISOString()).toBe(monthEnd);
    for (const period of ['day', 'month'] as const) {
      expect(periodNumber(period, periodEnd(period, atMs))).toBe(periodNumber(period, atMs) + 1);
      expect(periodNumber(period, periodEnd(period, atMs) - 1)).toBe(periodNumber(period, atMs));
    }
  });
});
