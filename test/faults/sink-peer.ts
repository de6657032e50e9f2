/**
 * The faults that Postfix's `smtp-sink` can make, so that not only our own server says what happened. A sink's
 * faults are for good: the cell gives the port to a sound one as soon as the ledger shows that the fault was met.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/free-port.ts';
import { FAULT_SETTINGS } from './cell-run.ts';
import type { Expectation } from './expectation.ts';
import {
  type FaultClient,
  inParallel,
  look,
  openFaultAccount,
  pause,
  untilNoSession,
} from './fault-client.ts';
import { isSettled, type LedgerView, reconcile, type StoredCopy, type ToldMessage } from './reconcile.ts';
import { startRelayServer } from './relay-server.ts';

const FLAGS = { q: 'close', Q: '421', r: '450', f: '500', W: 'silence' } as const;
type Flag = keyof typeof FLAGS;
const COMMANDS = ['CONNECT', 'EHLO', 'MAIL', 'RCPT', 'DATA', '.', 'QUIT'] as const;

interface PeerCell {
  readonly flag: Flag;
  readonly command: (typeof COMMANDS)[number];
  readonly recipients: number;
  readonly policy: 'retry' | 'hold';
}

/** Longer than any timeout of the relay here. */
const SILENCE_SECONDS = 4;
const MEET_MS = 15_000;
const SETTLE_MS = 20_000;

/** The exit code. */
export async function runSinkCells(program: string, only: string | undefined): Promise<number> {
  const all = peerCells();
  const cells = only === undefined ? all : all.filter((cell) => nameOf(cell).startsWith(only));
  console.log(`${cells.length} cells on smtp-sink; RSET is not reached where nothing is refused by it`);
  const server = await startRelayServer({ settings: FAULT_SETTINGS, env: {} });
  const totals = { lost: 0, unaccounted: 0, failed: 0 };
  await inParallel(cells, 8, async (cell) => {
    const client = await runPeerCell(program, cell, (relay) => openFaultAccount(server, relay));
    totals.lost += client.lost;
    totals.unaccounted += client.unaccounted;
    if (client.texts.length > 0) totals.failed++;
    for (const text of client.texts.slice(0, 3)) console.log(`FAILED ${nameOf(cell)}: ${text}`);
  });
  await server.stop();
  console.log(`${totals.failed} cells with a finding`);
  console.log(
    `faults: ${cells.length} run, 0 not applicable, ${totals.lost} lost, ${totals.unaccounted} unaccounted`,
  );
  return totals.failed > 0 ? 1 : 0;
}

function peerCells(): PeerCell[] {
  const policies = ['retry', 'hold'] as const;
  return (Object.keys(FLAGS) as Flag[]).flatMap((flag) =>
    COMMANDS.flatMap((command) =>
      [1, 20].flatMap((recipients) => policies.map((policy) => ({ flag, command, recipients, policy }))),
    ),
  );
}

function nameOf({ flag, command, recipients, policy }: PeerCell): string {
  return [command, FLAGS[flag], recipients, policy].join('/');
}

async function runPeerCell(
  program: string,
  cell: PeerCell,
  open: (relay: Record<string, unknown>) => Promise<FaultClient>,
) {
  const folder = await mkdtemp(join(tmpdir(), 'edge-relay-sink-'));
  // The sink gives up its rights before it writes.
  await chmod(folder, 0o777);
  const port = await freePort();
  const flag = cell.flag === 'W' ? `${cell.command}:${SILENCE_SECONDS}` : cell.command;
  // A sink that delays one reply says those behind it at once, out of order, unless nothing is pipelined.
  const mode = cell.flag === 'W' ? ['-p'] : [];
  const faulty = await startSink(
    program,
    [...mode, `-${cell.flag}`, flag, '-d', join(folder, 'faulty.')],
    port,
  );
  const client = await open({ host: '127.0.0.1', port, tls: 'none' });
  const told = [await send(client, cell, port, 0)];
  const views = new Map<string, LedgerView>();
  const isMet = ({ timeline }: LedgerView) => timeline.some(({ type }) => type !== 'queued');
  await look(client, told[0]?.id, views, { isWanted: isMet, patienceMs: MEET_MS });
  if (cell.command === 'QUIT') await untilNoSession(client);
  await stopSink(faulty);
  const sound = await startSink(program, ['-d', join(folder, 'sound.')], port);
  // The relay must be as good as before.
  told.push(await send(client, cell, port, 1));
  for (const { id } of told) await look(client, id, views, { isWanted: isSettled, patienceMs: SETTLE_MS });
  await stopSink(sound);
  const stored = await readDumps(folder, cell);
  await rm(folder, { recursive: true, force: true });
  return reconcile(told, views, stored);
}

async function startSink(program: string, flags: string[], port: number): Promise<ChildProcess> {
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const sink = spawn(program, [...user, ...flags, `127.0.0.1:${port}`, '100'], { stdio: 'ignore' });
  for (let tries = 0; tries < 200; tries++) {
    if (await accepts(port)) return sink;
    await pause(20);
  }
  throw new Error('smtp-sink does not listen');
}

async function stopSink(sink: ChildProcess): Promise<void> {
  const exited = once(sink, 'exit');
  sink.kill('SIGKILL');
  await exited;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function send(client: FaultClient, cell: PeerCell, port: number, index: number): Promise<ToldMessage> {
  const token = `peer${port}m${index}`;
  const recipients = Array.from({ length: cell.recipients }, (_, n) => `ok${port}n${n}@example.net`);
  const email = {
    from: 'Sender <sender@example.com>',
    to: recipients,
    subject: token,
    text: `This is ${token}.\n`,
    in_doubt_policy: cell.policy,
  };
  const { id } = await client.call('POST', '/v1/emails', email, { 'idempotency-key': token });
  return { token, id, recipients, expectation: expectationOf(cell, index) };
}

/** The second message may still meet the end of the faulty sink's connection, and no more. */
function expectationOf({ flag, command, policy }: PeerCell, index: number): Expectation {
  const held = policy === 'hold' ? 'in_doubt' : 'delivered';
  let status = 'delivered';
  if (index === 0 && flag === 'f' && ['MAIL', 'RCPT', 'DATA', '.'].includes(command)) status = 'failed';
  const isDoubt = index === 0 && command === '.' && ['q', 'Q', 'W'].includes(flag);
  if (isDoubt && flag !== 'Q') status = held;
  return {
    statuses: { ok: [status], gone: [status], later: [status] },
    minDoubts: isDoubt ? 1 : 0,
    maxDoubts: isDoubt ? Number.POSITIVE_INFINITY : 0,
  };
}

/** A dump exists also where the dot was refused: then it is no copy. */
async function readDumps(folder: string, { flag, command }: PeerCell): Promise<StoredCopy[]> {
  const copies: StoredCopy[] = [];
  for (const name of await readdir(folder)) {
    const isFaulty = name.startsWith('faulty.');
    if (isFaulty && command === '.' && (flag === 'r' || flag === 'f')) continue;
    const dump = await readFile(join(folder, name));
    const text = dump.toString('latin1');
    const start = /^Received: .*\n(?:[ \t].*\n)*/m.exec(text);
    // What was broken off in its body was not written to its end.
    if (!start) continue;
    copies.push({
      recipients: [...text.slice(0, start.index).matchAll(/^X-Rcpt-Args: <(.*)>$/gm)].map(
        ([, to]) => to ?? '',
      ),
      data: dump.subarray(start.index + start[0].length),
      answered: isFaulty && command === '.' ? undefined : '250',
    });
  }
  return copies;
}
