/**
 * Processes that must not outlive us. Each leads a group of its own, because wrangler starts workerd and
 * esbuild: only the group as a whole is ended. A tiny shell watches a pipe from us and ends the groups when
 * the pipe closes, which also happens where no handler of ours can run any more (kill -9, out of memory).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';

const OWNER_ONLY = 0o600;
const GRACE_MS = 5000;
const POLL_MS = 50;

const WATCHER = `trap '' HUP INT TERM
groups=
while read -r id; do groups="$groups -$id"; done
[ -z "$groups" ] || kill -9 $groups 2>/dev/null`;

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** The exit code of the group's leader, once it ends; undefined where a signal ended it. */
  readonly ended: Promise<number | undefined>;
  /** What it printed so far. */
  logs(): string;
}

/** Groups that were started and not yet seen to be gone. */
const liveGroups = new Set<number>();
let watcher: ChildProcess | undefined;

function watch(pid: number): void {
  if (!watcher) {
    watcher = spawn('sh', ['-c', WATCHER], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    watcher.stdin?.on('error', () => undefined);
    watcher.on('error', () => undefined);
    watcher.unref();
    (watcher.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  }
  watcher.stdin?.write(`${pid}\n`);
}

export interface ChildOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Standard output and error go here; readable by the owner only. */
  readonly logPath: string;
}

export function startChild(options: ChildOptions): Child {
  const { name, command, cwd, env, logPath } = options;
  const log = openSync(logPath, 'w', OWNER_ONLY);
  const [program, ...args] = command;
  if (program === undefined) throw new Error(`${name} has no command`);
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  if (child.pid === undefined) throw new Error(`${name} could not be started`);
  watch(child.pid);
  const pid = child.pid;
  liveGroups.add(pid);
  const ended = new Promise<number | undefined>((resolve) => {
    child.once('exit', (code) => resolve(code ?? undefined));
  });
  return { name, pid, ended, logs: () => readFileSync(logPath, 'utf8') };
}

/** Signals the whole group; false where no process of it is left. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

function isGroupAlive(groupId: number): boolean {
  if (!signalGroup(groupId, 0)) return false;
  if (process.platform !== 'linux') return true;
  // In a container whose first process reaps nothing, ended members stay as zombies for ever.
  return readdirSync('/proc').some((entry) => /^\d+$/.test(entry) && isLivingMember(entry, groupId));
}

function isLivingMember(pid: string, groupId: number): boolean {
  try {
    // `pid (name) state parent group …`, where the name may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === String(groupId) && state !== 'Z' && state !== 'X';
  } catch {
    return false;
  }
}

async function groupIsGone(pid: number, withinMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs <= withinMs; waitedMs += POLL_MS) {
    if (!isGroupAlive(pid)) {
      liveGroups.delete(pid);
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}

/** Asks the group to end, and ends it where it does not listen. Resolves once nothing of it is left. */
export async function stopGroup(pid: number): Promise<void> {
  signalGroup(pid, 'SIGTERM');
  if (!(await groupIsGone(pid, GRACE_MS))) await killGroup(pid);
}

/** `kill -9` of the whole group. */
export async function killGroup(pid: number): Promise<void> {
  signalGroup(pid, 'SIGKILL');
  if (!(await groupIsGone(pid, GRACE_MS))) throw new Error(`Process group ${pid} does not end`);
}

/** Ends everything that `startChild` started. */
export async function stopAllGroups(): Promise<void> {
  await Promise.all([...liveGroups].map(stopGroup));
}

/** For `process.on('exit')`, where nothing can be awaited. */
export function killAllGroupsNow(): void {
  for (const pid of liveGroups) signalGroup(pid, 'SIGKILL');
}
