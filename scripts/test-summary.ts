/**
 * Prints `N passed, N failed` from vitest's JSON report, and fails unless something ran and nothing failed. A
 * run outside vitest, known by its exit status, counts as one test more.
 */
import { readFileSync } from 'node:fs';
import { listAt, textAt, valueAt } from './api-client.ts';

const [reportPath, checkStatus, ...otherStatuses] = process.argv.slice(2);
if (reportPath === undefined) {
  throw new Error(
    'Usage: test-summary.ts <report> <exit status of the check> [<exit status of another run>…]',
  );
}

const report: unknown = JSON.parse(readFileSync(reportPath, 'utf8'));
let passed = Number(valueAt(report, 'numPassedTests') ?? 0);
let failed = Number(valueAt(report, 'numFailedTests') ?? 0);

// A file that does not load, and an error outside any test, have no failed test to be counted by.
failed += listAt(report, 'testResults').filter(
  (file) => textAt(file, 'status') === 'failed' && listAt(file, 'assertionResults').length === 0,
).length;
if (failed === 0 && (checkStatus !== '0' || passed === 0)) failed = 1;
for (const status of otherStatuses) {
  if (status === '0') passed++;
  else failed++;
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
