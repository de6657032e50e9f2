/** Runs cells: an account and an SMTP server for each, and its messages on their way through the fault. */
import type { TestCa } from '../support/test-ca.ts';
import { expectationOf, planOf } from './expectation.ts';
import { type FaultClient, inParallel, openFaultAccount, pause } from './fault-client.ts';
import { ATTACHMENT_BYTES, CREDENTIALS, type FaultyServer, startFaultyServer } from './faulty-server.ts';
import { type Cell, isBody, isKill, nameOf, type Recipients } from './grid.ts';
import { type Findings, isSettled, type LedgerView, reconcile, type ToldMessage } from './reconcile.ts';
import { type RelayServer, startRelayServer } from './relay-server.ts';

/** Schedules and timeouts, scaled. Wide enough that a busy machine is not taken for a silent server. */
export const FAULT_SETTINGS: Readonly<Record<string, string>> = {
  RETRY_FIRST_MS: '100',
  RETRY_MAX_MS: '300',
  RETRY_FOR_MS: '60000',
  WATCHDOG_MS: '300',
  SESSION_IDLE_MS: '150',
  SENDING_STATE_TTL_MS: '500',
  CONNECT_TIMEOUT_MS: '1500',
  BANNER_TIMEOUT_MS: '1500',
  COMMAND_TIMEOUT_MS: '1500',
  DATA_TIMEOUT_MS: '1500',
  BODY_WRITE_TIMEOUT_MS: '2000',
  DOT_TIMEOUT_MS: '3000',
};
/** Nothing may time out before the last cell of the batch has reached its position. */
const KILL_SETTINGS: Readonly<Record<string, string>> = {
  ...FAULT_SETTINGS,
  SESSION_IDLE_MS: '1500',
  CONNECT_TIMEOUT_MS: '8000',
  BANNER_TIMEOUT_MS: '8000',
  COMMAND_TIMEOUT_MS: '8000',
  DATA_TIMEOUT_MS: '8000',
  BODY_WRITE_TIMEOUT_MS: '8000',
  DOT_TIMEOUT_MS: '8000',
};
const SETTLE_MS = 20_000;
const REACH_MS = 10_000;
const POLL_MS = 60;
const CELLS_PER_KILL = 16;

export interface CellResult {
  readonly cell: Cell;
  readonly findings: Findings;
}

export interface CellRunOptions {
  readonly ca: TestCa;
  readonly width?: number;
  readonly onDone?: (result: CellResult) => void;
}

/** A cell under way. */
interface OpenCell {
  readonly cell: Cell;
  readonly smtp: FaultyServer;
  readonly client: FaultClient;
  readonly told: ToldMessage[];
  readonly views: Map<string, LedgerView>;
}

export async function runCells(cells: readonly Cell[], options: CellRunOptions): Promise<CellResult[]> {
  const open: OpenCell[] = [];
  const env = { NODE_EXTRA_CA_CERTS: options.ca.caPath };
  const ordinary = cells.filter((cell) => !isKill(cell));
  const kills = cells.filter(isKill);
  const results: CellResult[] = [];
  const finish = (cell: OpenCell) => {
    open.push(cell);
    options.onDone?.({ cell: cell.cell, findings: findingsOf(cell) });
  };
  const runOrdinary = async () => {
    const server = await startRelayServer({ settings: FAULT_SETTINGS, env });
    await inParallel(ordinary, options.width ?? 12, async (cell) => {
      const opened = await openCell(server, cell, options.ca);
      await send(opened);
      await settle(opened);
      finish(opened);
    });
    await server.stop();
  };
  const runKills = async () => {
    const server = await startRelayServer({ settings: KILL_SETTINGS, env });
    // QUIT comes when the idle time is over: those cells wait for each other only.
    const sorted = [...kills].sort((a, b) => Number(a.position === 'quit') - Number(b.position === 'quit'));
    for (let at = 0; at < sorted.length; at += CELLS_PER_KILL) {
      await runKillBatch(server, sorted.slice(at, at + CELLS_PER_KILL), options.ca, finish);
    }
    await server.stop();
  };
  await Promise.all([
    ordinary.length > 0 ? runOrdinary() : undefined,
    kills.length > 0 ? runKills() : undefined,
  ]);
  // Once more at the very end: a copy that comes late is a copy all the same.
  for (const cell of open) {
    results.push({ cell: cell.cell, findings: findingsOf(cell) });
    await cell.smtp.close();
  }
  return results;
}

/** One `kill -9` for many accounts, each of which stands at its own position. */
async function runKillBatch(
  server: RelayServer,
  cells: readonly Cell[],
  ca: TestCa,
  finish: (cell: OpenCell) => void,
): Promise<void> {
  const opened = await Promise.all(cells.map((cell) => openCell(server, cell, ca)));
  const sending = opened.map(send);
  await Promise.race([Promise.all(opened.map(atPosition)), pause(REACH_MS)]);
  await server.kill();
  await server.start();
  await Promise.all(sending);
  await Promise.all(opened.map(settle));
  opened.forEach(finish);
}

/** A session idles once the relay has written down what became of its message: the server cannot see that. */
async function atPosition({ cell, smtp, told, client }: OpenCell): Promise<void> {
  await smtp.reached;
  for (const deadline = Date.now() + REACH_MS; cell.position === 'idle' && Date.now() < deadline; ) {
    const id = told[0]?.id;
    const view: LedgerView | undefined = id && (await client.call('GET', `/v1/emails/${id}`));
    if (view?.deliveries.every(({ status }) => status !== 'queued' && status !== 'sending')) return;
    await pause(POLL_MS);
  }
}

let cellCount = 0;

async function openCell(server: RelayServer, cell: Cell, ca: TestCa): Promise<OpenCell> {
  const number = ++cellCount;
  const recipients = recipientsOf(cell.recipients, number);
  const smtp = await startFaultyServer(cell, { recipients, certificate: { key: ca.key, cert: ca.cert } });
  const credentials =
    cell.position === 'helo' ? {} : { username: CREDENTIALS.username, password: CREDENTIALS.secret };
  const client = await openFaultAccount(server, {
    host: 'localhost',
    port: smtp.port,
    tls: cell.tls,
    auth: cell.position === 'auth-challenge' ? 'login' : 'auto',
    // One after the other: which message meets the fault must not be a matter of chance.
    limits: { sessions: 1 },
    ...credentials,
  });
  const told = Array.from({ length: planOf(cell).messages }, (_, index) => ({
    token: `cell${number}m${index}-${process.pid}`,
    id: undefined,
    recipients,
    expectation: expectationOf(cell, index),
  }));
  return { cell, smtp, client, told, views: new Map() };
}

function recipientsOf(recipients: Recipients, number: number): string[] {
  if (recipients === 'one') return [`ok${number}@example.net`];
  if (recipients === 'mixed') return ['ok', 'gone', 'later'].map((name) => `${name}${number}@example.net`);
  return Array.from({ length: 20 }, (_, index) => `ok${number}n${index}@example.net`);
}

/** All at once, or the last one when the fault has come. */
async function send(open: OpenCell): Promise<void> {
  const { messages, lastWaits } = planOf(open.cell);
  await post(open, 0, lastWaits ? messages - 1 : messages);
  if (!lastWaits) return;
  await Promise.race([open.smtp.reached, pause(REACH_MS)]);
  await post(open, messages - 1, messages);
}

async function post({ cell, client, told }: OpenCell, from: number, to: number): Promise<void> {
  const batch = told.slice(from, to).map((message) => emailOf(cell, message));
  const key = { 'idempotency-key': `${told[from]?.token}` };
  const answer = await client.call('POST', '/v1/emails/batch', batch, key);
  answer.data.forEach(({ id }: { id: string }, index: number) => {
    const message = told[from + index];
    if (message) told[from + index] = { ...message, id };
  });
}

function emailOf(cell: Cell, { token, recipients }: ToldMessage): Record<string, unknown> {
  const content = isBody(cell.position)
    ? Buffer.alloc(ATTACHMENT_BYTES, token).toString('base64')
    : undefined;
  return {
    from: 'Sender <sender@example.com>',
    to: recipients,
    subject: token,
    text: `This is ${token}.\n.\n..a line with dots\n`,
    in_doubt_policy: cell.policy,
    ...(content === undefined ? {} : { attachments: [{ filename: 'a.bin', content }] }),
  };
}

async function settle({ client, told, views }: OpenCell): Promise<void> {
  const deadline = Date.now() + SETTLE_MS;
  for (const { id } of told) {
    if (id === undefined) continue;
    for (;;) {
      const view = (await client.call('GET', `/v1/emails/${id}`)) as LedgerView;
      views.set(id, view);
      if (isSettled(view) || Date.now() > deadline) break;
      await pause(POLL_MS);
    }
  }
}

function findingsOf({ cell, smtp, told, views }: OpenCell): Findings {
  const findings = reconcile(told, views, smtp.messages);
  if (!smtp.isReached) findings.texts.push('the position was never reached');
  return { ...findings, texts: findings.texts.map((text) => `${nameOf(cell)}: ${text}`) };
}
