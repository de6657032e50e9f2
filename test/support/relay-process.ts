/**
 * The relay in a node process of its own: what workerd trusts is read from the environment it is started
 * with. Run as a program, this file is that process: it prints its URL, and ends with its standard input.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startRelay } from './relay-under-test.ts';

export interface RelayProcess {
  readonly url: URL;
  stop(): Promise<void>;
}

export async function startRelayProcess(options: {
  readonly settings?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}): Promise<RelayProcess> {
  const child = spawn(
    process.execPath,
    [fileURLToPath(import.meta.url), JSON.stringify(options.settings ?? {})],
    {
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, 'line'), exited.then(() => [''])]);
  if (!String(first[0]).startsWith('http')) throw new Error('the relay process did not start');
  return {
    url: new URL(String(first[0])),
    async stop() {
      child.stdin.end();
      await exited;
    },
  };
}

async function main(settings: string): Promise<void> {
  const relay = await startRelay({ settings: JSON.parse(settings), quiet: true });
  console.log(relay.url.href);
  process.stdin.resume();
  await once(process.stdin, 'end');
  await relay.stop();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv[2] ?? '{}');
