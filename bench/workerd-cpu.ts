/** The CPU time of the workerd that Miniflare started for this process, threads and all. Linux only. */
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

export interface WorkerdCpu {
  /** User and system time since it started. */
  milliseconds(): Promise<number>;
}

/** Undefined where there is no /proc, or where this process has not exactly one workerd. */
export async function findWorkerdCpu(): Promise<WorkerdCpu | undefined> {
  const names = await readdir('/proc').catch(() => []);
  const found: string[] = [];
  for (const name of names.filter((text) => /^\d+$/.test(text))) {
    const stat = await readStat(name).catch(() => undefined);
    if (stat?.command === 'workerd' && stat.parent === process.pid) found.push(name);
  }
  const [pid] = found;
  if (pid === undefined || found.length > 1) return undefined;
  const msPerTick = 1000 / Number(execFileSync('getconf', ['CLK_TCK']));
  return { milliseconds: async () => (await readStat(pid)).ticks * msPerTick };
}

async function readStat(pid: string): Promise<{ command: string; parent: number; ticks: number }> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The command stands in parentheses and may have any character in it.
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  return {
    command: text.slice(text.indexOf('(') + 1, end),
    parent: Number(fields[1]),
    ticks: Number(fields[11]) + Number(fields[12]),
  };
}
