/**
 * `npm run test:soak`: mail for several accounts while the relay is killed and connections are cut at random, then
 * the three ledgers compared, message by message.
 *
 *   -- --messages N --kills N --cuts N    20,000, 300 and 500
 *   -- --minutes M                        stops making trouble, and mail, when the time is up
 *   -- --seed S                           printed first
 */
import { parseArgs } from 'node:util';
import type { ServerConnection } from '../support/scripted-smtp-connection.ts';
import {
  type Answer,
  type Hook,
  type ScriptedServer,
  startScriptedServer,
} from '../support/scripted-smtp-server.ts';
import { makeTestCa } from '../support/test-ca.ts';
import { FAULT_SETTINGS } from './cell-run.ts';
import { type FaultClient, inParallel, openFaultAccount, pause } from './fault-client.ts';
import { CREDENTIALS } from './faulty-server.ts';
import { randomOf } from './grid.ts';
import { isSettled, type LedgerView, reconcile, type ToldMessage } from './reconcile.ts';
import { startRelayServer } from './relay-server.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '20000' },
    kills: { type: 'string', default: '300' },
    cuts: { type: 'string', default: '500' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string' },
  },
});

const wanted = { messages: Number(values.messages), kills: Number(values.kills), cuts: Number(values.cuts) };
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const endsAtMs = Date.now() + Number(values.minutes) * 60_000;
const random = randomOf(seed);
console.log(`seed ${seed}: ${wanted.messages} messages, ${wanted.kills} kills, ${wanted.cuts} cuts`);

const ACCOUNTS = 8;
const BATCH = 20;
const SETTLE_MS = 180_000;
/** MAIL, RCPT, DATA and the dot: the places of a message where it can be cut. */
const PLACES = 4;
const TLS = ['none', 'starttls', 'implicit', 'none'] as const;

const ca = makeTestCa();
if (!ca) {
  console.log('skipped: there is no openssl to make certificates with');
  process.exit(1);
}

interface SoakAccount {
  readonly number: number;
  readonly smtp: ScriptedServer;
  readonly client: FaultClient;
  readonly policy: 'retry' | 'hold';
  readonly told: ToldMessage[];
}

let cuts = 0;
let kills = 0;
let released = 0;
let sent = 0;
/** How often the server said 354 for a recipient: a doubt needs one. */
const openings = new Map<string, number>();

/** Cuts so often that all of them fall within the mail that is still to come. */
function hooksOf(): Record<string, Hook> {
  const recipientOf = new WeakMap<ServerConnection, string>();
  const maybeCut = (isDot: boolean): Answer | undefined => {
    const left = Math.max(BATCH, wanted.messages - sent);
    if (cuts >= wanted.cuts || random() > (1.2 * (wanted.cuts - cuts)) / (left * PLACES)) return undefined;
    cuts++;
    const store = isDot && random() < 0.5;
    const kind = random();
    if (kind < 0.4) return { close: true, store };
    if (kind < 0.8) return { reset: true, store };
    return { close: true, say: '421 4.3.2 closing\r\n', store };
  };
  const cut: Hook = () => maybeCut(false);
  return {
    BANNER: cut,
    EHLO: cut,
    MAIL: cut,
    RCPT: (connection, _verb, argument) => {
      recipientOf.set(connection, /<([^>]*)>/.exec(argument)?.[1] ?? '');
      return maybeCut(false);
    },
    DATA: (connection) => {
      const answer = maybeCut(false);
      const recipient = recipientOf.get(connection) ?? '';
      if (!answer) openings.set(recipient, (openings.get(recipient) ?? 0) + 1);
      return answer;
    },
    DOT: () => maybeCut(true),
  };
}

const server = await startRelayServer({
  settings: {
    ...FAULT_SETTINGS,
    RETRY_FOR_MS: '3600000',
    COMMAND_TIMEOUT_MS: '3000',
    DOT_TIMEOUT_MS: '3000',
  },
  env: { NODE_EXTRA_CA_CERTS: ca.caPath },
});
const certificate = { key: ca.key, cert: ca.cert };
const accounts: SoakAccount[] = [];
for (let number = 0; number < ACCOUNTS; number++) {
  const tls = TLS[number % TLS.length] ?? 'none';
  const auth = { methods: ['PLAIN'], ...CREDENTIALS };
  const smtp = await startScriptedServer({ tls, certificate, auth, hooks: hooksOf() });
  const client = await openFaultAccount(server, {
    host: 'localhost',
    port: smtp.port,
    tls,
    username: CREDENTIALS.username,
    password: CREDENTIALS.secret,
  });
  accounts.push({ number, smtp, client, policy: number % 4 === 3 ? 'hold' : 'retry', told: [] });
}

const isOver = () => Date.now() > endsAtMs;

async function sendAll(account: SoakAccount): Promise<void> {
  while (released < wanted.messages && !isOver()) {
    // Mail comes as the kills do, so that each of them meets some.
    if (kills < wanted.kills && released >= ((kills + 2) * wanted.messages) / (wanted.kills + 1)) {
      await pause(20);
      continue;
    }
    const count = Math.min(BATCH, wanted.messages - released);
    released += count;
    const batch = Array.from({ length: count }, (_, index) => newMessage(account, index));
    const key = { 'idempotency-key': batch[0]?.token ?? '' };
    const emails = batch.map((message) => emailOf(account, message));
    const { data } = await account.client.call('POST', '/v1/emails/batch', emails, key);
    for (const [index, message] of batch.entries()) account.told.push({ ...message, id: data[index]?.id });
    sent += count;
  }
}

function newMessage({ number, policy, told }: SoakAccount, index: number): ToldMessage {
  const token = `soak${number}n${told.length + index}-${seed}`;
  const ok = policy === 'hold' ? ['delivered', 'in_doubt'] : ['delivered'];
  return {
    token,
    id: undefined,
    recipients: [`ok${token}@example.net`],
    expectation: { statuses: { ok, gone: ok, later: ok }, minDoubts: 0, maxDoubts: Number.POSITIVE_INFINITY },
  };
}

function emailOf({ policy }: SoakAccount, { token, recipients }: ToldMessage): Record<string, unknown> {
  return {
    from: 'Sender <sender@example.com>',
    to: recipients,
    subject: token,
    text: `This is ${token}.\n.\n`.repeat(10),
    in_doubt_policy: policy,
  };
}

async function killAgainAndAgain(): Promise<void> {
  while (kills < wanted.kills && !isOver()) {
    await pause(150 + Math.floor(random() * 650));
    // Where the machine is slow the kill waits a little for its share of the mail.
    for (let waits = 0; waits < 100 && sent < (kills * wanted.messages) / wanted.kills; waits++)
      await pause(20);
    await server.kill();
    kills++;
    await server.start();
    if (kills % 50 === 0) console.log(`${kills} kills, ${sent} messages accepted, ${cuts} cuts`);
  }
}

await Promise.all([killAgainAndAgain(), ...accounts.map(sendAll)]);
console.log(`all mail is accepted; waiting until it has come to an end`);

const totals = {
  copies: 0,
  messages: 0,
  delivered: 0,
  held: 0,
  doubts: 0,
  lost: 0,
  unaccounted: 0,
  texts: 0,
};
const say = (text: string) => {
  if (totals.texts++ < 20) console.log(`FAILED ${text}`);
};
const deadline = Date.now() + SETTLE_MS;
for (const account of accounts) {
  const views = new Map<string, LedgerView>();
  await inParallel(account.told, 8, async ({ id }) => {
    for (;;) {
      const view = (await account.client.call('GET', `/v1/emails/${id}`)) as LedgerView;
      views.set(view.id, view);
      if (isSettled(view) || Date.now() > deadline) return;
      await pause(100);
    }
  });
  const findings = reconcile(account.told, views, account.smtp.messages);
  findings.texts.forEach(say);
  for (const { id, recipients, token } of account.told) {
    const view = views.get(id ?? '');
    const isDelivered = view?.deliveries[0]?.status === 'delivered';
    totals.messages++;
    if (isDelivered) totals.delivered++;
    else totals.held++;
    const begun = openings.get(recipients[0] ?? '') ?? 0;
    // Each doubt was a transaction that had come to its 354, and the last one was the delivery.
    if (view && view.possible_duplicates > begun - (isDelivered ? 1 : 0))
      say(`${token}: ${view.possible_duplicates} doubts in ${begun} transactions that came to a body`);
  }
  totals.copies += findings.copies;
  totals.doubts += findings.doubts;
  totals.lost += findings.lost;
  totals.unaccounted += findings.unaccounted;
}
await server.stop();
for (const { smtp } of accounts) await smtp.close();
ca.dispose();

const { copies, delivered, held, doubts, lost, unaccounted } = totals;
console.log(`${delivered} delivered, ${held} held in doubt; ${copies} copies at the server`);
console.log(
  `${copies - delivered} copies beyond the delivered ones, ${doubts} doubts on record, each copy with a doubt of its ` +
    `own message: ${doubts - (copies - delivered)} doubts left no copy, because the dot never arrived or was not kept`,
);
console.log(
  `soak: ${totals.messages} messages, ${kills} kills, ${cuts} cuts, ${lost} lost, ${unaccounted} unaccounted, seed ${seed}`,
);
process.exit(totals.texts > 0 ? 1 : 0);
