/** A second version of the Worker over the same state, and the first one again, with mail queued. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { startScriptedServer } from '../support/scripted-smtp-server.ts';
import { makeStateFolder } from '../support/state-folder.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
const settings = { WATCHDOG_MS: '300', RETRY_FIRST_MS: '200', RETRY_MAX_MS: '400', BANNER_TIMEOUT_MS: '300' };
const NEXT_VERSION = join(import.meta.dirname, '../support/next-version-worker.ts');

let running: RelayUnderTest | undefined;

afterEach(async () => {
  await running?.stop();
});

test('an upgrade and a rollback with mail queued lose nothing and repeat nothing', async () => {
  let isOpen = false;
  const smtp = await startScriptedServer({
    pipelining: true,
    hooks: { BANNER: () => (isOpen ? undefined : { silent: true }) },
  });
  const stateFolder = await makeStateFolder();
  const ids: string[] = [];
  let token = '';
  for (const entry of [undefined, NEXT_VERSION, undefined]) {
    running = await startRelay({ stateFolder, settings, quiet: true, ...(entry ? { entry } : {}) });
    const client: ApiClient =
      token === ''
        ? (await openAccount(running.url, ADMIN_TOKEN, { relay: { port: smtp.port } })).client
        : new ApiClient(running.url, token);
    token = client.token;
    const { status, body } = await client.post(
      '/v1/emails/batch',
      Array.from({ length: 20 }, () => email),
    );
    expect(status).toBe(200);
    ids.push(...body.data.map((item: { id: string }) => item.id));
    if (ids.length < 60) await running.stop();
  }
  isOpen = true;
  const client = new ApiClient(running?.url ?? '', token);
  for (const id of ids) {
    const found = await client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
    expect(found.possible_duplicates).toBe(0);
  }
  expect(smtp.messages).toHaveLength(60);
  await running?.stop();
  running = undefined;
  await smtp.close();
  await rm(stateFolder, { recursive: true, force: true });
});
