/**
 * A real `wrangler dev` process of its own: own ports, own settings, own state. It can be killed the hard
 * way and started again on the same state.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { cp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAllGroupsNow, killGroup, stopGroup } from '../../scripts/children.ts';
import { migrateLocally, startLocalServer, untilReady } from '../../scripts/local-server.ts';
import { localDefaults, readSettings } from '../../scripts/local-settings.ts';
import { ROOT } from '../../scripts/wrangler.ts';
import { freePort } from './free-port.ts';

const MIGRATIONS = join(ROOT, 'migrations');
const CACHE = join(ROOT, 'node_modules/.cache/edge-relay-migrated');

export interface DevServerOptions {
  /** The folder of an earlier server, to continue with its state and secrets. */
  readonly persistTo?: string;
  readonly port?: number;
  /** Settings of the Worker, on top of local defaults and of those the folder was used with before. */
  readonly settings?: Readonly<Record<string, string>>;
  /** For the process itself, for instance NODE_EXTRA_CA_CERTS: certificates that its outbound TLS trusts. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface DevServer {
  /** `http://127.0.0.1:<port>`, without a path. */
  readonly url: string;
  readonly port: number;
  readonly adminToken: string;
  /** Of the process group's leader. */
  readonly pid: number;
  readonly persistTo: string;
  /** What wrangler and the Worker printed since the start. */
  logs(): string;
  /** `kill -9` of the whole group; resolves once nothing of it is left. The state stays. */
  kill(): Promise<void>;
  /** Asks it to end. The state stays. */
  stop(): Promise<void>;
}

process.on('exit', killAllGroupsNow);

export async function startDevServer(options: DevServerOptions = {}): Promise<DevServer> {
  const persistTo = options.persistTo ?? mkdtempSync(join(tmpdir(), 'edge-relay-'));
  const settingsPath = join(persistTo, 'settings.env');
  const settings = { ...localDefaults(), ...readSettings(settingsPath), ...options.settings };
  writeFileSync(settingsPath, dotenv(settings), { mode: 0o600 });

  // Written last: a folder without it was not migrated to the end.
  const migrated = join(persistTo, 'migrated');
  if (!existsSync(migrated)) {
    await cp(await migratedState(), join(persistTo, 'state'), { recursive: true });
    writeFileSync(migrated, '');
  }

  const port = options.port ?? (await freePort());
  const child = startLocalServer({
    persistTo: join(persistTo, 'state'),
    port,
    inspectorPort: await freePort(),
    settingsPath,
    logPath: join(persistTo, 'server.log'),
    ...(options.env ? { env: options.env } : {}),
  });
  const url = `http://127.0.0.1:${port}`;
  try {
    await untilReady(child, `${url}/health`);
  } catch (error) {
    await killGroup(child.pid);
    throw error;
  }
  return {
    url,
    port,
    persistTo,
    adminToken: settings.ADMIN_TOKEN ?? '',
    pid: child.pid,
    logs: child.logs,
    kill: () => killGroup(child.pid),
    stop: () => stopGroup(child.pid),
  };
}

/**
 * An empty state with every migration, to be copied: wrangler takes many seconds to make one. `npm start` does not
 * take it from here, so its test still sees the migrations applied.
 */
async function migratedState(): Promise<string> {
  const hash = createHash('sha256');
  const files = (await readdir(MIGRATIONS)).sort().map((name) => join(MIGRATIONS, name));
  for (const file of [...files, join(ROOT, 'wrangler.toml'), join(ROOT, 'package-lock.json')]) {
    hash.update(`${file}\0`).update(await readFile(file));
  }
  const state = join(CACHE, hash.digest('hex').slice(0, 16));
  if (existsSync(state)) return state;
  const unfinished = `${state}.${process.pid}`;
  await migrateLocally(unfinished);
  await rename(unfinished, state).catch(async (error: unknown) => {
    // Somebody else was faster.
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(state)) throw error;
  });
  return state;
}

/** Deletes what a stopped server kept. */
export async function removeState(server: DevServer): Promise<void> {
  await rm(server.persistTo, { recursive: true, force: true });
}

function dotenv(settings: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${quoted(value ?? '')}\n`)
    .join('');
}

/** Quotes where a bare value would be cut short at `#` or trimmed. */
function quoted(value: string): string {
  return /[\s#'"`\\]/.test(value) ? `'${value}'` : value;
}
