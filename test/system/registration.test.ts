/** Somebody opens an account: by the API, by mail over a real SMTP server, and by the page behind the link. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient } from '../support/api-client.ts';
import { canary, filesBelow, findIn } from '../support/canary.ts';
import { type MailCatcher, startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';

const planted = {
  name: canary('name'),
  local: canary('local'),
  company: canary('company'),
  address: canary('address'),
};
const ann = `${planted.local}@example.net`;

let mail: MailCatcher;
let relay: RelayUnderTest;
let stateFolder: string;
const log: string[] = [];

beforeAll(async () => {
  mail = await startMailCatcher();
  stateFolder = await mkdtemp(join(tmpdir(), 'edge-relay-'));
  relay = await start({ REGISTRATION: 'open' });
});

afterAll(async () => {
  await relay.stop();
  await mail.close();
  await rm(stateFolder, { recursive: true, force: true });
});

function start(settings: Record<string, string>, limits = {}): Promise<RelayUnderTest> {
  return startRelay({
    stateFolder,
    limits,
    onLog: (line) => log.push(line),
    settings: {
      RELAY_URL: `smtp://127.0.0.1:${mail.port}?tls=none`,
      SYSTEM_FROM: 'Relay <no-reply@relay.example>',
      CONFIRMATIONS_PER_DAY: '3',
      ...settings,
    },
  });
}

async function restart(settings: Record<string, string>, limits = {}): Promise<void> {
  await relay.stop();
  relay = await start(settings, limits);
}

function register(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(new URL('/v1/accounts', relay.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

async function openAs(email: string): Promise<{ id: string; client: ApiClient }> {
  const response = await register({ name: 'Somebody', email });
  expect(response.status).toBe(201);
  const body = (await response.json()) as { id: string; api_key: { token: string } };
  return { id: body.id, client: new ApiClient(relay.url, body.api_key.token) };
}

/** The nth mail that came in, counted from 1. */
async function readMail(n: number) {
  const caught = (await mail.waitForMessages(n))[n - 1];
  if (!caught) throw new Error('no mail');
  return { ...caught, parsed: await simpleParser(caught.data) };
}

function linkIn(text: string | undefined): URL {
  const link = /https?:\/\/\S+\/confirm\?token=\S+/.exec(text ?? '')?.[0];
  if (!link) throw new Error(`no link in: ${text}`);
  return new URL(link);
}

function press(link: URL): Promise<Response> {
  const body = new URLSearchParams({ token: link.searchParams.get('token') ?? '' });
  return fetch(new URL('/confirm', relay.url), { method: 'POST', body });
}

const email = { from: 'hello@ann.example', to: 'bob@example.net', subject: 'Hello', text: 'Hello' };

describe('registration', () => {
  let account: { id: string; client: ApiClient };
  let link: URL;

  test('answers with the account and its key, and says that the address is not confirmed', async () => {
    const { name, company, address } = planted;
    const response = await register({
      name,
      email: ann.toUpperCase().replace('EXAMPLE.NET', 'Example.NET'),
      company,
      company_size: '11-50',
      postal_address: `${address}\n12345 Town`,
    });
    expect(response.status).toBe(201);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const body = (await response.json()) as { id: string; api_key: { token: string } };
    expect(body).toMatchObject({ object: 'account', name, confirmed: false, status: 'active' });
    account = { id: body.id, client: new ApiClient(relay.url, body.api_key.token) };
    expect((await account.client.get('/v1/account')).body).toMatchObject({
      id: account.id,
      name,
      confirmed: false,
      company,
      company_size: '11-50',
    });
  });

  test('does not let the account send before it is confirmed', async () => {
    const operator = new ApiClient(relay.url, ADMIN_TOKEN);
    await operator.call('PUT', `/v1/admin/accounts/${account.id}/domains/ann.example`, {});
    for (const [path, body] of [
      ['/v1/emails', email],
      ['/v1/emails/batch', [email]],
    ] as const) {
      const refused = await account.client.post(path, body);
      expect([refused.status, refused.body.code]).toEqual([403, 'account_unconfirmed']);
    }
  });

  test('mails a link that names nothing a stranger wrote', async () => {
    const { parsed, recipients, from } = await readMail(1);
    expect(from).toBe('no-reply@relay.example');
    expect(recipients.map((recipient) => recipient.toLowerCase())).toEqual([ann]);
    expect(parsed.headers.get('auto-submitted')).toBe('auto-generated');
    expect(parsed.text).not.toContain(planted.name);
    expect(parsed.text).not.toContain(planted.company);
    link = linkIn(parsed.text);
    expect(link.origin).toBe(relay.url.origin);
    expect(link.href).not.toContain(planted.local);
  });

  test('shows a page that changes nothing, however often programs look at it', async () => {
    for (const method of ['GET', 'HEAD', 'GET']) {
      const response = await fetch(link, { method });
      expect(response.status).toBe(200);
      const policy = response.headers.get('content-security-policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain('unsafe');
      expect(response.headers.get('referrer-policy')).toBe('no-referrer');
      const page = await response.text();
      if (method === 'HEAD') continue;
      expect(page).toContain('<html lang="en">');
      expect(page).toContain('<button type="submit">');
      expect(page).not.toContain('<script');
    }
    expect((await account.client.get('/v1/account')).body.confirmed).toBe(false);
  });

  test('refuses a link that was altered, and one of another account, all alike', async () => {
    const other = await openAs('other@example.net');
    await readMail(2);
    const token = link.searchParams.get('token') ?? '';
    const [version, payload = '', signature] = token.split('.');
    const named = Buffer.from(payload, 'base64url').toString();
    expect(named).toContain(account.id);
    const renamed = Buffer.from(named.replace(account.id, other.id)).toString('base64url');
    const ofAnother = [version, renamed, signature].join('.');
    const answers = new Set<string>();
    for (const altered of [
      '',
      'x',
      token.slice(0, -1),
      `${token.slice(0, -1)}${token.endsWith('A') ? 'E' : 'A'}`,
      ofAnother,
      `${token}"><script>`,
    ]) {
      for (const method of ['GET', 'POST']) {
        const url = new URL('/confirm', relay.url);
        if (method === 'GET') url.searchParams.set('token', altered);
        const response = await fetch(url, {
          method,
          ...(method === 'POST' && { body: new URLSearchParams({ token: altered }) }),
        });
        expect(response.status).toBe(400);
        answers.add(await response.text());
      }
    }
    expect(answers.size).toBe(1);
    expect((await other.client.get('/v1/account')).body.confirmed).toBe(false);
  });

  test('confirms when the button is pressed, also twice, and then the account sends', async () => {
    for (let n = 0; n < 2; n++) {
      const response = await press(link);
      expect([response.status, await response.text()]).toEqual([
        200,
        expect.stringContaining('Your address is confirmed'),
      ]);
    }
    expect((await account.client.get('/v1/account')).body.confirmed).toBe(true);
    const sent = await account.client.post('/v1/emails', email);
    expect(sent.status).toBe(200);
    expect((await readMail(3)).recipients).toEqual(['bob@example.net']);
    const again = await account.client.post('/v1/account/resend-confirmation');
    expect(again.status).toBe(409);
  });

  test('answers alike for an address that is known, and tells only its owner', async () => {
    const second = await openAs(ann);
    const { parsed, recipients } = await readMail(4);
    expect(recipients).toEqual([ann]);
    expect(parsed.subject).toContain('already in use');
    expect(parsed.text).not.toContain('/confirm');
    const fresh = await openAs('fresh@example.net');
    const shapeOf = async ({ client }: { client: ApiClient }) => {
      const { body } = await client.get('/v1/account');
      return Object.entries(body).map(([key, value]) =>
        /^(id|email|created_at)$/.test(key) ? key : [key, value],
      );
    };
    expect(await shapeOf(second)).toEqual(await shapeOf(fresh));
    await readMail(5);
  });

  test('sends another mail when asked, a few times a day for one address, and always answers alike', async () => {
    const eve = await openAs('eve@example.net');
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await eve.client.post('/v1/account/resend-confirmation'));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    // Another registration in between shows that nothing more is under way: mail keeps its order.
    await openAs('last@example.net');
    const caught = await mail.waitForMessages(9);
    const toEve = caught.filter(({ recipients }) => recipients.includes('eve@example.net'));
    expect(toEve).toHaveLength(3);
    const first = linkIn((await simpleParser(toEve[0]?.data ?? '')).text);
    // A mistyped address can be put right, and the link to the wrong one is worth nothing then.
    const changed = await eve.client.call('PATCH', '/v1/account', { email: 'eve2@example.net' });
    expect(changed.body).toMatchObject({ email: 'eve2@example.net', confirmed: false });
    expect((await press(first)).status).toBe(400);
    await eve.client.post('/v1/account/resend-confirmation');
    const { parsed, recipients } = await readMail(10);
    expect(recipients).toEqual(['eve2@example.net']);
    expect((await press(linkIn(parsed.text))).status).toBe(200);
    const tooLate = await eve.client.call('PATCH', '/v1/account', { email: 'eve3@example.net' });
    expect([tooLate.status, tooLate.body.code]).toEqual([422, 'field_refused']);
  });

  test('asks for nothing but what it needs', async () => {
    const whole = { name: 'A', email: 'a@example.net' };
    for (const [body, code] of [
      [{ email: whole.email }, 'missing_field'],
      [{ name: 'A' }, 'missing_field'],
      [{ ...whole, phone: '1' }, 'unknown_field'],
      [{ ...whole, email: 'A <a@example.net>' }, 'invalid_field'],
      [{ ...whole, email: 'a@example.net\r\nBcc: x@example.net' }, 'invalid_field'],
      [{ ...whole, name: 'A\r\nB' }, 'invalid_field'],
      [{ ...whole, company_size: '7' }, 'invalid_field'],
    ] as const) {
      const response = await register(body);
      expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([422, code]);
    }
  });

  test('by invite needs a code that is good for one account', async () => {
    await restart({ REGISTRATION: 'invite' });
    const operator = new ApiClient(relay.url, ADMIN_TOKEN);
    const invite = (await operator.post('/v1/admin/invites', { expires_in_hours: 1 })).body;
    expect(invite.code).toMatch(/^er_invite_/);
    const asked = { name: 'A', email: 'invited@example.net' };
    for (const body of [asked, { ...asked, invite: 'er_invite_wrong' }]) {
      const refused = await register(body);
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([
        403,
        'invalid_invite',
      ]);
    }
    const racing = await Promise.all(
      Array.from({ length: 5 }, () => register({ ...asked, invite: invite.code })),
    );
    expect(racing.map(({ status }) => status).sort()).toEqual([201, 403, 403, 403, 403]);
    const [listed] = (await operator.get('/v1/admin/invites')).body.data;
    expect(listed).toMatchObject({ id: invite.id, used_by: expect.stringMatching(/^acc_/) });
    expect(JSON.stringify(listed)).not.toContain(invite.code);
    expect((await operator.call('DELETE', `/v1/admin/invites/${invite.id}`)).status).toBe(409);
    const unused = (await operator.post('/v1/admin/invites', {})).body;
    expect((await operator.call('DELETE', `/v1/admin/invites/${unused.id}`)).status).toBe(200);
    expect((await register({ ...asked, invite: unused.code })).status).toBe(403);
  });

  test('is limited by address of the client, and closed where nobody opened it', async () => {
    await restart({ REGISTRATION: 'open' }, { registrations: 2 });
    const from = (ip: string) =>
      register({ name: 'A', email: 'many@example.net' }, { 'cf-connecting-ip': ip });
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await from('192.0.2.1'));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 429, 429]);
    expect(answers[3]?.headers.get('retry-after')).toBe('60');
    await restart({ REGISTRATION: 'closed' });
    const closed = await register({ name: 'A', email: 'a@example.net' });
    expect([closed.status, ((await closed.json()) as { code: string }).code]).toEqual([
      403,
      'registration_closed',
    ]);
  });

  test('leaves nobody in clear in the databases, nor in the log', async () => {
    await relay.stop();
    const files = await filesBelow(stateFolder);
    expect(findIn(files, account.id).length).toBeGreaterThan(0);
    for (const word of Object.values(planted)) {
      expect(findIn(files, word)).toEqual([]);
      expect(log.join('\n')).not.toContain(word);
    }
    relay = await start({});
    expect((await new ApiClient(relay.url, account.client.token).get('/v1/account')).body.name).toBe(
      planted.name,
    );
  });
});
