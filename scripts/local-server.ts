/** The two processes of a local set-up: the Worker under `wrangler dev`, and a test inbox. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, startChild } from './children.ts';
import { copyDocsPage } from './docs-page.ts';
import { MAILDEV, QUIET_ENV, ROOT, WRANGLER } from './wrangler.ts';

const READY_WITHIN_MS = 60_000;
const POLL_MS = 50;
const PROBE_TIMEOUT_MS = 2000;

export interface LocalServerOptions {
  readonly persistTo: string;
  readonly port: number;
  readonly inspectorPort: number;
  /** A dotenv file with every setting and secret of the Worker. */
  readonly settingsPath: string;
  readonly logPath: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Brings the local database up to date; safe to repeat. */
export async function migrateLocally(persistTo: string): Promise<void> {
  mkdirSync(persistTo, { recursive: true });
  const child = startChild({
    name: 'wrangler d1 migrations apply',
    command: [
      process.execPath,
      WRANGLER,
      'd1',
      'migrations',
      'apply',
      'DB',
      '--local',
      '--persist-to',
      persistTo,
    ],
    cwd: ROOT,
    env: { ...process.env, ...QUIET_ENV, CI: '1' },
    logPath: join(persistTo, 'migrate.log'),
  });
  if ((await child.ended) !== 0)
    throw new Error(`The migrations could not be applied.\n${child.logs().trim()}`);
}

export function startLocalServer(options: LocalServerOptions): Child {
  const { persistTo, port, inspectorPort, settingsPath, logPath, env } = options;
  const flags = ['--ip', '127.0.0.1', '--port', String(port), '--inspector-port', String(inspectorPort)];
  const state = ['--persist-to', persistTo, '--env-file', settingsPath];
  const quiet = ['--show-interactive-dev-session=false', '--log-level', 'log'];
  copyDocsPage();
  return startChild({
    name: 'wrangler dev',
    command: [process.execPath, WRANGLER, 'dev', ...flags, ...state, ...quiet],
    cwd: ROOT,
    env: { ...process.env, ...env, ...QUIET_ENV },
    logPath,
  });
}

export function startInbox(options: { smtpPort: number; webPort: number; logPath: string }): Child {
  const smtp = ['--ip', '127.0.0.1', '--smtp', String(options.smtpPort)];
  const web = ['--web-ip', '127.0.0.1', '--web', String(options.webPort)];
  return startChild({
    name: 'maildev',
    command: [process.execPath, MAILDEV, ...smtp, ...web],
    cwd: ROOT,
    env: process.env,
    logPath: options.logPath,
  });
}

/** Resolves once the address answers 200. A process that ends before that is an error with its last words. */
export async function untilReady(child: Child, url: string): Promise<void> {
  let hasEnded = false;
  void child.ended.then(() => {
    hasEnded = true;
  });
  for (const start = Date.now(); Date.now() - start < READY_WITHIN_MS; ) {
    if (hasEnded) throw new Error(`${child.name} ended before it was ready.\n${lastLines(child.logs())}`);
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
      await response.arrayBuffer();
      if (response.ok) return;
    } catch {
      // Refused or reset: not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(
    `${child.name} was not ready within ${READY_WITHIN_MS / 1000} s.\n${lastLines(child.logs())}`,
  );
}

export function lastLines(text: string, count = 20): string {
  return text.trim().split('\n').slice(-count).join('\n');
}
