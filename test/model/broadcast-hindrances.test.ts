/** What keeps a broadcast from going on for a while, or ends it: nobody is skipped for it, and nobody is mailed twice. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { begun, expectOnceEach, goOn, isDelivered, NONE, runIfAlive, runOf } from './broadcast-checks.ts';
import { BroadcastWorld } from './broadcast-world.ts';

/** Calls `check` with each await of a run as its moment, until the run has no more of them; says how many there were. */
async function atEachAwait(
  begin: () => Promise<{ readonly world: BroadcastWorld; readonly id: string }>,
  check: (world: BroadcastWorld, id: string, moment: number) => Promise<void>,
): Promise<number> {
  for (let count = 1; ; count++) {
    const { world, id } = await begin();
    const moment = world.steps + count;
    await check(world, id, moment);
    if (world.steps < moment) return count;
  }
}

describe('a broadcast and the quota', () => {
  test('uses up what is left of it, waits, and goes on where it was once there is room, through kills', async () => {
    const options = fc.record({
      shards: fc.constantFrom(1, 3),
      month: fc.integer({ min: 1, max: 10 }),
      loses: fc.boolean(),
      kills: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(options, async ({ shards, month, loses, kills }) => {
        const world = new BroadcastWorld({ shards, waiting: 4 });
        world.join(11);
        world.quota = { month };
        const id = newId('broadcast');
        await world.office.start({ id });
        const left = [...kills];
        const killLater = () => {
          world.killAt = world.steps + (left.shift() ?? Number.POSITIVE_INFINITY);
        };
        world.onRestart = killLater;
        killLater();
        const isWaiting = async () => (await runIfAlive(world, id))?.hindrance === 'quota';
        await world.until(isWaiting, { loses });
        expect(await runOf(world, id)).toMatchObject({ status: 'sending', queued: month, total: 11 });
        expect(world.mailed()).toHaveLength(month);
        world.quota = { month: 100 };
        world.office.refresh();
        await world.until(isDelivered(world, id, 11), { loses });
        await world.untilAlive(isDelivered(world, id, 11), { loses });
        expectOnceEach(world);
        expect(await runOf(world, id)).toMatchObject({ total: 11, queued: 11 });
      }),
      { numRuns: 25 },
    );
  });
});

describe('what services refuse', () => {
  test('for now, from any await on, is waited for', async () => {
    const awaits = await atEachAwait(
      () => begun({ shards: 3, contacts: 9, waiting: 3 }),
      async (world, id, moment) => {
        const hindrance = moment % 2 === 0 ? 'account_suspended' : 'unavailable';
        world.onStep = () => {
          if (world.steps === moment) world.refusal = { kind: 'hindered', hindrance };
        };
        const isOver = isDelivered(world, id, 9);
        await world.until(async () => (await runOf(world, id)).hindrance === hindrance || (await isOver()));
        world.refusal = undefined;
        world.office.refresh();
        await world.until(isOver);
        expectOnceEach(world);
        expect(await runOf(world, id)).toMatchObject({ queued: 9, counts: { ...NONE, delivered: 9 } });
      },
    );
    expect(awaits).toBeGreaterThan(20);
  });

  test.each([1, 3])(
    'after a kill at any await, too: what a page was accepted for is not planned again (%s shards)',
    async (shards) => {
      const awaits = await atEachAwait(
        () => begun({ shards, contacts: 9, waiting: 3 }),
        async (world, id, moment) => {
          world.killAt = moment;
          world.onRestart = () => {
            world.refusal = { kind: 'hindered', hindrance: 'account_suspended' };
          };
          const isOver = isDelivered(world, id, 9);
          const isHindered = async () => (await runIfAlive(world, id))?.hindrance !== undefined;
          // What the kill found written stays: a page may be accepted of which shard 0 knows only the plan.
          await world.until(
            async () => (world.refusal !== undefined && (await isHindered())) || (await isOver()),
            { loses: false },
          );
          world.refusal = undefined;
          world.office.refresh();
          await world.untilAlive(isOver, { loses: false });
          expectOnceEach(world);
        },
      );
      expect(awaits).toBeGreaterThan(20);
    },
  );

  test('for good, from any await on, ends it; what was accepted is sent, and counted', async () => {
    const reason = 'The list or the topic of this broadcast was deleted.';
    const awaits = await atEachAwait(
      () => begun({ shards: 3, contacts: 9, waiting: 3 }),
      async (world, id, moment) => {
        world.onStep = () => {
          if (world.steps === moment) world.refusal = { kind: 'failed', reason };
        };
        await world.until(async () => ['failed', 'sent'].includes((await runOf(world, id)).status));
        const { status, queued } = await runOf(world, id);
        world.onStep = () => {};
        world.refusal = undefined;
        world.restart();
        await goOn(world, 4);
        await world.until(async () => (await runOf(world, id)).counts.delivered === queued);
        expect(await runOf(world, id)).toMatchObject({
          status,
          queued,
          ...(status === 'failed' && { reason }),
        });
        expect(world.mailed()).toHaveLength(queued);
        expect(new Set(world.mailed()).size).toBe(queued);
        if (status === 'sent') expectOnceEach(world);
      },
    );
    expect(awaits).toBeGreaterThan(20);
  });
});

describe('a page that is too much for one', () => {
  test('is divided, through a kill at any await; what was accepted of it is not', async () => {
    const awaits = await atEachAwait(
      () => begun({ shards: 3, contacts: 11, waiting: 6 }),
      async (world, id, moment) => {
        const isLater = moment % 2 === 0;
        if (!isLater) world.largestPage = 2;
        world.killAt = moment;
        world.onRestart = () => {
          world.largestPage = 2;
        };
        const isOver = isDelivered(world, id, 11);
        await world.until(isOver, { loses: false });
        await world.untilAlive(isOver, { loses: false });
        expectOnceEach(world);
        expect(await runOf(world, id)).toMatchObject({ queued: 11, skipped: 0 });
      },
    );
    expect(awaits).toBeGreaterThan(20);
  });
});

describe('a backlog', () => {
  test.each([1, 3])(
    'that fills up after a page was planned refuses it; it is planned anew (%s shards)',
    async (shards) => {
      const { world, id } = await begun({ shards, contacts: 9, waiting: 3, backlog: 6 * shards });
      let isFull = false;
      world.onStep = (step) => {
        if (isFull || step !== 'compose answered') return;
        isFull = true;
        for (let index = 0; index < shards; index++) void world.acceptOther(index, 5);
      };
      await world.until(async () => (await runOf(world, id)).hindrance === 'backlog', { sends: false });
      expect(await runOf(world, id)).toMatchObject({ queued: 0, total: 9 });
      expect(world.log.filter((step) => step === 'compose')).toHaveLength(1);
      await world.until(isDelivered(world, id, 9));
      expectOnceEach(world);
    },
  );
});

describe('a shard that is away', () => {
  test('for the whole of a run leaves it to the others', async () => {
    const { world, id } = await begun({ shards: 3, contacts: 12, waiting: 3 });
    world.unreachable.add(1);
    await world.until(() => world.mailed().length === 12);
    // Less than the sum of all would be wrong.
    await expect(runOf(world, id)).rejects.toThrow('unreachable');
    expect(world.shard(1).ledger.list({ limit: 10 }, Date.now()).messages).toEqual([]);
    world.unreachable.clear();
    await world.until(isDelivered(world, id, 12));
    expectOnceEach(world);
  });

  test('from any await on for a while, and through a kill, has its pages once', async () => {
    const awaits = await atEachAwait(
      () => begun({ shards: 3, contacts: 9, waiting: 3 }),
      async (world, id, moment) => {
        const away = (moment % 2) + 1;
        world.onStep = () => {
          if (world.steps === moment) world.unreachable.add(away);
        };
        await goOn(world, 8);
        world.restart({ loses: moment % 3 === 0 });
        await goOn(world, 4);
        world.unreachable.clear();
        await world.until(isDelivered(world, id, 9));
        expectOnceEach(world);
        expect(await runOf(world, id)).toMatchObject({ queued: 9, counts: { ...NONE, delivered: 9 } });
      },
    );
    expect(awaits).toBeGreaterThan(20);
  });

  test('when the broadcast is canceled is told so when it is back', async () => {
    const { world, id } = await begun({ shards: 3, contacts: 9, waiting: 3 });
    await world.until(() => world.mailed().length === 9, { sends: false });
    world.unreachable.add(2);
    await expect(world.office.cancel(id)).rejects.toThrow('unreachable');
    world.restart();
    await world.until(() => world.log.includes('stop answered'), { sends: false });
    world.unreachable.clear();
    await world.until(async () => (await runOf(world, id)).counts.canceled === 9, { sends: false });
    expect(await runOf(world, id)).toMatchObject({ status: 'canceled', queued: 9 });
  });
});
