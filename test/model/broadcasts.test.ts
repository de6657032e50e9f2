/** Each contact gets one message of a broadcast, whatever happens while it runs; and the counts are exact. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import type { BroadcastRun } from '../../src/outbox/broadcasts/broadcast-api.ts';
import { begun, expectOnceEach, NONE, runOf } from './broadcast-checks.ts';
import { BroadcastWorld } from './broadcast-world.ts';

/** As a customer does it who repeats what was not answered. */
async function cancelAtLast(world: BroadcastWorld, id: string) {
  for (;;) {
    if (world.isKilled) world.restart();
    const outcome = await world.office.cancel(id).catch(() => undefined);
    if (outcome !== undefined && !world.isKilled) return outcome;
    if (!world.isKilled) throw new Error('the cancel failed');
  }
}

/** Recipients that have come to an end. */
function sumOf({ counts }: BroadcastRun): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

describe('a broadcast', () => {
  test('is sent once to each contact, page by page, with no more waiting than may', async () => {
    const { world, id } = await begun({ contacts: 11, waiting: 4 });
    await world.until(() => world.mailed().length === 4, { sends: false });
    await world.until(async () => (await runOf(world, id)).hindrance !== undefined, { sends: false });
    const full = { status: 'sending', total: 11, queued: 4, counts: NONE, hindrance: 'backlog' };
    expect(await runOf(world, id)).toMatchObject(full);
    await world.until(async () => (await world.statusOf(id)) === 'sent');
    await world.until(async () => (await runOf(world, id)).counts.delivered === 11);
    expectOnceEach(world);
    expect(await runOf(world, id)).toMatchObject({ status: 'sent', total: 11, queued: 11, skipped: 0 });
  });

  test.each([1, 3])('survives a kill at any of its awaits, with %s shards', async (shards) => {
    let killAt = 0;
    for (let wasKilled = true; wasKilled; ) {
      killAt++;
      for (const loses of [true, false]) {
        const world = new BroadcastWorld({ shards, waiting: 3 });
        world.join(9);
        const id = newId('broadcast');
        await world.office.start({ id });
        world.killAt = world.steps + killAt;
        const isOver = async () => {
          const run = await runOf(world, id).catch(() => undefined);
          return run?.status === 'sent' && run.counts.delivered === 9;
        };
        await world.until(isOver, { loses });
        wasKilled = world.steps >= world.killAt;
        await world.untilAlive(isOver, { loses });
        expectOnceEach(world);
        const counts = { ...NONE, delivered: 9 };
        expect(await runOf(world, id)).toMatchObject({ total: 9, queued: 9, counts });
      }
    }
    expect(killAt).toBeGreaterThan(20);
  });

  test('takes nobody while it is paused, over a restart too, and everybody once it goes on', async () => {
    const { world, id } = await begun({ contacts: 9, waiting: 3 });
    await world.until(() => world.mailed().length === 3, { sends: false });
    expect(await world.office.pause(id)).toMatchObject({ run: { status: 'paused' } });
    world.restart();
    for (let turn = 0; turn < 20; turn++) {
      world.send();
      world.office.kick();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const counts = { ...NONE, delivered: 3 };
    expect(await runOf(world, id)).toMatchObject({ status: 'paused', queued: 3, counts });
    expect(await world.office.resume(id)).toMatchObject({ run: { status: 'sending' } });
    await world.until(async () => (await runOf(world, id)).counts.delivered === 9);
    expectOnceEach(world);
  });

  // Each await of the run is once the moment of the cancel; the process dies so many awaits after it, or not.
  test.each([Number.POSITIVE_INFINITY, 1, 2, 4, 7])(
    'that is canceled accepts and sends nothing more; a kill %s awaits later changes nothing',
    async (killAfter) => {
      let canceled = 0;
      for (let cancelAt = 1, wasReached = true; wasReached; cancelAt++) {
        const { world, id } = await begun({ shards: 3, contacts: 9, waiting: 3 });
        const moment = world.steps + cancelAt;
        let isSettled = false;
        world.onStep = () => {
          if (world.steps !== moment) return;
          world.killAt = moment + killAfter;
          // The customer's call arrives, and its own awaits may be the ones at which the process ends.
          const settle = () => {
            isSettled = true;
          };
          queueMicrotask(() => void world.office.cancel(id).then(settle, settle));
        };
        const isSent = async () => (await world.statusOf(id).catch(() => undefined)) === 'sent';
        await world.until(async () => isSettled || (await isSent()));
        wasReached = world.steps >= moment;
        const outcome = await cancelAtLast(world, id);
        if (outcome === 'conflict') continue;
        canceled++;
        if (outcome === 'draft_again') {
          // Its beginning was not on disk yet.
          expect(world.mailed()).toEqual([]);
          continue;
        }
        if (outcome === 'not_found') throw new Error('it is not known any more');
        const { queued } = outcome.run;
        const { sent } = world;
        const isOver = async () => {
          const run = await runOf(world, id).catch(() => undefined);
          return run !== undefined && sumOf(run) === queued;
        };
        await world.until(isOver);
        await world.untilAlive(isOver);
        const { counts, status } = await runOf(world, id);
        expect(status).toBe('canceled');
        expect(world.sent).toBe(sent);
        expect(counts).toEqual({ ...NONE, delivered: counts.delivered, canceled: queued - counts.delivered });
        // Deliveries of this model are not synced, and a kill may lose some.
        if (killAfter === Number.POSITIVE_INFINITY) expect(counts.delivered).toBe(sent);
        expect(world.mailed()).toHaveLength(queued);
        expect(new Set(world.mailed()).size).toBe(queued);
      }
      expect(canceled).toBeGreaterThan(10);
    },
  );

  test('that is canceled has a page refused that arrives only then', async () => {
    const { world, id } = await begun({ shards: 3, contacts: 9, waiting: 3 });
    let arrive = () => {};
    world.onTheWay = new Promise((resolve) => {
      arrive = resolve;
    });
    await world.until(() => world.log.at(-1) === 'accept', { sends: false });
    expect(await world.office.cancel(id)).toMatchObject({ run: { status: 'canceled', queued: 3 } });
    arrive();
    await world.until(() => world.log.includes('accept answered'), { sends: false });
    await world.until(async () => (await runOf(world, id)).counts.canceled === 3);
    expect(await runOf(world, id)).toMatchObject({ queued: 3 });
    expect(world.mailed()).toHaveLength(3);
  });

  test('is canceled whole where its id comes of a clock that runs ahead', async () => {
    const world = new BroadcastWorld({ waiting: 4 });
    world.join(4);
    const id = newId('broadcast', Date.now() + 60_000);
    await world.office.start({ id });
    await world.until(() => world.mailed().length === 4, { sends: false });
    await world.office.cancel(id);
    await world.until(() => !world.shard(0).ledger.parts.stoppingIds.includes(id), { sends: false });
    expect(await runOf(world, id)).toMatchObject({ queued: 4, counts: { ...NONE, canceled: 4 } });
  });

  test('that is scheduled has its alarm in the turn that writes it down, and begins after a restart', async () => {
    const world = new BroadcastWorld();
    world.join(5);
    const [later, soon] = [newId('broadcast'), newId('broadcast')];
    const laterMs = Date.now() + 60 * 60 * 1000;
    const started = world.office.start({ id: later, scheduledAtMs: laterMs });
    expect(world.alarmAtMs).toBe(laterMs);
    await started;
    await world.office.start({ id: soon, scheduledAtMs: Date.now() + 1 });
    world.restart();
    await world.until(async () => (await runOf(world, soon)).counts.delivered === 5);
    expect(await world.statusOf(later)).toBe('scheduled');
    await world.until(() => world.office.nextAlarmAt(Date.now()) === laterMs);
    expectOnceEach(world);
  });

  test('has its pages in turn with another one', async () => {
    const { world, id } = await begun({ contacts: 12, waiting: 3 });
    const other = newId('broadcast');
    await world.office.start({ id: other });
    await world.until(() => world.mailed().length >= 12);
    for (const run of await world.office.find([id, other])) expect(run.queued).toBeGreaterThan(0);
    await world.until(async () => {
      const runs = await world.office.find([id, other]);
      return runs.every(({ counts }) => counts.delivered === 12);
    });
    expectOnceEach(world, [...world.members, ...world.members]);
  });

  test('reaches once whoever stays on the list, and nobody twice, while others join and leave between crashes', async () => {
    const kills = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });
    const options = fc.record({ shards: fc.constantFrom(1, 3), loses: fc.boolean(), kills });
    await fc.assert(
      fc.asyncProperty(options, async ({ shards, loses, kills: gaps }) => {
        const world = new BroadcastWorld({ shards, waiting: 3 });
        const ids = world.join(16);
        // Old contacts, who join the list while the broadcast runs; and others who leave it.
        const joining = ids.filter((_, index) => index % 4 === 0);
        const leaving = ids.filter((_, index) => index % 4 === 1);
        const staying = ids.filter((_, index) => index % 4 > 1);
        for (const contact of joining) world.members.delete(contact);
        const id = newId('broadcast');
        await world.office.start({ id });
        const left = [...gaps];
        const killLater = () => {
          world.killAt = world.steps + (left.shift() ?? Number.POSITIVE_INFINITY);
        };
        world.onRestart = () => {
          killLater();
          const [joins, leaves] = [joining.pop(), leaving.pop()];
          if (joins) world.members.add(joins);
          if (leaves) world.members.delete(leaves);
          world.join(1);
        };
        killLater();
        const isOver = async () => {
          const run = await runOf(world, id).catch(() => undefined);
          return run?.status === 'sent' && run.counts.delivered === run.queued;
        };
        await world.until(isOver, { loses });
        await world.untilAlive(isOver, { loses });
        const mailed = world.mailed();
        expect(new Set(mailed).size).toBe(mailed.length);
        expect(mailed).toEqual(expect.arrayContaining(staying));
        expect((await runOf(world, id)).queued).toBe(mailed.length);
      }),
      { numRuns: 40 },
    );
  });
});
