/** Filters of the list, attachments of sent mail, and the export: through the Worker, with mail that was really sent. */

import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { signToken } from '../../src/crypto/signed-token.ts';
import { settingsOf } from '../../src/env.ts';
import { newId, newMessageId } from '../../src/ids.ts';
import type { Ledger } from '../../src/outbox/ledger/ledger.ts';
import {
  call,
  callAsOperator,
  createAccount,
  type JsonObject,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Of a host that nobody has. */
const DEAD_PORT = 2526;
const PIECE_BYTES = 1024 * 1024;

let account: TestAccount;
let relay: string;
let deadRelay: string;
let startedMs: number;
/** By subject. */
const ids = new Map<string, string>();

const mail = { from: 'a@acme.example', text: 'x' };
/** Spans several pieces, and begins in the middle of one. */
const picture = crypto.getRandomValues(new Uint8Array(700_000).subarray(0, 65_536));
const large = new Uint8Array(2 * PIECE_BYTES + 12_345).map((_, index) => (index * 7) % 251);

async function openAccount(): Promise<TestAccount> {
  const opened = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${opened.id}/domains/acme.example`, { method: 'PUT', body: {} });
  return opened;
}

async function newRelay(port: number): Promise<string> {
  const isDead = port === DEAD_PORT;
  const host = isDead ? 'smtp.nowhere.example' : '127.0.0.1';
  const body = { host, port, tls: 'none', priority: isDead ? 9 : 0 };
  return textAt(await jsonOf(await call('/v1/relays', { key: account.key, body })), 'id');
}

async function send(body: JsonObject): Promise<string> {
  const response = await call('/v1/emails', { key: account.key, body: { ...mail, ...body } });
  if (response.status !== 200) throw new Error(`not accepted: ${await response.text()}`);
  const id = textAt(await jsonOf(response), 'id');
  ids.set(String(body.subject), id);
  return id;
}

/** No event tells of a delivery over HTTP. */
async function waitFor(id: string, status: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const body = await jsonOf(await call(`/v1/emails/${id}`, { key: account.key }));
    if (textAt(body, 'deliveries', 0, 'status') === status) return;
    if (Date.now() > deadline) throw new Error(`not ${status}: ${JSON.stringify(body)}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function listed(query: string): Promise<string[]> {
  const response = await call(`/v1/emails?limit=100&${query}`, { key: account.key });
  const body = await jsonOf(response);
  if (response.status !== 200) throw new Error(JSON.stringify(body));
  const subjects = new Map([...ids].map(([subject, id]) => [id, subject]));
  return (body.data as { id: string }[]).map(({ id }) => subjects.get(id) ?? '?');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

beforeAll(async () => {
  account = await openAccount();
  relay = await newRelay(inject('smtpPort'));
  deadRelay = await newRelay(DEAD_PORT);
  startedMs = Date.now();
  const sent = [
    await send({ to: ['ann@example.com', 'bob@example.com'], subject: 'two' }),
    await send({
      to: 'Ann@example.com',
      subject: 'tagged',
      tags: [
        { name: 'kind', value: 'receipt' },
        { name: 'team', value: 'shop' },
      ],
    }),
    await send({
      to: 'cc@example.com',
      cc: 'zoe@example.com',
      subject: '=HYPERLINK("x")',
      tags: [{ name: 'kind', value: 'news' }],
    }),
    await send({
      to: 'files@example.com',
      subject: 'files',
      html: '<img src="cid:logo">',
      attachments: [
        { filename: 'logo.png', content: base64(picture), content_id: 'logo' },
        { filename: 'Größe "1".html', content: base64(large), content_type: 'text/html' },
      ],
    }),
  ];
  for (const id of sent) await waitFor(id, 'delivered');
  await send({ to: 'ann@example.com', subject: 'waits', relay: deadRelay });
}, 30_000);

describe('a filtered list of emails', () => {
  it.each([
    ['recipient=ann@example.com', ['waits', 'tagged', 'two']],
    ['recipient=ANN@EXAMPLE.COM', ['waits', 'tagged', 'two']],
    ['recipient=zoe@example.com', ['=HYPERLINK("x")']],
    ['recipient=nobody@example.com', []],
    ['tag=kind', ['=HYPERLINK("x")', 'tagged']],
    ['tag=kind:receipt', ['tagged']],
    ['tag=kind:receipt&tag=team:shop', ['tagged']],
    ['tag=kind:news&tag=team:shop', []],
    ['status=delivered', ['files', '=HYPERLINK("x")', 'tagged', 'two']],
    ['status=failed', []],
    ['status=delivered&recipient=ann@example.com', ['tagged', 'two']],
    ['broadcast_id=brd_1', []],
    ['created_before=2020-01-01T00:00:00Z', []],
    ['created_after=2020-01-01T00:00:00%2B02:00&tag=team', ['tagged']],
  ])('%s', async (query, subjects) => {
    expect(await listed(query)).toEqual(subjects);
  });

  it('has open mail under the status it has at that moment', async () => {
    // Nobody says when its relay is tried: it is queued before and deferred after.
    const seen = await Promise.all(
      ['queued', 'sending', 'deferred'].map((status) => listed(`status=${status}&recipient=ann@example.com`)),
    );
    expect(new Set(seen.flat())).toEqual(new Set(['waits']));
  });

  it('goes by the relay that had each delivery last', async () => {
    expect(await listed(`relay=${relay}`)).toEqual(['files', '=HYPERLINK("x")', 'tagged', 'two']);
    expect(await listed(`relay=${relay}&recipient=bob@example.com`)).toEqual(['two']);
    expect(await listed(`relay=${newId('relay')}`)).toEqual([]);
  });

  it('goes by the time in the id, from the one on and before the other', async () => {
    const at = (ms: number) => new Date(ms).toISOString();
    expect(await listed(`created_after=${at(startedMs)}`)).toHaveLength(5);
    expect(await listed(`created_before=${at(startedMs)}`)).toEqual([]);
    expect(await listed(`created_after=${at(Date.now() + 60_000)}`)).toEqual([]);
  });

  it('has pages, in both directions', async () => {
    const page = async (query: string) => {
      const body = await jsonOf(
        await call(`/v1/emails?recipient=ann@example.com&${query}`, { key: account.key }),
      );
      const data = body.data as { id: string; subject: string }[];
      return {
        subjects: data.map(({ subject }) => subject),
        ids: data.map(({ id }) => id),
        more: body.has_more,
      };
    };
    const first = await page('limit=2');
    expect(first).toMatchObject({ subjects: ['waits', 'tagged'], more: true });
    const second = await page(`limit=2&after=${first.ids[1]}`);
    expect(second).toMatchObject({ subjects: ['two'], more: false });
    expect(await page(`limit=1&before=${second.ids[0]}`)).toMatchObject({ subjects: ['tagged'], more: true });
    expect(await page(`limit=2&before=${second.ids[0]}`)).toMatchObject({
      subjects: ['waits', 'tagged'],
      more: false,
    });
  });

  it.each([
    ['status=sent', 'status'],
    ['recipient=ann', 'recipient'],
    ['recipient=Ann%20%3Cann@example.com%3E', 'recipient'],
    ['tag=a%20b', 'tag'],
    ['created_after=yesterday', 'created_after'],
    ['created_before=2026-01-01', 'created_before'],
    ['subject=x', 'subject'],
  ])('refuses %s and names the field', async (query, field) => {
    const response = await call(`/v1/emails?${query}`, { key: account.key });
    expect(response.status).toBe(422);
    expect(textAt(await jsonOf(response), 'message')).toContain(`\`${field}`);
  });
});

describe('the attachments of an email', () => {
  const pathOf = (rest = '') => `/v1/emails/${ids.get('files')}/attachments${rest}`;
  const read = async (rest = '') => jsonOf(await call(pathOf(rest), { key: account.key }));

  async function download(url: string): Promise<Response> {
    return call(new URL(url).pathname);
  }

  it('are listed in their order, with a link each', async () => {
    const { object, has_more, data } = await read();
    const [logo, page] = data as JsonObject[];
    expect([object, has_more]).toEqual(['list', false]);
    expect(logo).toMatchObject({
      filename: 'logo.png',
      size: picture.byteLength,
      content_type: 'image/png',
      content_disposition: 'inline',
      content_id: 'logo',
    });
    expect(page).toMatchObject({
      filename: 'Größe "1".html',
      size: large.byteLength,
      content_disposition: 'attachment',
    });
    const left = Date.parse(textAt(page, 'expires_at')) - Date.now();
    expect(left).toBeGreaterThan(59 * 60_000);
    expect(left).toBeLessThanOrEqual(60 * 60_000);
    expect(await read(`/${textAt(page, 'id')}`)).toMatchObject({
      object: 'attachment',
      id: textAt(page, 'id'),
      size: large.byteLength,
    });
  });

  it('have pages', async () => {
    const { data } = await read();
    const [first, second] = (data as { id: string }[]).map(({ id }) => id);
    expect(await read('?limit=1')).toMatchObject({ has_more: true, data: [{ id: first }] });
    expect(await read(`?limit=1&after=${first}`)).toMatchObject({ has_more: false, data: [{ id: second }] });
    expect(await read(`?limit=1&before=${second}`)).toMatchObject({ has_more: false, data: [{ id: first }] });
    expect(await read(`?after=${newId('event')}`)).toMatchObject({
      statusCode: 422,
      message: expect.stringContaining('`after`'),
    });
  });

  it('are an empty list where there are none', async () => {
    const body = await jsonOf(await call(`/v1/emails/${ids.get('two')}/attachments`, { key: account.key }));
    expect(body).toEqual({ object: 'list', has_more: false, data: [] });
  });

  it.each(['att_nothing', '0', ''])('are not found by %j', async (id) => {
    const response = await call(`${pathOf()}/${id}`, { key: account.key });
    expect(response.status).toBe(404);
  });

  it('are downloaded as they were sent, without a key, and opened as nothing', async () => {
    const { data } = await read();
    for (const [index, bytes] of [picture, large].entries()) {
      const response = await download(textAt(data, index, 'download_url'));
      expect(response.status).toBe(200);
      expect(Buffer.from(await response.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'cache-control': 'no-store',
        'content-security-policy': "sandbox; default-src 'none'",
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      });
    }
    const page = await download(textAt(data, 1, 'download_url'));
    expect(page.headers.get('content-type')).toBe('text/html');
    expect(page.headers.get('content-disposition')).toBe(
      `attachment; filename="Gr__e _1_.html"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.html`,
    );
    await page.body?.cancel();
  });

  it('cannot be had with a link that was changed, is for something else, or is over', async () => {
    const { data } = await read();
    const token = textAt(data, 0, 'download_url').split('/').at(-1) ?? '';
    const [version = '', payload = '', mac = ''] = token.split('.');
    const other = Buffer.from(Buffer.from(payload, 'base64url').toString().replace(/,0$/, ',1')).toString(
      'base64url',
    );
    const keys = settingsOf(env as never).MASTER_KEYS;
    const subject = `${account.id},${ids.get('files')},0`;
    const tokens = {
      changed: [version, other, mac].join('.'),
      unsigned: [version, payload, 'A'.repeat(43)].join('.'),
      short: [version, payload, mac.slice(1)].join('.'),
      'of an unknown key': ['9', payload, mac].join('.'),
      'for another purpose': signToken(keys, 'other', `${Date.now() + 60_000},${subject}`),
      nonsense: 'x',
    };
    for (const [, wrong] of Object.entries(tokens)) {
      const response = await call(`/attachments/${wrong}`);
      expect([response.status, textAt(await jsonOf(response), 'code')]).toEqual([404, 'not_found']);
    }
    for (const time of [String(Date.now() - 1), 'soon', '']) {
      const response = await call(`/attachments/${signToken(keys, 'attachment', `${time},${subject}`)}`);
      expect([response.status, textAt(await jsonOf(response), 'code')]).toEqual([410, 'link_expired']);
    }
    const good = await call(
      `/attachments/${signToken(keys, 'attachment', `${Date.now() + 60_000},${subject}`)}`,
    );
    expect(good.status).toBe(200);
    await good.body?.cancel();
  });

  it('of another account are not found by a link that names it', async () => {
    const stranger = await openAccount();
    const keys = settingsOf(env as never).MASTER_KEYS;
    const token = signToken(
      keys,
      'attachment',
      `${Date.now() + 60_000},${stranger.id},${ids.get('files')},0`,
    );
    expect((await call(`/attachments/${token}`)).status).toBe(404);
  });
});

describe('the export', () => {
  const exported = async (query: string) => {
    const response = await call(`/v1/emails/export?${query}`, { key: account.key });
    return { response, text: await response.text() };
  };

  it('as JSON lines has a line for each delivery, and one that counts them', async () => {
    const { response, text } = await exported('format=jsonl');
    expect(response.headers.get('content-type')).toBe('application/jsonl; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    const lines: JsonObject[] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toEqual({ object: 'export_end', count: 7 });
    expect(lines.slice(0, -1).map(({ subject, recipient, status }) => [subject, recipient, status])).toEqual([
      ['waits', 'ann@example.com', expect.stringMatching(/^(queued|sending|deferred)$/)],
      ['files', 'files@example.com', 'delivered'],
      ['=HYPERLINK("x")', 'cc@example.com', 'delivered'],
      ['=HYPERLINK("x")', 'zoe@example.com', 'delivered'],
      ['tagged', 'Ann@example.com', 'delivered'],
      ['two', 'ann@example.com', 'delivered'],
      ['two', 'bob@example.com', 'delivered'],
    ]);
    expect(lines[4]).toMatchObject({
      object: 'delivery',
      email_id: ids.get('tagged'),
      from: 'a@acme.example',
      relay,
      attempts: 1,
      last_reply: expect.stringContaining('250'),
      tags: [
        { name: 'kind', value: 'receipt' },
        { name: 'team', value: 'shop' },
      ],
    });
  });

  it('has the deliveries only that the filter is about', async () => {
    const { text } = await exported('format=jsonl&recipient=bob@example.com&status=delivered');
    expect(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { subject: 'two', recipient: 'bob@example.com' },
      { object: 'export_end', count: 1 },
    ]);
  });

  it('as CSV has a header, no formula, and a last row that counts', async () => {
    const { response, text } = await exported('format=csv&tag=kind');
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="emails.csv"');
    const lines = text.split('\r\n');
    expect(lines).toHaveLength(6);
    expect(lines[0]).toBe(
      'email_id,created_at,from,subject,tags,index,recipient,status,relay,attempts,last_reply,reason,updated_at,next_attempt_at',
    );
    expect(lines[1]).toContain(
      `,a@acme.example,"'=HYPERLINK(""x"")",kind:news,0,cc@example.com,delivered,${relay},1,`,
    );
    expect(lines[4]).toBe('export_end,3,,,,,,,,,,,,');
    expect(lines[5]).toBe('');
  });

  it('of nothing is a header and an end', async () => {
    expect((await exported('format=jsonl&tag=none')).text).toBe('{"object":"export_end","count":0}\n');
  });

  it.each([
    ['', '`format`'],
    ['format=xml', '`format`'],
    ['format=csv&limit=3', '`limit`'],
    ['format=csv&recipient=x', '`recipient`'],
  ])('refuses ?%s before it begins', async (query, field) => {
    const { response, text } = await exported(query);
    expect(response.status).toBe(422);
    expect(text).toContain(field);
  });

  it('ends where the client leaves', async () => {
    const response = await call('/v1/emails/export?format=jsonl', { key: account.key });
    await response.body?.cancel();
    expect((await exported('format=jsonl')).text).toContain('"count":7');
  });
});

/** Last: it takes the content away. */
describe('after the retention of bodies', () => {
  it('attachments are gone, and said to be; the email is still listed', async () => {
    const path = `/v1/emails/${ids.get('files')}/attachments`;
    const { data } = await jsonOf(await call(path, { key: account.key }));
    const token = textAt(data, 1, 'download_url').split('/').at(-1);
    const stub = env.OUTBOX.get(env.OUTBOX.idFromName(`${account.id}/0`));
    const waiting = ids.get('waits') ?? '';
    await runInDurableObject(stub, (instance, state) => {
      const { ledger } = instance as unknown as { ledger: Ledger };
      const item = ledger.messages.find(waiting);
      if (!item) throw new Error('a message is missing');
      const deliveries = item.progress.deliveries.map((delivery) => ({
        ...delivery,
        status: 'expired' as const,
      }));
      ledger.commit([
        { item, progress: { ...item.progress, deliveries }, replies: undefined, dot: undefined },
      ]);
      ledger.sweep(Date.now() + 8 * DAY_MS, { bodies: 7, metadata: 30, claims: 7 });
      return state.storage.sync();
    });
    for (const gone of [path, `${path}/${textAt(data, 0, 'id')}`]) {
      const response = await call(gone, { key: account.key });
      expect([response.status, textAt(await jsonOf(response), 'code')]).toEqual([410, 'content_gone']);
    }
    expect((await call(`/attachments/${token}`)).status).toBe(410);
    expect(await listed('recipient=files@example.com')).toEqual(['files']);
    expect(await listed('status=expired')).toEqual(['waits']);
    expect((await call(`/v1/emails/${newMessageId(0)}/attachments`, { key: account.key })).status).toBe(404);
  });
});
