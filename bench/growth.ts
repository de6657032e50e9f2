/** What a message costs on a small ledger and on a large one. What the figure means is in README.md. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { bundleWorker } from '../test/support/relay-under-test.ts';
import { type Figures, figureOf, millisecondsOf, pairs, RUNS, ratios } from './figures.ts';

const SMALL = 1000;
const LARGE = 200_000;
const LARGE_IN_FULL = 1_000_000;
/** One request fills so many: an object that never answers would be taken for a hanging one. */
const FILL_AT_ONCE = 10_000;
const MEASURED = 1000;

export async function measureGrowth({ isFull }: { isFull: boolean }): Promise<Figures> {
  const stateFolder = await mkdtemp(join(tmpdir(), 'edge-relay-growth-'));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: [
        {
          type: 'ESModule',
          path: 'growth-worker.js',
          contents: await bundleWorker(join(import.meta.dirname, 'growth-worker.ts')),
        },
      ],
      compatibilityDate: '2026-10-27',
      compatibilityFlags: ['nodejs_compat'],
      durableObjects: { LEDGER: { className: 'LedgerBench', useSQLite: true } },
      // On the disk: in memory there would be no pages to look for.
      resourcePersistencePath: stateFolder,
      host: '127.0.0.1',
      port: 0,
      handleStructuredLogs: () => {},
      log: new Log(LogLevel.ERROR),
    }),
  );
  const url = await miniflare.ready;
  const ask = async (what: 'fill' | 'live', ledger: string, count: number) => {
    const response = await fetch(new URL(`/${what}?ledger=${ledger}&count=${count}`, url), {
      method: 'POST',
    });
    if (!response.ok) throw new Error(`${what}: ${(await response.text()).slice(0, 500)}`);
  };
  const large = isFull ? LARGE_IN_FULL : LARGE;
  const live = (ledger: string) => millisecondsOf(() => ask('live', ledger, MEASURED));
  let fresh = 0;
  // Measuring makes a ledger grow: a small one is small only once.
  const onSmall = async () => {
    const ledger = `small-${fresh++}`;
    await ask('fill', ledger, SMALL);
    return live(ledger);
  };
  try {
    const filledMs = await millisecondsOf(async () => {
      for (let filled = 0; filled < large; filled += FILL_AT_ONCE) await ask('fill', 'large', FILL_AT_ONCE);
    });
    console.error(`growth: ${large} messages filled in ${(filledMs / 1000).toFixed(0)} s`);
    await onSmall();
    await live('large');
    const found = await pairs(RUNS + 2, () => live('large'), onSmall);
    const name = isFull ? 'ledger.growth_1k_to_1m' : 'ledger.growth_1k_to_200k';
    return {
      [name]: figureOf(ratios(found.ours, found.theirs), { unit: 'ratio', goal: '<= 1.5' }),
      'ledger.microseconds_per_message_at_1k': figureOf(
        found.theirs.map((ms) => (ms * 1000) / MEASURED),
        { unit: 'µs', goal: 'none' },
      ),
    };
  } finally {
    await miniflare.dispose();
    await rm(stateFolder, { recursive: true, force: true });
  }
}
