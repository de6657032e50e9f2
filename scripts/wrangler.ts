/** How the scripts call wrangler: by path, on the Node that runs this, with everything chatty turned off. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');
export const WRANGLER = join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
export const MAILDEV = join(ROOT, 'node_modules', 'maildev', 'dist', 'bin', 'maildev.js');

export const QUIET_ENV = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  DO_NOT_TRACK: '1',
} as const;

export interface WranglerRun {
  readonly exitCode: number;
  readonly stdout: string;
  /** Standard output and error as they came. */
  readonly output: string;
}

/** Runs one command to its end, without a terminal, and keeps what it printed. */
export function runWrangler(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<WranglerRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WRANGLER, ...args], {
      cwd: ROOT,
      env: { ...env, ...QUIET_ENV },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ exitCode: code ?? 1, stdout, output }));
  });
}
