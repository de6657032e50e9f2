/**
 * Readers, over a real SMTP server: who wants no mail about a topic gets none, up to the moment of the dot; links
 * outlive the master key; and people use the pages in a browser that runs no scripts.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { type Browser, findChromium, startBrowser } from '../support/browser.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay, TEST_SETTINGS } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const email = { from: 'News <news@example.com>', subject: 'News', text: 'News' };
const KEYS = [TEST_SETTINGS.MASTER_KEYS, `2:${Buffer.alloc(32, 7).toString('base64')}`];

let relay: RelayUnderTest;
let server: ScriptedServer;
let client: ApiClient;
let stateFolder: string;
let topic: string;
let atData: (() => Promise<unknown>) | undefined;

async function start(settings: Record<string, string> = {}): Promise<void> {
  relay = await startRelay({
    quiet: true,
    stateFolder,
    // What was read from D1 is good for no time at all: every check sees what is there now.
    settings: { RETRY_FIRST_MS: '100', WATCHDOG_MS: '300', SENDING_STATE_TTL_MS: '1', ...settings },
  });
  if (client) client = new ApiClient(relay.url, client.token);
}

beforeAll(async () => {
  stateFolder = await mkdtemp(join(tmpdir(), 'edge-relay-'));
  server = await startScriptedServer({
    pipelining: true,
    hooks: {
      // Its answer to DATA comes to an end only when the test says so.
      DATA: (connection) => {
        const act = atData;
        if (!act) return undefined;
        atData = undefined;
        void act().then(() => connection.say(' ahead\r\n'));
        return { raw: '354 go' };
      },
    },
  });
  await start();
  ({ client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: server.port } }));
  topic = await made('/v1/topics', {
    name: 'Product news',
    description: 'What is new, about once a month.',
    default_subscription: 'opt_in',
    visibility: 'public',
  });
});

afterAll(async () => {
  await relay?.stop();
  await server?.close();
  await rm(stateFolder, { recursive: true, force: true });
});

async function made(path: string, body: unknown): Promise<string> {
  const answer = await client.post(path, body);
  expect([answer.status, answer.body]).toEqual([201, answer.body]);
  return answer.body.id;
}

async function statusOf(sent: { body: { id: string } }): Promise<string> {
  const isOver = (body: { deliveries: { status: string }[] }) =>
    ['delivered', 'suppressed'].includes(body.deliveries[0]?.status ?? '');
  return (await client.until(`/v1/emails/${sent.body.id}`, isOver)).deliveries[0].status;
}
const send = (to: string, more: object = {}) =>
  client.post('/v1/emails', { ...email, to, topic_id: topic, ...more });

/** The link in the mail that arrived at an address last. */
async function linkTo(address: string): Promise<URL> {
  const message = server.messages.findLast(({ recipients }) => recipients.includes(address));
  if (!message) throw new Error(`nothing arrived at ${address}`);
  const { headers } = await simpleParser(message.data);
  // As mailparser puts them together.
  const { unsubscribe, 'unsubscribe-post': post } = headers.get('list') as unknown as Record<
    string,
    Record<string, string>
  >;
  expect(JSON.stringify(post)).toContain('One-Click');
  return new URL(unsubscribe?.url ?? '');
}
const oneClick = (link: URL) =>
  fetch(link, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) });

describe('mail about a topic', () => {
  test('goes to those who want it, and to nobody else', async () => {
    const quiet = await made('/v1/topics', { name: 'Quiet', default_subscription: 'opt_out' });
    const none = { unsubscribed: true };
    const out = { topics: [{ id: topic, subscription: 'opt_out' }] };
    await made('/v1/contacts', { email: 'out@example.net', ...out });
    await made('/v1/contacts', { email: 'gone@example.net', ...none });
    await made('/v1/contacts', {
      email: 'in@example.net',
      topics: [{ id: quiet, subscription: 'opt_in' }],
    });
    const cases = [
      ['in@example.net', topic, 'delivered'],
      ['in@example.net', quiet, 'delivered'],
      ['stranger@example.net', topic, 'delivered'],
      ['stranger@example.net', quiet, 'suppressed'],
      ['OUT@example.net', topic, 'suppressed'],
      ['out@example.net', quiet, 'suppressed'],
      ['gone@example.net', topic, 'suppressed'],
    ] as const;
    const batch = await client.post(
      '/v1/emails/batch',
      cases.map(([to, topic_id]) => ({ ...email, to, topic_id })),
    );
    const statuses = await Promise.all(batch.body.data.map((one: { id: string }) => statusOf({ body: one })));
    expect(statuses).toEqual(cases.map(([, , status]) => status));
    expect(await statusOf(await send('gone@example.net', { topic_id: undefined }))).toBe('delivered');
  });

  test('stops when its reader unsubscribes between MAIL and the dot', async () => {
    await statusOf(await send('late@example.net'));
    const link = await linkTo('late@example.net');
    atData = () => oneClick(link);
    const before = server.messages.length;
    expect(await statusOf(await send('late@example.net'))).toBe('suppressed');
    expect(server.messages.length).toBe(before);
  });

  test('that waits for its time is not sent to who unsubscribed in between', async () => {
    await made('/v1/contacts', { email: 'waits@example.net' });
    await statusOf(await send('waits@example.net'));
    const sent = await send('waits@example.net', { scheduled_at: 'in 1 hour' });
    expect(sent.body.deliveries).toMatchObject([{ status: 'scheduled' }]);
    expect((await oneClick(await linkTo('waits@example.net'))).status).toBe(200);
    const scheduled_at = new Date(Date.now() + 500).toISOString();
    expect((await client.call('PATCH', `/v1/emails/${sent.body.id}`, { scheduled_at })).status).toBe(200);
    expect(await statusOf(sent)).toBe('suppressed');
  });

  test('has a link that outlives the master key', async () => {
    const contact = await made('/v1/contacts', { email: 'years@example.net' });
    await statusOf(await send('years@example.net'));
    const link = await linkTo('years@example.net');
    await relay.stop();
    await start({ MASTER_KEYS: KEYS.join() });
    const operator = new ApiClient(relay.url, ADMIN_TOKEN);
    const rewrapped = await operator.post('/v1/admin/master-key/rewrap');
    expect(rewrapped.body).toMatchObject({ version: 2, remaining: 0 });
    await relay.stop();
    await start({ MASTER_KEYS: KEYS[1] ?? '' });
    expect((await oneClick(new URL(link.pathname, relay.url))).status).toBe(200);
    const { body } = await client.get(`/v1/contacts/${contact}/topics`);
    const choice = body.data.find(({ id }: { id: string }) => id === topic);
    expect(choice).toMatchObject({ subscription: 'opt_out' });
  });
});

const chromium = findChromium();
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };

describe.skipIf(chromium === undefined)('in a browser without scripts', () => {
  let browser: Browser;
  let contact: string;
  let path: string;

  beforeAll(async () => {
    browser = await startBrowser(chromium ?? '');
    await made('/v1/topics', {
      name: 'Events',
      description: 'Meetings and talks near you.',
      default_subscription: 'opt_out',
      visibility: 'public',
    });
    await made('/v1/topics', {
      name: 'Tips & tricks, with a name too long for one line',
      default_subscription: 'opt_in',
      visibility: 'public',
    });
    contact = await made('/v1/contacts', { email: 'person@example.net' });
    await statusOf(await send('person@example.net'));
    path = (await linkTo('person@example.net')).pathname;
  });

  afterAll(async () => {
    await browser?.close();
  });

  /** Kept where a folder is named: `SCREENSHOTS=docs/images`. */
  async function keep(name: string): Promise<void> {
    const folder = process.env.SCREENSHOTS;
    if (folder) await writeFile(join(folder, `${name}.png`), await browser.screenshot());
  }
  const at = (to: string) => new URL(to, relay.url).href;
  const heard = async () => (await browser.spoken()).map(({ role, name }) => `${role} ${name}`);
  const subscription = async () => {
    const { body } = await client.get(`/v1/contacts/${contact}/topics`);
    return body.data.find(({ id }: { id: string }) => id === topic).subscription;
  };

  test.each([
    ['phone', PHONE],
    ['desktop', DESKTOP],
  ] as const)('somebody unsubscribes and takes it back, on a %s', async (name, size) => {
    await browser.open(at(path), size);
    await keep(`unsubscribe-${name}`);
    expect(await heard()).toEqual(
      expect.arrayContaining([
        'heading Unsubscribe',
        'button Unsubscribe',
        'link Choose what you get',
        'StaticText Press the button to get no more mail about “Product news”.',
      ]),
    );
    expect(await browser.contentWidth()).toBeLessThanOrEqual(size.width);
    expect(await subscription()).toBe('opt_in');
    await browser.press('button');
    await keep(`unsubscribed-${name}`);
    expect(await heard()).toEqual(expect.arrayContaining(['heading You are unsubscribed']));
    expect(await subscription()).toBe('opt_out');
    await browser.press('button');
    expect(await heard()).toEqual(expect.arrayContaining(['heading You are subscribed again']));
    expect(await subscription()).toBe('opt_in');
  });

  test.each([
    ['phone', PHONE],
    ['desktop', DESKTOP],
  ] as const)('somebody chooses topics, on a %s', async (name, size) => {
    await browser.open(at(path.replace('/u/', '/preferences/')), size);
    await keep(`preferences-${name}`);
    expect(await heard()).toEqual(
      expect.arrayContaining([
        'heading What would you like to get?',
        'group Topics',
        'checkbox Product news',
        'checkbox Events',
        'button Save',
        'button Unsubscribe from everything',
      ]),
    );
    expect(await browser.contentWidth()).toBeLessThanOrEqual(size.width);
    await browser.press(`label[for="${topic}"]`, { leads: false });
    await browser.press('button[value=save]');
    expect(await heard()).toEqual(expect.arrayContaining(['status ', 'StaticText Your choices are saved.']));
    expect(await subscription()).toBe('opt_out');
    await browser.press(`label[for="${topic}"]`, { leads: false });
    await browser.press('button[value=save]');
    expect(await subscription()).toBe('opt_in');
    await browser.press('button[value=end]');
    expect((await client.get(`/v1/contacts/${contact}`)).body.unsubscribed).toBe(true);
    await browser.press('button[value=save]');
    expect((await client.get(`/v1/contacts/${contact}`)).body.unsubscribed).toBe(false);
  });
});
