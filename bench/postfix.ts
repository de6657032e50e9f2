/** Debian's Postfix, smtp-sink and smtp-source as peers: a private instance in a temp folder, never the system's. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';

const run = promisify(execFile);
const BIN = '/usr/sbin';
const DAEMONS = '/usr/lib/postfix/sbin';

/** The programs that are missing, or what else keeps a private instance from starting; undefined where all is well. */
export async function missingForPostfix(): Promise<string | undefined> {
  for (const path of [`${BIN}/postfix`, `${BIN}/smtp-sink`, `${BIN}/smtp-source`, `${DAEMONS}/master`]) {
    if (
      !(await access(path).then(
        () => true,
        () => false,
      ))
    )
      return `${path} is not installed`;
  }
  return process.getuid?.() === 0 ? undefined : 'Postfix starts only as root';
}

export interface Sink {
  readonly port: number;
  /** Resolves once that many messages were taken in all. */
  waitForMessages(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Its running counters say when a message was taken; it keeps none. */
export async function startSmtpSink(): Promise<Sink> {
  const port = await freePort();
  const child = spawn(`${BIN}/smtp-sink`, ['-c', '-u', 'postfix', `127.0.0.1:${port}`, '1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let taken = 0;
  let text = '';
  let waiting: { count: number; resolve: () => void }[] = [];
  child.stdout.setEncoding('latin1').on('data', (piece: string) => {
    text = (text + piece).slice(-200);
    taken = Number([...text.matchAll(/mesg=(\d+)\r/g)].at(-1)?.[1] ?? taken);
    waiting = waiting.filter(({ count, resolve }) => count > taken || resolve());
  });
  await untilGreeted(port);
  return {
    port,
    waitForMessages: (count) =>
      new Promise((resolve) => {
        if (taken >= count) resolve();
        else waiting.push({ count, resolve });
      }),
    stop: () => stopped(child),
  };
}

export interface SourceLoad {
  readonly port: number;
  readonly messages: number;
  /** Of the payload; the headers come on top. */
  readonly bytes: number;
  readonly sessions: number;
  /** Many messages over each session, instead of a session for each. */
  readonly keepsSessions: boolean;
}

/** Resolves when the server has accepted the last message. */
export async function sendWithSmtpSource(load: SourceLoad): Promise<void> {
  const { port, messages, bytes, sessions, keepsSessions } = load;
  await run(`${BIN}/smtp-source`, [
    ...(keepsSessions ? ['-d'] : []),
    ...['-s', String(sessions), '-m', String(messages), '-l', String(bytes)],
    ...['-f', 'bench@example.com', '-t', 'reader@example.net', `127.0.0.1:${port}`],
  ]);
}

export interface Postfix {
  readonly port: number;
  readonly logPath: string;
  stop(): Promise<void>;
}

/** What an instance has beyond the plain one. */
export interface PostfixExtras {
  /** Lookup tables and certificates, by name; they lie in `$config_directory`. */
  readonly files?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, string>>;
  /** Further lines of `master.cf`. */
  readonly services?: readonly string[];
}

/** Relays everything to that port. Its queue lies in the temp folder, on the same disk as our ledger. */
export async function startPostfix(relayPort: number, extras: PostfixExtras = {}): Promise<Postfix> {
  const folder = await mkdtemp(join(tmpdir(), 'edge-relay-postfix-'));
  const port = await freePort();
  const [config, queue, data] = ['config', 'queue', 'data'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [config, queue, data]) await mkdir(path);
  // Its daemons run as another user.
  await chmod(folder, 0o755);
  await run('chown', ['postfix', data]);
  const main = { ...mainSettings({ folder, queue, data, relayPort }), ...extras.settings };
  const mainLines = Object.entries(main).map(([name, value]) => `${name} = ${value}\n`);
  await writeFile(join(config, 'main.cf'), mainLines.join(''));
  await writeFile(join(config, 'master.cf'), masterFile(port, extras.services ?? []));
  for (const [name, text] of Object.entries(extras.files ?? {})) await writeFile(join(config, name), text);
  const control = (command: string) => run(`${BIN}/postfix`, ['-c', config, command]);
  try {
    await control('start');
    await untilGreeted(port);
  } catch (error) {
    await control('stop').catch(() => {});
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    port,
    logPath: join(folder, 'mail.log'),
    async stop() {
      await control('stop');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function mainSettings(at: {
  folder: string;
  queue: string;
  data: string;
  relayPort: number;
}): Record<string, string> {
  return {
    compatibility_level: '3.6',
    queue_directory: at.queue,
    data_directory: at.data,
    daemon_directory: DAEMONS,
    command_directory: BIN,
    shlib_directory: '/usr/lib/postfix',
    meta_directory: '/etc/postfix',
    maillog_file: join(at.folder, 'mail.log'),
    maillog_file_prefixes: at.folder,
    inet_interfaces: 'loopback-only',
    inet_protocols: 'ipv4',
    myhostname: 'postfix.test',
    mydestination: '',
    alias_maps: '',
    local_recipient_maps: '',
    relayhost: `[127.0.0.1]:${at.relayPort}`,
    smtp_tls_security_level: 'none',
    smtpd_tls_security_level: 'none',
    default_destination_concurrency_limit: '20',
    // By default it slows its clients down for a second at a time while more comes in than goes out.
    in_flow_delay: '0',
  };
}

function masterFile(port: number, services: readonly string[]): string {
  return [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    ...['bounce', 'defer', 'trace'].map((name) => `${name} unix - - n - 0 bounce`),
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    ...['smtp', 'relay'].map((name) => `${name} unix - - n - - smtp`),
    ...['error', 'retry'].map((name) => `${name} unix - - n - - error`),
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'postlog unix-dgram n - n - 1 postlogd',
    ...services,
    '',
  ].join('\n');
}

export async function untilGreeted(port: number): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (performance.now() < deadlineMs) {
    const socket = connect(port, '127.0.0.1');
    try {
      const [greeting] = (await once(socket, 'data')) as [Buffer];
      if (greeting.toString().startsWith('220')) return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`nobody greets on port ${port}`);
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, 'exit');
}
