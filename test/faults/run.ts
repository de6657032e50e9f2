/**
 * `npm run test:faults`: runs cells of the grid of faults and compares the three ledgers after each.
 *
 *   -- --cells N       so many, spread evenly over positions and faults (default 520)
 *   -- --all           every cell that is applicable
 *   -- --seed S        the choice of cells; printed at the start
 *   -- --only a/b/c    cells whose name begins so: position/fault/recipients/tls/policy
 *   -- --list          counts the grid, with the reasons for what is not applicable, and runs nothing
 *   -- --peer NAME     smtp-sink, postfix or exim in place of our own server
 */
import { parseArgs } from 'node:util';
import { makeTestCa } from '../support/test-ca.ts';
import { runCells } from './cell-run.ts';
import { allCells, nameOf, randomOf, sampleCells, whyNotApplicable } from './grid.ts';
import { runPeer } from './peers.ts';

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    cells: { type: 'string', default: '520' },
    seed: { type: 'string' },
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    peer: { type: 'string' },
    width: { type: 'string', default: '12' },
  },
});

if (values.peer !== undefined) process.exit(await runPeer(values.peer, values.only));

const cells = allCells();
const reasons = new Map<string, number>();
const applicable = cells.filter((cell) => {
  const reason = whyNotApplicable(cell);
  if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  return reason === undefined;
});
const notApplicable = cells.length - applicable.length;
console.log(`${cells.length} cells, ${applicable.length} applicable. Not applicable:`);
for (const [reason, count] of reasons) console.log(`  ${count} × ${reason}`);
if (values.list) process.exit(0);

const ca = makeTestCa();
if (!ca) {
  console.log('skipped: there is no openssl to make certificates with');
  process.exit(1);
}
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const { only } = values;
const wanted = only === undefined ? applicable : applicable.filter((cell) => nameOf(cell).startsWith(only));
const isWhole = values.all || only !== undefined;
const chosen = isWhole ? wanted : sampleCells(wanted, Number(values.cells), randomOf(seed));
console.log(`seed ${seed}: ${chosen.length} cells`);

let done = 0;
const startedMs = Date.now();
const results = await runCells(chosen, {
  ca,
  width: Number(values.width),
  onDone({ cell, findings }) {
    done++;
    for (const text of findings.texts.slice(0, 3)) console.log(`FAILED ${text}`);
    if (findings.texts.length > 0) console.log(`  again: npm run test:faults -- --only ${nameOf(cell)}`);
    if (done % 100 === 0) console.log(`${done} done after ${((Date.now() - startedMs) / 1000).toFixed(0)} s`);
  },
});
ca.dispose();

const lost = results.reduce((sum, { findings }) => sum + findings.lost, 0);
const unaccounted = results.reduce((sum, { findings }) => sum + findings.unaccounted, 0);
const failed = results.filter(({ findings }) => findings.texts.length > 0);
const positions = new Set(chosen.map(({ position }) => position)).size;
const faults = new Set(chosen.map(({ fault }) => fault)).size;
console.log(`${positions} positions, ${faults} faults, ${failed.length} cells with a finding`);
if (!isWhole)
  console.log(`the same cells again: npm run test:faults -- --cells ${values.cells} --seed ${seed}`);
console.log(
  `faults: ${results.length} run, ${notApplicable} not applicable, ${lost} lost, ${unaccounted} unaccounted`,
);
process.exit(failed.length > 0 ? 1 : 0);
