import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';

const ROOT = join(import.meta.dirname, '..', '..');

interface Start {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Resolves once the text was printed; rejects with the output where the process ends before. */
  readonly printed: (text: string) => Promise<void>;
  readonly exitCode: Promise<number | null>;
}

const running = new Set<ChildProcess>();

afterEach(async () => {
  for (const child of running) {
    child.kill('SIGTERM');
    await once(child, 'close');
  }
});

function start(state: string, ports: Record<string, string>): Start {
  const child = spawn(process.execPath, ['scripts/start.ts'], {
    cwd: ROOT,
    env: { ...process.env, ...ports, EDGE_RELAY_STATE: state },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const exitCode = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      child.emit('printed');
    });
  }
  const printed = async (wanted: string) => {
    while (!text.includes(wanted)) {
      const next = await Promise.race([
        once(child, 'printed').then(() => 'more'),
        exitCode.then(() => 'ended'),
      ]);
      if (next === 'ended' && !text.includes(wanted))
        throw new Error(`It ended without "${wanted}":\n${text}`);
    }
  };
  return { child, output: () => text, printed, exitCode };
}

async function ports(): Promise<Record<string, string>> {
  const [http, smtp, web] = [await freePort(), await freePort(), await freePort()];
  return { PORT: String(http), SMTP_PORT: String(smtp), INBOX_PORT: String(web) };
}

/** Living processes whose command line or working state mentions the folder. */
function processesOf(state: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`EDGE_RELAY_STATE=${state}\0`)
          ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')]
          : [];
      } catch {
        return [];
      }
    });
}

/** The shell that watches over the children sees its pipe close when the start has ended, and ends then. */
async function expectNoProcessOf(state: string): Promise<void> {
  expect(processesOf(state).filter((command) => command.includes('workerd'))).toEqual([]);
  await expect.poll(() => processesOf(state), { timeout: 20_000 }).toEqual([]);
}

async function inboxOf(port: string | undefined): Promise<{ subject: string; to: { address: string }[] }[]> {
  const response = await fetch(`http://127.0.0.1:${port}/api/email`);
  return (await response.json()) as { subject: string; to: { address: string }[] }[];
}

/** One state for all of them, as on a developer's machine; each test starts on what the one before left. */
describe.skipIf(process.platform !== 'linux')('npm start', () => {
  const state = mkdtempSync(join(tmpdir(), 'edge-relay-start-'));
  const demo = () => readFileSync(join(state, 'demo.json'), 'utf8');
  let firstDemo: string;

  afterAll(() => rmSync(state, { recursive: true, force: true }));

  it('delivers a message to the inbox, and leaves no process', async () => {
    const first = await ports();
    const run = start(state, first);
    await run.printed('Ctrl-C ends everything');
    expect(run.output()).toMatch(/\d\d:\d\d:\d\d\.\d{3} {2}delivered .*\b250\b/);
    const inbox = await inboxOf(first.INBOX_PORT);
    expect(inbox.map((email) => [email.subject, email.to.map((to) => to.address)])).toEqual([
      ['It works', ['you@example.com']],
    ]);
    expect(processesOf(state).some((command) => command.includes('workerd'))).toBe(true);

    run.child.kill('SIGINT');
    expect(await run.exitCode).toBe(0);
    await expectNoProcessOf(state);
    firstDemo = demo();
    for (const name of ['demo.json', 'dev.vars'])
      expect(statSync(join(state, name)).mode & 0o777).toBe(0o600);
  });

  it('uses the same account the next time, and takes another port where the wanted one is in use, and says so', async () => {
    // Another SMTP port: the relay that the first start made has to follow.
    const wanted = await ports();
    const taken = spawn(process.execPath, ['-e', listenOn(wanted.PORT)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(taken.stdout, 'data');
    try {
      const run = start(state, wanted);
      await run.printed('Ctrl-C ends everything');
      expect(run.output()).toContain(`${wanted.PORT} is taken, using `);
      expect(demo()).toBe(firstDemo);
      expect(await inboxOf(wanted.INBOX_PORT)).toHaveLength(1);
      run.child.kill('SIGHUP');
      expect(await run.exitCode).toBe(0);
      await expectNoProcessOf(state);
    } finally {
      taken.kill();
    }
  });

  it('leaves no process even where it is killed without a chance to clean up', async () => {
    const run = start(state, await ports());
    await run.printed('server ');
    expect(processesOf(state).length).toBeGreaterThan(1);
    run.child.kill('SIGKILL');
    await run.exitCode;
    await expect.poll(() => processesOf(state), { timeout: 20_000 }).toEqual([]);
  });
});

function listenOn(port: string | undefined): string {
  return `require('node:net').createServer().listen(${port}, '127.0.0.1', () => console.log('listening'))`;
}
