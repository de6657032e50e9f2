/** Prints `N passed, N failed` from vitest's JSON report, and fails unless something ran and nothing failed. */
import { readFileSync } from 'node:fs';
import { listAt, textAt, valueAt } from './api-client.ts';

const [reportPath, checkStatus] = process.argv.slice(2);
if (reportPath === undefined) throw new Error('Usage: test-summary.ts <report> <exit status of the check>');

const report: unknown = JSON.parse(readFileSync(reportPath, 'utf8'));
const passed = Number(valueAt(report, 'numPassedTests') ?? 0);
let failed = Number(valueAt(report, 'numFailedTests') ?? 0);

// A file that does not load, and an error outside any test, have no failed test to be counted by.
failed += listAt(report, 'testResults').filter(
  (file) => textAt(file, 'status') === 'failed' && listAt(file, 'assertionResults').length === 0,
).length;
if (failed === 0 && (checkStatus !== '0' || passed === 0)) failed = 1;

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
