/**
 * The Worker as it is, in a real workerd through Miniflare, with an API client for tests. Its state lies in a
 * folder of its own, so that a test can stop it and start it again on the same state.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { makeStateFolder } from './state-folder.ts';
import { ADMIN_TOKEN, TEST_SETTINGS } from './test-settings.ts';

const ROOT = join(import.meta.dirname, '../..');

export { ADMIN_TOKEN, TEST_SETTINGS };

export interface RelayOptions {
  readonly settings?: Readonly<Record<string, string>>;
  /** Kept when the relay is stopped; made, and removed again, where absent. */
  readonly stateFolder?: string;
  /** For measurements: the state is on the disk even where memory has room for it. */
  readonly onDisk?: boolean;
  /** Another entry, for benchmarks that need to look inside. */
  readonly entry?: string;
  readonly inspectorPort?: number;
  /** Registrations and failed keys by address and minute; as many as one likes where absent. */
  readonly limits?: { readonly registrations?: number; readonly failedKeys?: number };
  /** Swallows what the Worker logs. */
  readonly quiet?: boolean;
  /** A socket straight to the Worker: without it every request first goes through a Worker of Miniflare's own. */
  readonly direct?: boolean;
  /** Takes what the Worker logs, a line at a time, instead of the console. */
  readonly onLog?: (line: string) => void;
}

export interface RelayUnderTest {
  readonly url: URL;
  readonly stateFolder: string;
  readonly miniflare: Miniflare;
  stop(): Promise<void>;
}

/** One bundle for each entry and process. */
const bundles = new Map<string, Promise<string>>();

export function bundleWorker(entry = join(ROOT, 'src/worker.ts')): Promise<string> {
  let bundle = bundles.get(entry);
  if (!bundle) {
    bundle = build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      target: 'es2024',
      conditions: ['workerd', 'worker', 'import'],
      external: ['cloudflare:*', 'node:*'],
      banner: {
        js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire("/");',
      },
      plugins: [{ name: 'node-builtins', setup: (setup) => externalBuiltins(setup) }],
      logLevel: 'error',
    }).then((result) => result.outputFiles[0]?.text ?? '');
    bundles.set(entry, bundle);
  }
  return bundle;
}

export async function startRelay(options: RelayOptions = {}): Promise<RelayUnderTest> {
  const stateFolder = options.stateFolder ?? (await makeStateFolder(options));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: [{ type: 'ESModule', path: 'worker.js', contents: await bundleWorker(options.entry) }],
      compatibilityDate: '2026-10-27',
      compatibilityFlags: ['nodejs_compat'],
      d1Databases: { DB: 'edge-relay-db' },
      durableObjects: {
        OUTBOX: { className: 'Outbox', useSQLite: true },
        RELAY_GATE: { className: 'RelayGate', useSQLite: true },
      },
      ratelimits: {
        REGISTRATION_LIMIT: {
          namespace_id: '1',
          simple: { limit: options.limits?.registrations ?? 1_000_000, period: 60 },
        },
        FAILED_KEY_LIMIT: {
          namespace_id: '2',
          simple: { limit: options.limits?.failedKeys ?? 1_000_000, period: 60 },
        },
      },
      resourcePersistencePath: stateFolder,
      bindings: { ...TEST_SETTINGS, ...options.settings },
      host: '127.0.0.1',
      port: 0,
      ...(options.inspectorPort === undefined ? {} : { inspectorPort: options.inspectorPort }),
      ...(options.direct ? { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] } : {}),
      ...(options.quiet ? { handleStructuredLogs: () => {} } : {}),
      ...(options.onLog && { handleStructuredLogs: ({ message }) => options.onLog?.(message) }),
      log: new Log(LogLevel.ERROR),
    }),
  );
  const ready = await miniflare.ready;
  const url = options.direct ? await miniflare.unsafeGetDirectURL() : ready;
  await applyMigrations(miniflare);
  return {
    url,
    stateFolder,
    miniflare,
    async stop() {
      await miniflare.dispose();
      if (options.stateFolder === undefined) await rm(stateFolder, { recursive: true, force: true });
    },
  };
}

async function applyMigrations(miniflare: Miniflare): Promise<void> {
  const database = await miniflare.getD1Database('DB');
  const known = await database.prepare("SELECT name FROM sqlite_schema WHERE name = 'accounts'").first();
  if (known) return;
  const folder = join(ROOT, 'migrations');
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()) {
    const text = await readFile(join(folder, file), 'utf8');
    const statements = text
      .replace(/^\s*--.*$/gm, '')
      .split(';')
      .map((statement) => statement.trim());
    await database.batch(statements.filter(Boolean).map((statement) => database.prepare(statement)));
  }
}

/** Packages ask for `crypto` where they mean `node:crypto`. */
function externalBuiltins(setup: import('esbuild').PluginBuild): void {
  const names =
    /^(?:assert|buffer|child_process|crypto|dns|events|fs|http|https|net|os|path|punycode|querystring|stream|string_decoder|timers|tls|url|util|zlib)$/;
  setup.onResolve({ filter: names }, ({ path }) => ({ path: `node:${path}`, external: true }));
}
