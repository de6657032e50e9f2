/**
 * The relay as a process: its workerd is ended with `kill -9` and started again on the same state. A node process
 * between us and it has everything loaded that starting takes, and trusts the certificates of the environment.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startRelay } from '../support/relay-under-test.ts';
import { makeStateFolder } from '../support/state-folder.ts';

export interface RelayServer {
  /** Of the process that runs now, or runs next. */
  readonly url: URL;
  readonly stateFolder: string;
  /** Resolves when nothing of it is left. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const live = new Set<ChildProcess>();
// Before the folders of state are removed.
process.prependListener('exit', () => {
  for (const child of live) killGroup(child);
});
// Without these, an interrupted run would leave its servers behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

export async function startRelayServer(options: {
  readonly settings: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
}): Promise<RelayServer> {
  const stateFolder = await makeStateFolder();
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    env: { ...process.env, ...options.env, FAULTS_RELAY_CHILD: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  live.add(child);
  child.stdin.on('error', () => {});
  const exited = once(child, 'exit').then(() => live.delete(child));
  const lines = createInterface({ input: child.stdout });
  let url = new URL('http://127.0.0.1:1');
  let workerd: number | undefined;
  const start = async () => {
    const answer = once(lines, 'line');
    child.stdin.write(`${JSON.stringify({ settings: options.settings, stateFolder })}\n`);
    const [line] = await Promise.race([answer, exited.then(() => ['null'])]);
    const started = JSON.parse(String(line));
    if (!started) throw new Error('the relay did not start');
    url = new URL(started.url);
    workerd = started.workerd;
  };
  const kill = async () => {
    const dead = once(lines, 'line');
    if (workerd !== undefined) process.kill(workerd, 'SIGKILL');
    await Promise.race([dead, exited]);
  };
  await start();
  return {
    get url() {
      return url;
    },
    stateFolder,
    start,
    kill,
    async stop() {
      killGroup(child);
      await exited;
      await rm(stateFolder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** For each line with settings a workerd, of which the number and the URL are told, and later its end. */
async function runChild(): Promise<void> {
  // Ends with whoever started it: also where that one was killed the hard way.
  process.stdin.on('end', () => process.kill(-process.pid, 'SIGKILL'));
  for await (const line of createInterface({ input: process.stdin })) {
    const { settings, stateFolder } = JSON.parse(line);
    const relay = await startRelay({ settings, stateFolder, quiet: true, direct: true });
    const workerd = findWorkerd();
    console.log(JSON.stringify({ url: relay.url.href, workerd }));
    while (existsSync(`/proc/${workerd}/exe`)) await new Promise((resolve) => setTimeout(resolve, 5));
    relay.miniflare.dispose().catch(() => {});
    console.log('dead');
  }
}

/** The one child of ours that is a workerd and still lives. */
function findWorkerd(): number | undefined {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
    .trim()
    .split(' ');
  const isWorkerd = (pid: string) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('workerd');
  return children.filter(Boolean).filter(isWorkerd).map(Number).at(-1);
}

if (process.env.FAULTS_RELAY_CHILD === '1') await runChild();
