/**
 * Plants each seeded bug in a copy of the repository, and runs the tests that must notice it. Names given as
 * arguments run those bugs alone. Exits with 1 where any bug was not caught.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SeededBug } from './bug.ts';
import { plant, SEEDED_BUGS } from './bugs.ts';

const TIMEOUT_MS = 120_000;
const COPIED = [
  'src',
  'test',
  'migrations',
  'public',
  'scripts',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  'wrangler.toml',
];

const root = join(import.meta.dirname, '../..');

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
  }[];
  readonly numTotalTests: number;
  readonly numFailedTests: number;
}

type Outcome = 'caught' | 'NOT CAUGHT' | 'DID NOT RUN';

/** The tests by name: those of the bug's files that failed, and whether anything ran at all. */
async function runTests(
  copy: string,
  bug: SeededBug,
): Promise<{ outcome: Outcome; missed: readonly string[] }> {
  const outputFile = join(copy, 'seeded-bug-report.json');
  rmSync(outputFile, { force: true });
  const options = ['--reporter=json', `--outputFile=${outputFile}`, ...(bug.test ? ['-t', bug.test] : [])];
  const child = spawn(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--project', bug.project, ...options, ...bug.caughtBy],
    { cwd: copy, stdio: 'ignore', detached: true },
  );
  const ended = new Promise<'ended'>((resolve) => child.once('exit', () => resolve('ended')));
  const timer = setTimeout(() => child.pid && process.kill(-child.pid, 'SIGKILL'), TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
  const report = readReport(outputFile);
  if (!report) return { outcome: 'DID NOT RUN', missed: bug.caughtBy };
  const missed = bug.caughtBy.filter(
    (file) => !report.testResults.some(({ name, status }) => name.endsWith(file) && status === 'failed'),
  );
  // A file that does not load fails too, but finds nothing out.
  if (report.numTotalTests === 0 || (report.numFailedTests === 0 && missed.length < bug.caughtBy.length))
    return { outcome: 'DID NOT RUN', missed };
  return { outcome: missed.length === 0 ? 'caught' : 'NOT CAUGHT', missed };
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

async function main(names: readonly string[]): Promise<boolean> {
  const bugs = SEEDED_BUGS.filter(({ name }) => names.length === 0 || names.includes(name));
  const copy = mkdtempSync(join(tmpdir(), 'edge-relay-seeded-'));
  let caught = 0;
  try {
    for (const path of COPIED) cpSync(join(root, path), join(copy, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    for (const bug of bugs) {
      const file = join(copy, bug.file);
      const source = readFileSync(file, 'utf8');
      const startedAtMs = Date.now();
      writeFileSync(file, plant(source, bug));
      const { outcome, missed } = await runTests(copy, bug);
      writeFileSync(file, source);
      if (outcome === 'caught') caught++;
      const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
      console.log(
        `${outcome.padEnd(11)} ${bug.name} (${seconds} s)${missed.map((name) => ` -${name}`).join('')}`,
      );
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log(`seeded: ${bugs.length} bugs, ${caught} caught`);
  return bugs.length > 0 && caught === bugs.length;
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
