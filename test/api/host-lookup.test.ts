/** Hosts of webhooks and relays, as a deployment that allows nothing private has them looked up. */
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';
import type { Zone } from '../support/start-doh-server.ts';

const resolver = () => `http://127.0.0.1:${inject('dohPort')}`;
const PUBLIC = { A: ['93.184.216.34'], AAAA: ['2600::1'] };
const strict = (settings: Record<string, string> = {}) => ({
  ALLOW_PRIVATE_RELAYS: 'false',
  ALLOW_PRIVATE_WEBHOOKS: 'false',
  DNS_RESOLVER_URL: `${resolver()}/dns-query`,
  ...settings,
});

let account: TestAccount;

beforeAll(async () => {
  account = await createAccount();
});

async function publish(zone: Zone): Promise<void> {
  const response = await fetch(resolver(), { method: 'PUT', body: JSON.stringify(zone) });
  expect(response.status).toBe(200);
}

/** What saving says: `webhook` and `relay` have the host in different fields, and are told the same. */
async function save(kind: 'webhook' | 'relay', host: string, settings = strict()) {
  const [path, body] =
    kind === 'webhook'
      ? ['/v1/webhooks', { endpoint: `https://${host}/x`, backfill: false }]
      : ['/v1/relays', { host }];
  const response = await call(path as string, { key: account.key, body, settings });
  const { message, code, id } = await jsonOf(response);
  const retryAfter = response.headers.get('retry-after');
  return { status: response.status, message, code, retryAfter, id: String(id) };
}

async function countRows(): Promise<number[]> {
  const tables = ['webhooks', 'relays', 'audit_log'];
  const counts = await env.DB.batch<{ n: number }>(
    tables.map((table) =>
      env.DB.prepare(`SELECT count(*) AS n FROM ${table} WHERE "account_id" = ?`).bind(account.id),
    ),
  );
  return counts.map(({ results }) => results[0]?.n ?? -1);
}

const KINDS = [
  ['webhook', 'endpoint'],
  ['relay', 'host'],
] as const;

describe.each(KINDS)('the host of a %s', (kind, field) => {
  const refusal = (reason: string) => `The \`${field}\` field is refused: ${reason}.`;
  const NOT_PUBLIC = refusal('its host name leads to an address that is not public');

  it('is saved where all that it leads to is public, over aliases too', async () => {
    await publish({
      'good.acme.dev': PUBLIC,
      'four.acme.dev': { A: ['93.184.216.34'] },
      'six.acme.dev': { AAAA: ['2600::1'] },
      'alias.acme.dev': { CNAME: 'second.acme.dev' },
      'second.acme.dev': { CNAME: 'good.acme.dev' },
    });
    for (const host of ['good.acme.dev', 'four.acme.dev', 'six.acme.dev', 'ALIAS.acme.dev']) {
      expect([host, (await save(kind, host)).status]).toEqual([host, 201]);
    }
  });

  it('is refused where a single one of its addresses is not public', async () => {
    const addresses = ['10.0.0.1', '127.0.0.1', '169.254.169.254', '100.64.0.1', '224.0.0.1', '0.0.0.0'];
    const six = ['::1', 'fd00::1', 'fe80::1', '64:ff9b::7f00:1', '2002:7f00:1::', '::ffff:127.0.0.1'];
    const zone: Record<string, object> = { 'inner.acme.dev': { CNAME: 'bad-0.acme.dev' } };
    for (const [n, address] of addresses.entries()) {
      zone[`bad-${n}.acme.dev`] = { ...PUBLIC, A: [...PUBLIC.A, address] };
    }
    for (const [n, address] of six.entries()) zone[`bad6-${n}.acme.dev`] = { ...PUBLIC, AAAA: [address] };
    await publish(zone);
    const before = await countRows();
    for (const host of Object.keys(zone)) {
      expect([host, await save(kind, host)]).toEqual([
        host,
        expect.objectContaining({ status: 422, code: 'field_refused', message: NOT_PUBLIC }),
      ]);
    }
    expect(await countRows()).toEqual(before);
  });

  it('is refused where it leads nowhere', async () => {
    await publish({ 'empty.acme.dev': {}, 'dangling.acme.dev': { CNAME: 'gone.acme.dev' } });
    for (const host of ['missing.acme.dev', 'empty.acme.dev', 'dangling.acme.dev']) {
      expect([host, (await save(kind, host)).message]).toEqual([
        host,
        refusal('its host name has no address'),
      ]);
    }
  });

  it('is not saved where the resolver cannot tell, and may be tried again', async () => {
    await publish({
      'servfail.acme.dev': { Status: 2 },
      'html.acme.dev': { raw: { type: 'text/html', body: '<html></html>' } },
      'broken.acme.dev': { raw: { body: '{' } },
      'error.acme.dev': { raw: { status: 502 } },
      'moved.acme.dev': { raw: { status: 302 } },
      'huge.acme.dev': { raw: { body: `{"Status":0,"x":"${'x'.repeat(70_000)}"}` } },
      'injected.acme.dev': { A: ['93.184.216.34\r\nRSET'] },
      'round.acme.dev': { CNAME: 'round.acme.dev' },
      'silent.acme.dev': { isSilent: true },
    });
    const before = await countRows();
    const refused = {
      status: 503,
      code: 'host_not_looked_up',
      retryAfter: '5',
      message: `The host name in the \`${field}\` field could not be looked up. Nothing was saved. Try again shortly.`,
    };
    for (const name of 'servfail html broken error moved huge injected round'.split(' ')) {
      expect([name, await save(kind, `${name}.acme.dev`)]).toEqual([name, expect.objectContaining(refused)]);
    }
    const impatient = strict({ DNS_TIMEOUT_MS: '50' });
    expect(await save(kind, 'silent.acme.dev', impatient)).toMatchObject(refused);
    // Nothing listens there.
    const nobody = strict({ DNS_RESOLVER_URL: 'http://127.0.0.1:1/dns-query' });
    expect(await save(kind, 'good.acme.dev', nobody)).toMatchObject(refused);
    expect(await countRows()).toEqual(before);
  });

  it('is not looked up where it is no name that may be given', async () => {
    const nobody = strict({ DNS_RESOLVER_URL: 'http://127.0.0.1:1/dns-query' });
    for (const host of ['127.0.0.1', 'localhost', 'metadata.google.internal', 'smtp', 'smtp.acme.test']) {
      expect([host, (await save(kind, host, nobody)).code]).toEqual([host, 'field_refused']);
    }
  });

  it('is looked up when it is changed or tried out, and not for another change', async () => {
    await publish({ 'moving.acme.dev': PUBLIC, 'inside.acme.dev': { A: ['192.168.0.1'] } });
    const { id } = await save(kind, 'moving.acme.dev');
    const path = `/v1/${kind}s/${id}`;
    const request = async (body: object | undefined, at = path, method = 'PATCH') => {
      const options = { method, key: account.key, settings: strict(), ...(body && { body }) };
      return jsonOf(await call(at, options));
    };
    const given = (host: string) => (kind === 'webhook' ? { endpoint: `https://${host}/` } : { host });
    expect(await request(given('inside.acme.dev'))).toMatchObject({ statusCode: 422, message: NOT_PUBLIC });
    expect(await request(given('moving.acme.dev'))).toMatchObject({ id });
    // The owner of the name lets it lead elsewhere.
    await publish({ 'moving.acme.dev': { A: ['127.0.0.1'] } });
    const other = kind === 'webhook' ? { status: 'enabled' } : { priority: 7 };
    expect(await request(other)).toMatchObject({ id });
    expect(await request(given('moving.acme.dev'))).toMatchObject({ message: NOT_PUBLIC });
    const trial = `${path}/${kind === 'webhook' ? 'test' : 'verify'}`;
    expect(await request(undefined, trial, 'POST')).toMatchObject({ message: NOT_PUBLIC });
  });
});

describe("a host in Cloudflare's network", () => {
  const reason = "is refused: its host name leads into Cloudflare's own network.";

  it('is refused, and allowed for webhooks by a setting', async () => {
    await publish({ 'worker.acme.dev': { A: ['104.16.1.1'], AAAA: ['2606:4700::1'] } });
    const open = strict({ ALLOW_CLOUDFLARE_WEBHOOKS: 'true' });
    expect((await save('webhook', 'worker.acme.dev')).message).toBe(`The \`endpoint\` field ${reason}`);
    expect((await save('webhook', 'worker.acme.dev', open)).status).toBe(201);
    expect((await save('relay', 'worker.acme.dev')).message).toBe(`The \`host\` field ${reason}`);
    expect((await save('relay', 'worker.acme.dev', open)).message).toBe(`The \`host\` field ${reason}`);
    await publish({ 'half.acme.dev': { A: ['104.16.1.1', '10.0.0.1'] } });
    expect((await save('webhook', 'half.acme.dev', open)).message).toContain('not public');
  });
});

it("an endpoint is not this service itself, by the request's host or by PUBLIC_URL", async () => {
  const settings = strict({ PUBLIC_URL: 'https://mail.acme.dev/' });
  for (const host of ['relay.test', 'mail.acme.dev', 'MAIL.acme.dev.']) {
    const answer = await save('webhook', host, settings);
    expect([host, answer.status, textAt(answer, 'code')]).toEqual([host, 422, 'field_refused']);
  }
});
