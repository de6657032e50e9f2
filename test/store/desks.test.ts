/** What an Outbox hands out is given back at once, and does not wait for the garbage collector. */
import { env } from 'cloudflare:workers';
import { afterEach, expect, it, vi } from 'vitest';
import type { Env } from '../../src/env.ts';
import { BroadcastDesk, BroadcastPartDesk } from '../../src/outbox/broadcasts/broadcast-desk.ts';
import { broadcastDeskOf, broadcastPartDeskOf, importDeskOf } from '../../src/outbox/desks.ts';
import { ImportDesk } from '../../src/outbox/imports/import-desk.ts';
import { createAccount } from '../support/control-plane.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const here = env as unknown as Env;

it.each([
  [
    'imports',
    ImportDesk,
    (account: string) => importDeskOf(here, account).list({ limit: 1 }),
    { rows: [], hasMore: false },
  ],
  ['broadcasts', BroadcastDesk, (account: string) => broadcastDeskOf(here, account).find([]), []],
  [
    'parts of broadcasts',
    BroadcastPartDesk,
    (account: string) => broadcastPartDeskOf(here, account, 1).room(2),
    { free: expect.any(Number), capacity: expect.any(Number) },
  ],
])('gives back the desk of %s after each call', async (_name, { prototype }, ask, answer) => {
  const disposed = vi.spyOn(prototype, Symbol.dispose);
  const { id } = await createAccount();
  for (let calls = 1; calls <= 3; calls++) {
    expect(await ask(id)).toEqual(answer);
    await vi.waitFor(() => expect(disposed).toHaveBeenCalledTimes(calls));
  }
});
