/**
 * `npm start`: the whole product on this machine, with a test inbox as its upstream server, and one
 * message sent through it.
 *
 * PORT (8787), SMTP_PORT (1025), INBOX_PORT (1080): wanted ports; the next free one is used where taken.
 * EDGE_RELAY_STATE: a folder for everything that is kept (database, secrets, demo account, logs).
 */
import { mkdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { type Child, killAllGroupsNow, stopAllGroups } from './children.ts';
import { DEMO_RECIPIENT, DEMO_SENDER, isDelivered, prepareDemo, sendAndFollow } from './demo.ts';
import { lastLines, migrateLocally, startInbox, startLocalServer, untilReady } from './local-server.ts';
import { completeSettings, localDefaults } from './local-settings.ts';
import { anyFreePort, freePortFrom } from './ports.ts';
import { hints, line, timeline, whyNotDelivered } from './show.ts';
import { ROOT } from './wrangler.ts';

const OWNER_ONLY_FOLDER = 0o700;

let isReady = false;
let isStopping = false;

async function main(): Promise<void> {
  const { persistTo, folder, settingsPath } = places();
  mkdirSync(folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
  console.log('\nedge-relay\n');

  const { settings, added } = completeSettings(settingsPath, localDefaults());
  console.log(
    line('settings', `${shown(settingsPath)}${added.length > 0 ? `, new: ${added.join(', ')}` : ''}`),
  );

  const smtpPort = await portFor('SMTP_PORT', 1025);
  const webPort = await portFor('INBOX_PORT', 1080, [smtpPort]);
  const port = await portFor('PORT', 8787, [smtpPort, webPort]);
  const inspectorPort = await anyFreePort();

  const inbox = startInbox({ smtpPort, webPort, logPath: join(folder, 'inbox.log') });
  failWhenEnded(inbox);
  await migrateLocally(persistTo);
  console.log(line('database', `${shown(persistTo)}, migrated`));

  const logPath = join(folder, 'server.log');
  const server = startLocalServer({ persistTo, port, inspectorPort, settingsPath, logPath });
  failWhenEnded(server);
  const inboxUrl = `http://127.0.0.1:${webPort}`;
  const baseUrl = `http://127.0.0.1:${port}/v1`;
  await untilReady(inbox, `${inboxUrl}/api/healthz`);
  await untilReady(server, `http://127.0.0.1:${port}/health`);
  console.log(line('server', `${baseUrl}, log in ${shown(logPath)}`));
  console.log(line('inbox', `${inboxUrl}, SMTP on port ${smtpPort}`));

  const adminToken = settings.ADMIN_TOKEN ?? '';
  const demo = await prepareDemo({ baseUrl, adminToken, smtpPort, path: join(folder, 'demo.json') });
  console.log(line('account', `${demo.accountId}, relay ${demo.relayId}`));

  const { id, email } = await sendAndFollow(baseUrl, demo.apiKey);
  console.log(`\n${id}: from ${DEMO_SENDER} to ${DEMO_RECIPIENT}\n\n${timeline(email)}\n`);
  if (!isDelivered(email)) throw new Error(whyNotDelivered(email));
  console.log(hints({ baseUrl, apiKey: demo.apiKey, inboxUrl }));
  isReady = true;
}

/** Everything in one folder where one is named, else where a developer looks for it. */
function places(): { persistTo: string; folder: string; settingsPath: string } {
  const state = process.env.EDGE_RELAY_STATE;
  if (state) {
    const folder = resolve(state);
    return { folder, persistTo: join(folder, 'state'), settingsPath: join(folder, 'dev.vars') };
  }
  return {
    folder: join(ROOT, '.edge-relay'),
    persistTo: join(ROOT, '.wrangler', 'state'),
    settingsPath: join(ROOT, '.dev.vars'),
  };
}

function shown(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}

async function portFor(name: string, fallback: number, except: readonly number[] = []): Promise<number> {
  const text = process.env[name];
  const wanted = text ? Number(text) : fallback;
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > 65_535)
    throw new Error(`${name} must be a port number`);
  const port = await freePortFrom(wanted, except);
  if (port !== wanted) console.log(line('port', `${wanted} is taken, using ${port} (${name})`));
  return port;
}

function failWhenEnded(child: Child): void {
  void child.ended.then(() => {
    if (!isStopping) void stop(1, `${child.name} ended unexpectedly.\n${lastLines(child.logs())}`);
  });
}

async function stop(exitCode: number, message?: string): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  if (message !== undefined) console.error(`\n${message}`);
  try {
    await stopAllGroups();
  } finally {
    process.exit(exitCode);
  }
}

process.on('exit', killAllGroupsNow);
process.on('uncaughtException', (error) => void stop(1, messageOf(error)));
// A closed terminal: there is nobody to print to, and nobody to press Ctrl-C.
process.stdout.on('error', () => void stop(1));
process.stderr.on('error', () => undefined);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // Before the message arrived there is nothing to be satisfied with: 130, as shells say for Ctrl-C.
  process.on(signal, () => void stop(isReady ? 0 : 130));
}

main().catch((error: unknown) => stop(1, messageOf(error)));

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
