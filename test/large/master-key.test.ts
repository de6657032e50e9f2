/** The master key is replaced while mail is accepted, sent and read. */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay, TEST_SETTINGS } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';
import { makeStateFolder } from '../support/state-folder.ts';

const FIRST = `${TEST_SETTINGS.MASTER_KEYS}`;
const SECOND = `2:${Buffer.alloc(32, 7).toString('base64')}`;
const ACCOUNTS = 12;
const MORE_ACCOUNTS = 120;
const REQUESTS = 300;
const PER_SECOND = 100;

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };

describe('a new master key', () => {
  let smtp: ScriptedServer;
  let stateFolder: string;
  let relay: RelayUnderTest;

  const start = async (masterKeys: string) => {
    relay = await startRelay({ stateFolder, quiet: true, settings: { MASTER_KEYS: masterKeys } });
  };

  beforeAll(async () => {
    smtp = await startScriptedServer({ pipelining: true });
    stateFolder = await makeStateFolder();
    await start(FIRST);
  });

  afterAll(async () => {
    await relay.stop();
    await smtp.close();
    await rm(stateFolder, { recursive: true, force: true });
  });

  test('is taken into use under 100 requests a second without a failure, and the old one can be destroyed', async () => {
    const port = { relay: { port: smtp.port } };
    const opened = Array.from({ length: ACCOUNTS }, () => openAccount(relay.url, ADMIN_TOKEN, port));
    const accounts = await Promise.all(opened);
    for (let at = 0; at < MORE_ACCOUNTS; at++) {
      await new ApiClient(relay.url, ADMIN_TOKEN).post('/v1/admin/accounts', { name: `More ${at}` });
    }
    const first = await accounts[0]?.client.post('/v1/emails', email);
    await relay.stop();

    // What the platform does in a deployment, where requests go on meanwhile: both versions are known from here on.
    await start(`${FIRST},${SECOND}`);
    const operator = new ApiClient(relay.url, ADMIN_TOKEN);
    const clients = accounts.map(({ client }) => new ApiClient(relay.url, client.token));
    const answers: Promise<number>[] = [];
    let rewrapped: Promise<{ status: number; body: { rewrapped: number; remaining: number } }> | undefined;
    for (let index = 0; index < REQUESTS; index++) {
      const client = clients[index % ACCOUNTS];
      const answer = index % 3 < 2 ? client?.post('/v1/emails', email) : client?.get('/v1/emails?limit=5');
      if (answer) answers.push(answer.then(({ status }) => status));
      if (index === REQUESTS / 3) rewrapped = operator.post('/v1/admin/master-key/rewrap', undefined);
      await new Promise((resolve) => setTimeout(resolve, 1000 / PER_SECOND));
    }
    expect((await Promise.all(answers)).filter((status) => status !== 200)).toEqual([]);
    const { body } = (await rewrapped) ?? {};
    expect(body).toMatchObject({ version: 2, remaining: 0 });
    expect(body?.rewrapped).toBeGreaterThanOrEqual(ACCOUNTS + MORE_ACCOUNTS);
    await relay.stop();

    await start(SECOND);
    const owner = new ApiClient(relay.url, accounts[0]?.client.token ?? '');
    const { body: old } = await owner.get(`/v1/emails/${first?.body.id}`);
    expect([old.subject, old.to]).toEqual([email.subject, [email.to]]);
    const { body: sent } = await owner.post('/v1/emails', email);
    await owner.until(`/v1/emails/${sent.id}`, (found) => found.last_event === 'delivered');
    await smtp.waitForMessages(2 + (REQUESTS * 2) / 3);
    expect(smtp.messages).toHaveLength(2 + (REQUESTS * 2) / 3);
  });
});
