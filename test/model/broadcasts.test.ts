/** Each contact gets one message of a broadcast, whatever happens while it runs; and the counts are exact. */
import { describe, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import type { BroadcastRun } from '../../src/outbox/broadcasts/broadcast-api.ts';
import { BroadcastWorld, type WorldOptions } from './broadcast-world.ts';

const NONE = { delivered: 0, failed: 0, suppressed: 0, canceled: 0, inDoubt: 0 };

async function begun(options: WorldOptions & { readonly contacts?: number } = {}) {
  const world = new BroadcastWorld(options);
  world.join(options.contacts ?? 10);
  const id = newId('broadcast');
  await world.office.start({ id });
  return { world, id };
}

async function runOf(world: BroadcastWorld, id: string): Promise<BroadcastRun> {
  const [run] = await world.office.find([id]);
  if (!run) throw new Error('the broadcast is not known');
  return run;
}

function expectOnceEach(world: BroadcastWorld, contacts: Iterable<string> = world.members): void {
  expect(world.mailed().sort()).toEqual([...contacts].sort());
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
        expectOnceEach(world);
        const counts = { ...NONE, delivered: 9 };
        expect(await runOf(world, id)).toMatchObject({ total: 9, queued: 9, counts });
      }
    }
    expect(killAt).toBeGreaterThan(20);
  });
});
