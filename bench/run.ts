/**
 * `npm run bench`: measures beside peers on this machine, prints a table and writes `results.json`.
 * `node bench/run.ts session ledger` measures some of the groups and leaves the figures of the others.
 * `--full` grows a ledger to a million messages instead of 200,000, and an account to as many contacts instead of 100,000.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { measureAccept } from './accept.ts';
import { measureContacts } from './contacts.ts';
import { measureCost } from './cost.ts';
import { type Figures, tableOf } from './figures.ts';
import { measureGrowth } from './growth.ts';
import { measureLedger } from './ledger.ts';
import { measureList } from './list.ts';
import { measurePath } from './path.ts';
import { measurePostfix } from './postfix-path.ts';
import { measureSession } from './session.ts';
import { measureWebhook } from './webhook.ts';

const isFull = process.argv.includes('--full');

const GROUPS = {
  session: measureSession,
  accept: measureAccept,
  ledger: measureLedger,
  webhook: measureWebhook,
  growth: () => measureGrowth({ isFull }),
  list: measureList,
  contacts: () => measureContacts({ isFull }),
  cost: measureCost,
  path: measurePath,
  postfix: measurePostfix,
} satisfies Record<string, () => Promise<Figures>>;
type Group = keyof typeof GROUPS;

const RESULTS = join(import.meta.dirname, 'results.json');

const wanted = process.argv.slice(2).filter((word) => word !== '--full');
const unknown = wanted.filter((name) => !(name in GROUPS));
if (unknown.length > 0) {
  console.error(`There is no group ${unknown.join(', ')}; there are ${Object.keys(GROUPS).join(', ')}.`);
  process.exit(2);
}
const groups = (wanted.length > 0 ? wanted : Object.keys(GROUPS)) as Group[];

const measured: Figures = {};
for (const group of groups) {
  const startedMs = performance.now();
  Object.assign(measured, await GROUPS[group]());
  console.error(`${group}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
}
console.log(tableOf(measured));

const isWhole = wanted.length === 0;
const figures = isWhole ? measured : { ...(await earlierFigures()), ...measured };
await writeFile(RESULTS, `${JSON.stringify({ figures }, undefined, 2)}\n`);

async function earlierFigures(): Promise<Figures> {
  const text = await readFile(RESULTS, 'utf8').catch(() => '{"figures":{}}');
  return (JSON.parse(text) as { figures: Figures }).figures;
}
