/** A large upload whose process dies in the middle: what was staged is swept, and the request can be repeated. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientRequest, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { type MailCatcher, startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';

const MIB = 1024 * 1024;
const settings = { WATCHDOG_MS: '1000', STAGING_KEPT_MS: '8000', SESSION_IDLE_MS: '200' };

let running: RelayUnderTest | undefined;
let stateFolder = '';
let smtp: MailCatcher | undefined;

afterEach(async () => {
  await running?.stop();
  await smtp?.close();
  await rm(stateFolder, { recursive: true, force: true });
});

/** `kill -9` of the workerd that this process started. */
function killWorkerd(): void {
  let killed = 0;
  for (const task of readdirSync('/proc/self/task')) {
    for (const pid of readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean)) {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'workerd') continue;
      process.kill(Number(pid), 'SIGKILL');
      killed++;
    }
  }
  expect(killed).toBe(1);
}

/** Uploads in the ledgers on disk, and the pieces below zero that they have. */
function stagedOnDisk(folder: string): { uploads: number; pieces: number } {
  let [uploads, pieces] = [0, 0];
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.sqlite')) continue;
    const database = new DatabaseSync(join(folder, file), { readOnly: true, timeout: 2000 });
    try {
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
      const names = tables.map(({ name }) => String(name));
      if (!names.includes('staged')) continue;
      uploads += Number(database.prepare('SELECT count(*) AS n FROM staged').get()?.n);
      for (const name of names.filter((candidate) => candidate.startsWith('contents_'))) {
        pieces += Number(
          database.prepare(`SELECT count(*) AS n FROM ${name} WHERE piece_number < 0`).get()?.n,
        );
      }
    } finally {
      database.close();
    }
  }
  return { uploads, pieces };
}

async function untilStaged(
  folder: string,
  isWanted: (staged: { uploads: number; pieces: number }) => boolean,
) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const staged = stagedOnDisk(folder);
    if (isWanted(staged)) return staged;
    if (Date.now() > deadline) throw new Error(`not reached in time: ${JSON.stringify(staged)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function upload(server: RelayUnderTest, token: string, sizeBytes: number): ClientRequest {
  const sending = request(String(new URL('/v1/emails/raw', server.url)), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'message/rfc822',
      'content-length': sizeBytes,
      'idempotency-key': 'killed',
    },
  });
  // The server goes away in the middle.
  sending.on('error', () => {});
  return sending;
}

test('kill -9 in the middle of an upload leaves orphans that are swept, and the repetition is sent once', async () => {
  smtp = await startMailCatcher();
  stateFolder = await mkdtemp(join(tmpdir(), 'edge-relay-staging-'));
  const first = await startRelay({ stateFolder, settings, quiet: true });
  running = first;
  const { token } = (await openAccount(first.url, ADMIN_TOKEN, { relay: { port: smtp.port } })).client;
  const header =
    'From: a@example.com\r\nTo: b@example.net\r\nMessage-ID: <1@example.com>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n';
  const message = Buffer.from(header + `${randomBytes(400).toString('hex')}\r\n`.repeat(8000));
  const sending = upload(first, token, message.length);
  sending.write(message.subarray(0, 4 * MIB));
  const before = await untilStaged(stateFolder, ({ pieces }) => pieces >= 3);
  expect(before.uploads).toBe(1);
  killWorkerd();
  sending.destroy();
  await first.stop();

  const second = await startRelay({ stateFolder, settings, quiet: true });
  running = second;
  const client = new ApiClient(second.url, token);
  await untilStaged(stateFolder, ({ uploads, pieces }) => uploads === 0 && pieces === 0);
  expect(smtp.messages).toHaveLength(0);
  for (let count = 0; count < 2; count++) {
    const again = upload(second, token, message.length);
    again.end(message);
    const [response] = await once(again, 'response');
    expect(response.statusCode).toBe(200);
    response.resume();
    await once(response, 'end');
  }
  await smtp.waitForMessages(1);
  const { body } = await client.get('/v1/emails');
  await client.until(`/v1/emails/${body.data[0].id}`, (email) => email.last_event === 'delivered', 60_000);
  expect(body.data).toHaveLength(1);
  expect(smtp.messages).toHaveLength(1);
  const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  expect(hash(smtp.messages[0]?.data ?? Buffer.alloc(0))).toBe(hash(message));
});
