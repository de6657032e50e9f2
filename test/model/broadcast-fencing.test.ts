/** A page of which nobody can tell whether its shard has it, and a pass that fails: everybody is mailed once. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { newId } from '../../src/ids.ts';
import { begun, expectOnceEach, goOn, isDelivered, NONE, runOf } from './broadcast-checks.ts';
import { BroadcastWorld } from './broadcast-world.ts';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** A promise that is kept when the test says so. */
function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
  let open = () => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open: () => open() };
}

describe('a page whose answer was lost', () => {
  afterEach(() => vi.useRealTimers());

  /** The first page for another shard is on its way, and shard 0 has heard that the connection was lost. */
  async function withLostPage() {
    const { world, id } = await begun({ shards: 3, contacts: 9, waiting: 3 });
    const arrival = gate();
    world.lostUntil = arrival.promise;
    await world.until(() => world.late.length > 0);
    return { world, id, arrival };
  }

  test('is repeated as it was, and what arrives afterwards is taken for the same', async () => {
    const { world, id, arrival } = await withLostPage();
    world.lostUntil = undefined;
    await world.until(isDelivered(world, id, 9));
    arrival.open();
    expect((await Promise.all(world.late)).map(({ outcome }) => outcome)).toEqual(
      world.late.map(() => 'replayed'),
    );
    expectOnceEach(world);
  });

  test.each(['before', 'after'])(
    'and that cannot be made again is fenced: its people are in another page, and it is refused (arrives %s that)',
    async (when) => {
      const { world, id, arrival } = await withLostPage();
      world.refusal = { kind: 'hindered', hindrance: 'account_suspended' };
      world.lostUntil = undefined;
      world.office.refresh();
      await world.until(() => world.log.includes('fence answered'));
      const arrive = async () => {
        arrival.open();
        for (const { outcome } of await Promise.all(world.late)) expect(outcome).toBe('fenced');
      };
      if (when === 'before') await arrive();
      world.refusal = undefined;
      world.office.refresh();
      await world.until(isDelivered(world, id, 9));
      if (when === 'after') await arrive();
      await goOn(world, 5);
      expectOnceEach(world);
      expect(await runOf(world, id)).toMatchObject({ queued: 9, counts: { ...NONE, delivered: 9 } });
    },
  );

  test.each(['accepted', 'refused'])('is given up after an hour, unless it was taken (%s)', async (kind) => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { world, id, arrival } = await withLostPage();
    world.unreachable.add(1).add(2);
    world.lostUntil = undefined;
    const before = world.mailed().length;
    if (kind === 'accepted') {
      arrival.open();
      await Promise.all(world.late);
      expect(world.mailed().length).toBeGreaterThan(before);
    }
    vi.setSystemTime(Date.now() + HOUR_MS + 1);
    world.unreachable.clear();
    world.office.refresh();
    await world.until(isDelivered(world, id, 9));
    arrival.open();
    const outcomes = (await Promise.all(world.late)).map(({ outcome }) => outcome);
    expect(outcomes[0]).toBe(kind === 'accepted' ? 'accepted' : 'fenced');
    expect(world.log.includes('fence answered')).toBe(true);
    expectOnceEach(world);
  });

  test('is known by its number when its messages are past their retention', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { world, id, arrival } = await withLostPage();
    world.unreachable.add(1).add(2);
    world.lostUntil = undefined;
    arrival.open();
    await Promise.all(world.late);
    world.send();
    const gone = new Set(world.mailed());
    expect(gone.size).toBeGreaterThan(3);
    vi.setSystemTime(Date.now() + 40 * DAY_MS);
    const kept = { bodies: 7, metadata: 30, claims: 7 };
    for (const shard of [0, 1, 2]) world.shard(shard).ledger.sweep(Date.now(), kept);
    expect(world.mailed()).toEqual([]);
    world.unreachable.clear();
    world.office.refresh();
    await world.until(isDelivered(world, id, 9));
    expectOnceEach(
      world,
      [...world.members].filter((contact) => !gone.has(contact)),
    );
    // Its counts are there for a year from its end, in each shard.
    for (const shard of [0, 1, 2]) world.shard(shard).office.sweep(Date.now() + 360 * DAY_MS);
    expect(await runOf(world, id)).toMatchObject({ queued: 9, counts: { ...NONE, delivered: 9 } });
    world.office.sweep(Date.now() + 370 * DAY_MS);
    expect(await world.office.find([id])).toEqual([]);
  });
});

describe('a pass of the runner', () => {
  test('that fails leaves the next one its turn', async () => {
    const world = new BroadcastWorld({ waiting: 4 });
    world.join(9);
    const id = newId('broadcast');
    let looks = 0;
    world.onStatement = (statement) => {
      // The first look is before the pass, and this one between two of its turns.
      if (statement.includes('NOT status IN') && ++looks === 2) throw new Error('the disk is away');
    };
    await world.office.start({ id });
    await world.until(isDelivered(world, id, 9));
    expectOnceEach(world);
  });
});
