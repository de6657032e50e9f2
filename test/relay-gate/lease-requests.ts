/** Short ways to ask a gate in tests. */
import type { Lease, LeaseRequest } from '../../src/relay-gate/client.ts';
import { GateState, type SavedGate } from '../../src/relay-gate/gate-state.ts';

export const BACKOFF = { firstMs: 60_000, maxMs: 15 * 60_000 };
/** An arbitrary time that no slot begins at. */
export const T0 = Date.UTC(2026, 10, 24, 10, 0, 0) + 123;

export interface Bench {
  readonly state: GateState;
  /** Rows written so far. */
  rows: number;
  saved: SavedGate | undefined;
  ask(request: Partial<LeaseRequest>, nowMs: number): Lease;
  /** Writes what must be durable, as the object does after each call. */
  save(nowMs: number): void;
}

export function openGate(saved?: SavedGate, nowMs = T0): Bench {
  const state = new GateState(BACKOFF, saved, nowMs);
  const bench: Bench = {
    state,
    rows: 0,
    saved,
    ask(request, atMs) {
      const lease = state.lease({ holder: 'a', limits: {}, sessions: 1, messages: 1, ...request }, atMs);
      bench.save(atMs);
      return lease;
    },
    save(atMs) {
      const unsaved = state.takeUnsaved(atMs);
      if (!unsaved) return;
      bench.rows++;
      // As storage would keep it: no object is shared with the state.
      bench.saved = structuredClone(unsaved);
    },
  };
  return bench;
}

/** The object dies and is made again from what it had written. */
export function restart({ saved }: Bench, nowMs: number): Bench {
  return openGate(saved, nowMs);
}
