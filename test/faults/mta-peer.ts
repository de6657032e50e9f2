/** Cells on a real mail server: our relay sends through a front to it, and it passes everything on to a sink of ours. */
import { startScriptedServer } from '../support/scripted-smtp-server.ts';
import { makeTestCa } from '../support/test-ca.ts';
import { FAULT_SETTINGS } from './cell-run.ts';
import { type CuttingFront, startCuttingFront } from './cutting-front.ts';
import {
  type FaultClient,
  inParallel,
  look,
  openFaultAccount,
  pause,
  untilNoSession,
} from './fault-client.ts';
import { LOGIN, type Mta, type MtaInput, withoutReceived } from './mta.ts';
import { cutCells, expected, type MtaCell, wayCells } from './mta-cells.ts';
import {
  isSettled,
  type LedgerView,
  reconcile,
  type StoredCopy,
  type ToldMessage,
  tokenOf,
} from './reconcile.ts';
import { startRelayServer } from './relay-server.ts';

const MEET_MS = 20_000;
const SETTLE_MS = 30_000;
const QUIET_MS = 30_000;
const WIDTH = 8;
/** A smaller body leaves in one write with its dot. */
const BODY_CHARS = 400_000;

interface DoneCell {
  readonly cell: MtaCell;
  readonly front: CuttingFront;
  readonly told: readonly ToldMessage[];
  readonly views: ReadonlyMap<string, LedgerView>;
}

export async function runMtaCells(
  start: (input: MtaInput) => Promise<Mta>,
  only: string | undefined,
): Promise<number> {
  const [ca, otherCa] = [makeTestCa(), makeTestCa()];
  if (!ca || !otherCa) {
    console.log('faults: skipped, there is no openssl to make certificates with');
    return 0;
  }
  const sink = await startScriptedServer({ pipelining: true, extensions: ['8BITMIME'] });
  const mta = await start({ ca, otherCa, sink });
  const all = [...cutCells(), ...wayCells(mta.ways)];
  const cells = only === undefined ? all : all.filter(({ name }) => name.startsWith(only));
  console.log(`${cells.length} cells on ${mta.name}`);
  const server = await startRelayServer({
    settings: FAULT_SETTINGS,
    env: { NODE_EXTRA_CA_CERTS: ca.caPath },
  });
  const done: DoneCell[] = [];
  try {
    await inParallel(cells, WIDTH, async (cell) => {
      done.push(await runMtaCell(mta, cell, (relay) => openFaultAccount(server, relay)));
    });
    const texts = await untilQuiet(mta, sink.messages);
    const stored = sink.messages.map(({ recipients, data }) => ({ recipients, data }));
    const totals = { lost: 0, unaccounted: 0, failed: texts.length };
    for (const text of texts) console.log(`FAILED ${text}`);
    for (const finished of done) {
      const findings = findingsOf(finished, mta, stored);
      totals.lost += findings.lost;
      totals.unaccounted += findings.unaccounted;
      if (findings.texts.length > 0) totals.failed++;
      for (const text of findings.texts.slice(0, 3)) console.log(`FAILED ${finished.cell.name}: ${text}`);
      await finished.front.close();
    }
    console.log(`${totals.failed} cells with a finding; ${stored.length} messages came through ${mta.name}`);
    console.log(
      `faults: ${done.length} run, 0 not applicable, ${totals.lost} lost, ${totals.unaccounted} unaccounted`,
    );
    return totals.failed > 0 ? 1 : 0;
  } finally {
    await server.stop();
    await mta.stop();
    await sink.close();
    ca.dispose();
    otherCa.dispose();
  }
}

let cellCount = 0;

async function runMtaCell(
  mta: Mta,
  cell: MtaCell,
  open: (relay: Record<string, unknown>) => Promise<FaultClient>,
): Promise<DoneCell> {
  const number = ++cellCount;
  const recipients = recipientsOf(cell, number);
  const front = await startCuttingFront(mta.portOf(cell.service), {
    cut: cell.cut,
    recipients: recipients.length,
    tls: cell.tls,
  });
  const client = await open({
    host: 'localhost',
    port: front.port,
    tls: cell.tls,
    ...(cell.login ? { username: LOGIN.username, password: LOGIN.secret } : {}),
  });
  const views = new Map<string, LedgerView>();
  const first = await send(client, cell, { token: `mta${number}m0`, recipients });
  const isMet = (view: LedgerView) => view.timeline.some(({ type }) => type !== 'queued');
  await look(client, first.id, views, { isWanted: isMet, patienceMs: MEET_MS });
  if (cell.cut?.position === 'quit') await untilNoSession(client);
  front.targetPort = mta.portOf(cell.sound);
  // A session that stands would go on with the service that refuses.
  if (cell.service !== cell.sound) await untilNoSession(client);
  // The relay must be as good as before.
  const second = await send(client, cell, { token: `mta${number}m1`, recipients });
  const told = [
    { ...first, expectation: cell.expectation },
    { ...second, expectation: expected('delivered', 0) },
  ];
  for (const { id } of told) await look(client, id, views, { isWanted: isSettled, patienceMs: SETTLE_MS });
  return { cell, front, told, views };
}

function recipientsOf({ recipients }: MtaCell, number: number): string[] {
  const names = {
    one: ['ok'],
    mixed: ['ok', 'gone', 'later'],
    twenty: Array.from({ length: 20 }, (_, index) => `ok-${index}-`),
    'many-gone': ['ok-0-', 'gone-0-', 'gone-1-', 'gone-2-', 'gone-3-', 'ok-1-'],
  };
  return names[recipients].map((name) => `${name}${number}@example.net`);
}

async function send(
  client: FaultClient,
  cell: MtaCell,
  { token, recipients }: { token: string; recipients: readonly string[] },
): Promise<ToldMessage> {
  const line = 'A line of a longer text.\n';
  const filler = cell.cut?.position === 'body' ? line.repeat(BODY_CHARS / line.length) : '';
  const email = {
    from: 'Sender <sender@example.com>',
    to: recipients,
    subject: token,
    text: `This is ${token}.\n.\n..a line with dots\n${filler}`,
    in_doubt_policy: cell.policy,
  };
  const { id } = await client.call('POST', '/v1/emails', email, { 'idempotency-key': token });
  return { token, id, recipients };
}

/** Its log and the sink must say the same: everything that it took was passed on, once. Returns what is not so. */
async function untilQuiet(mta: Mta, messages: readonly { readonly data: Buffer }[]): Promise<string[]> {
  const deadline = Date.now() + QUIET_MS;
  for (;;) {
    const { taken, passedOn } = await mta.readQueue();
    const isQuiet = taken.length === passedOn.length && taken.length === messages.length;
    if (!isQuiet && Date.now() < deadline) {
      await pause(100);
      continue;
    }
    const ids = messages.map(({ data }) => mta.idIn(data) ?? 'without an id');
    const missing = taken.filter((id) => !ids.includes(id)).map((id) => `${id} was taken and not passed on`);
    const strange = ids.filter((id) => !taken.includes(id)).map((id) => `${id} came out and was never taken`);
    const twice = ids.length === new Set(ids).size ? [] : ['something came out twice'];
    return [...missing, ...strange, ...twice];
  }
}

function findingsOf(
  { cell, front, told, views }: DoneCell,
  mta: Mta,
  stored: readonly { recipients: readonly string[]; data: Buffer }[],
) {
  const tokens = new Set(told.map(({ token }) => token));
  const verdicts = front.verdicts.join('');
  const copies = stored
    .map(({ recipients, data }) => {
      const id = mta.idIn(data) ?? '';
      const wasHeard = front.isBlind || verdicts.includes(id);
      const copy: StoredCopy = {
        recipients,
        data: withoutReceived(data),
        answered: wasHeard ? '250' : undefined,
      };
      return copy;
    })
    .filter((copy) => tokens.has(tokenOf(copy) ?? ''));
  const findings = reconcile(told, views, copies);
  if (cell.cut && !front.isMet) findings.texts.push('the position was never reached');
  return findings;
}
