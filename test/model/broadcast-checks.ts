/** What tests of broadcasts begin with, and look at. */
import { expect } from 'vitest';
import { newId } from '../../src/ids.ts';
import type { BroadcastRun } from '../../src/outbox/broadcasts/broadcast-api.ts';
import { BroadcastWorld, type WorldOptions } from './broadcast-world.ts';

export const NONE = { delivered: 0, failed: 0, suppressed: 0, canceled: 0, inDoubt: 0 };

export async function begun(options: WorldOptions & { readonly contacts?: number } = {}) {
  const world = new BroadcastWorld(options);
  world.join(options.contacts ?? 10);
  const id = newId('broadcast');
  await world.office.start({ id });
  return { world, id };
}

export async function runOf(world: BroadcastWorld, id: string): Promise<BroadcastRun> {
  const [run] = await world.office.find([id]);
  if (!run) throw new Error('the broadcast is not known');
  return run;
}

export function expectOnceEach(world: BroadcastWorld, contacts: Iterable<string> = world.members): void {
  expect(world.mailed().sort()).toEqual([...contacts].sort());
}

/** While a kill may be ahead, nothing that is asked has to be answered. */
export function runIfAlive(world: BroadcastWorld, id: string) {
  return runOf(world, id).catch(() => undefined);
}

export function isDelivered(world: BroadcastWorld, id: string, count: number) {
  return async () => {
    const run = await runIfAlive(world, id);
    return run?.status === 'sent' && run.counts.delivered === count;
  };
}

/** So many turns of everything that is to be done. */
export async function goOn(world: BroadcastWorld, turns: number): Promise<void> {
  let turn = 0;
  await world.until(() => ++turn > turns);
}
