/**
 * `npm run test:fuzz`: fuzzes every route from its schema.
 *
 *   -- --requests N    so many (default 20,000), and more where an operation has not been covered by then
 *   -- --seed S        what is asked; printed at the start
 */
import { parseArgs } from 'node:util';
import { runCampaign } from './campaign.ts';
import { describeFinding } from './report.ts';

/** Of a thousand requests each. */
const MAX_ROUNDS = 20;

const { values } = parseArgs({
  options: { requests: { type: 'string', default: '20000' }, seed: { type: 'string' } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const requests = Number(values.requests);
if (!Number.isInteger(seed) || !Number.isInteger(requests) || requests < 1) {
  throw new Error('--seed and --requests take whole numbers');
}
console.log(`seed ${seed}: ${requests} requests`);
const startedMs = Date.now();
const seconds = () => ((Date.now() - startedMs) / 1000).toFixed(0);
const result = await runCampaign({
  seed,
  requests,
  maxRounds: MAX_ROUNDS,
  onProgress: (done) => console.log(`${done} done after ${seconds()} s`),
});
for (const finding of result.findings) console.log(describeFinding(finding));
for (const text of result.uncovered) console.log(`FAILED ${text}`);
const { serverErrors, invalidAnswers, uncovered, operations } = result;
const isRight = serverErrors + invalidAnswers + uncovered.length === 0;
if (!isRight) console.log(`again: npm run test:fuzz -- --requests ${requests} --seed ${seed}`);
console.log(
  `fuzz: ${result.requests} requests, ${operations} routes, ${serverErrors} server errors, ${invalidAnswers} invalid answers, seed ${seed}`,
);
process.exit(isRight ? 0 : 1);
