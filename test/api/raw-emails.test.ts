import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, inject, it, vi } from 'vitest';
import type { Env } from '../../src/env.ts';
import { newMessageId } from '../../src/ids.ts';
import { openAttachment, openHead, outboxOf } from '../../src/outbox/client.ts';
import type { Ledger } from '../../src/outbox/ledger/ledger.ts';
import { findAccountState } from '../../src/services/account-state.ts';
import { operatorContext } from '../../src/services/service-context.ts';
import {
  send as answered,
  call,
  callAsOperator,
  createAccount,
  type JsonObject,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

vi.setConfig({ testTimeout: 60_000 });

const MIB = 1024 * 1024;
const PATH = '/v1/emails/raw';
const MIME = { 'content-type': 'message/rfc822' };
const HEADER = ['From: Ann <a@acme.example>', 'To: b@example.com', 'Subject: Raw'];
const mail = (lines: readonly string[] = HEADER, body = 'Hello\r\n') => [...lines, '', body].join('\r\n');

const worker = env as unknown as Env;
let account: TestAccount;

async function openAccount(): Promise<TestAccount> {
  const opened = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${opened.id}/domains/acme.example`, { method: 'PUT', body: {} });
  const body = { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' };
  const relay = await call('/v1/relays', { key: opened.key, body });
  if (relay.status !== 201) throw new Error('no relay');
  return opened;
}

beforeAll(async () => {
  account = await openAccount();
});

const send = (body: string, query = '', headers = {}) =>
  call(PATH + query, { key: account.key, body, headers: { ...MIME, ...headers } });
const read = async (id: string): Promise<JsonObject> =>
  jsonOf(await call(`/v1/emails/${id}`, { key: account.key }));

async function sent(body: string, query = '', headers = {}): Promise<string> {
  const response = await send(body, query, headers);
  const answer = await jsonOf(response);
  expect([response.status, answer]).toMatchObject([
    200,
    { id: expect.stringMatching(/^msg_/), deliveries: expect.any(Array) },
  ]);
  return textAt(answer, 'id');
}

async function refusal(response: Response): Promise<[number, string, string]> {
  const answer = await jsonOf(response);
  return [response.status, textAt(answer, 'code'), textAt(answer, 'message')];
}

/** A body of unknown length, in pieces of 64 KiB. */
function chunked(path: string, pieces: Iterable<string>, type: string, headers = {}): Promise<Response> {
  const iterator = pieces[Symbol.iterator]();
  const body = new ReadableStream({
    pull(controller) {
      const { done, value } = iterator.next();
      if (done) controller.close();
      else controller.enqueue(new TextEncoder().encode(value));
    },
  });
  const own = { authorization: `Bearer ${account.key}`, 'content-type': type };
  return answered(
    new Request(`https://relay.test${path}`, { method: 'POST', headers: { ...own, ...headers }, body }),
  );
}

function* bodyOf(mebibytes: number, first = mail(HEADER, '')): Generator<string> {
  yield first;
  const line = `${'x'.repeat(62)}\r\n`;
  for (let count = 0; count < mebibytes * 16; count++) yield line.repeat(1024);
}

/** What is staged and belongs to no message. */
async function stagedIds(): Promise<string[]> {
  const stub = env.OUTBOX.get(env.OUTBOX.idFromName(`${account.id}/0`));
  return runInDurableObject(stub, (_object, state) =>
    state.storage.sql
      .exec<{ id: string }>('SELECT id FROM staged')
      .toArray()
      .map(({ id }) => id),
  );
}

describe('raw mail', () => {
  it('takes its envelope from the header', async () => {
    const lines = [...HEADER, 'Cc: c@example.com', 'Bcc: d@example.com', 'Message-ID: <own@acme.example>'];
    const email = await read(await sent(mail(lines)));
    expect(email).toMatchObject({
      from: 'Ann <a@acme.example>',
      to: ['b@example.com'],
      cc: ['c@example.com'],
      bcc: ['d@example.com'],
      subject: 'Raw',
      message_id: '<own@acme.example>',
      text: null,
      html: null,
    });
    expect(email.deliveries).toHaveLength(3);
  });

  it('takes recipients, tags and policy from the query', async () => {
    const query =
      '?to=b@example.com&to=x@example.com&tag=kind:test&tag=n:1&in_doubt_policy=hold&from=bounce@acme.example';
    const email = await read(await sent(mail([...HEADER, 'Bcc: not@example.com']), query));
    expect(email).toMatchObject({
      to: ['b@example.com'],
      bcc: ['x@example.com'],
      tags: [
        { name: 'kind', value: 'test' },
        { name: 'n', value: '1' },
      ],
      in_doubt_policy: 'hold',
    });
    expect(email.deliveries).toHaveLength(2);
  });

  it('gets a Message-ID of its own id where it has none', async () => {
    const id = await sent(mail());
    expect(await read(id)).toMatchObject({ message_id: `<${id}@acme.example>` });
  });

  it('is refused by fixed texts', async () => {
    const cases: [string, string, [number, string, string]][] = [
      [mail(HEADER, 'a\rb'), '', [422, 'invalid_message', 'The message is refused: it has a CR without LF.']],
      [mail(HEADER.slice(1)), '', [422, 'invalid_from', 'Invalid `from` field: the From field is missing.']],
      [
        mail(['From: a@other.example', 'To: b@example.com']),
        '',
        [403, 'domain_not_verified', expect.any(String)],
      ],
      [mail([...HEADER, 'Sender: a@other.example']), '', [403, 'domain_not_verified', expect.any(String)]],
      [mail(), '?from=a@other.example', [403, 'domain_not_verified', expect.any(String)]],
      [mail(HEADER.slice(0, 1)), '', [422, 'missing_field', 'Missing `to` field.']],
      [
        mail(['From: a@acme.example', 'To: nobody']),
        '',
        [
          422,
          'invalid_message',
          'The message is refused: its To field: the address must contain exactly one @.',
        ],
      ],
      [
        mail(['From: a@acme.example', `To: ${Array(51).fill('b@example.com').join()}`]),
        '',
        [422, 'invalid_message', 'The message is refused: its To field: at most 50 addresses.'],
      ],
      [
        mail(),
        '?to=nobody',
        [422, 'invalid_field', 'Invalid `to[0]` field: the address must contain exactly one @.'],
      ],
      [mail(), '?tag=a:1&tag=a:2', [422, 'invalid_field', 'Invalid `tag` field: is given twice.']],
      [mail(), '?relay=rly_none', [422, 'invalid_field', expect.any(String)]],
      [mail(), '?scheduled=now', [422, 'unknown_field', 'Unknown field `scheduled`.']],
    ];
    for (const [body, query, expected] of cases) {
      expect(await refusal(await send(body, query))).toEqual(expected);
    }
  });

  it('must come as message/rfc822, not compressed', async () => {
    expect(await refusal(await send(mail(), '', { 'content-type': 'text/plain' }))).toEqual([
      415,
      'unsupported_content_type',
      'The request body must be sent as `message/rfc822`.',
    ]);
    const [status, code] = await refusal(await send(mail(), '', { 'content-encoding': 'gzip' }));
    expect([status, code]).toEqual([415, 'unsupported_content_encoding']);
  });

  it('may be sent by a key that only sends, and by one of its domain only', async () => {
    const keyFor = async (more: object) =>
      textAt(
        await jsonOf(
          await call('/v1/api-keys', {
            key: account.key,
            body: { name: 'x', permission: 'sending_access', ...more },
          }),
        ),
        'token',
      );
    const request = { body: mail(), headers: MIME };
    expect((await call(PATH, { ...request, key: await keyFor({}) })).status).toBe(200);
    await callAsOperator(`/v1/admin/accounts/${account.id}/domains/second.example`, {
      method: 'PUT',
      body: {},
    });
    const list = (await jsonOf(await call('/v1/domains', { key: account.key }))) as { data: JsonObject[] };
    const second = list.data.find(({ name }) => name === 'second.example');
    const bound = await keyFor({ domain_id: second?.id });
    expect((await call(PATH, { ...request, key: bound })).status).toBe(403);
  });

  it('is sent once for an idempotency key, and not at all for the same key with other octets', async () => {
    const headers = { 'idempotency-key': 'raw-1' };
    const id = await sent(mail(), '', headers);
    expect(await sent(mail(), '', headers)).toBe(id);
    const [status, code] = await refusal(await send(mail(HEADER, 'Other\r\n'), '', headers));
    expect([status, code]).toEqual([409, 'idempotency_mismatch']);
    expect((await refusal(await send(mail(), '?to=x@example.com', headers)))[0]).toBe(409);
    // A refused request leaves its key free.
    const free = { 'idempotency-key': 'raw-2' };
    expect((await send(mail(HEADER, 'a\rb'), '', free)).status).toBe(422);
    await sent(mail(), '', free);
  });
});

describe('raw mail for later', () => {
  it('waits for its time, which can be moved, and is dated with it', async () => {
    const at = new Date(Date.now() + 3_600_000).toISOString();
    const query = `?scheduled_at=${encodeURIComponent(at)}`;
    const id = await sent(mail(), query);
    expect(await read(id)).toMatchObject({ last_event: 'scheduled', scheduled_at: at });
    const [dated] = await mimeOf(mail(), query);
    const [, date = ''] = /^Date: (.*)\r$/m.exec(dated ?? '') ?? [];
    expect(Date.parse(date)).toBe(Math.floor(Date.parse(at) / 1000) * 1000);
    const later = { scheduled_at: 'in 2 days' };
    const moved = await call(`/v1/emails/${id}`, { method: 'PATCH', key: account.key, body: later });
    expect(moved.status).toBe(200);
    const canceled = await call(`/v1/emails/${id}/cancel`, { method: 'POST', key: account.key });
    expect(await jsonOf(canceled)).toMatchObject({ last_event: 'canceled' });
  });

  it('may be large', async () => {
    const response = await chunked(`${PATH}?scheduled_at=in%201%20day`, bodyOf(3), 'message/rfc822');
    expect(await jsonOf(response)).toMatchObject({ deliveries: [{ status: 'scheduled' }] });
    expect(await stagedIds()).toEqual([]);
  });

  it('is the same request only with the same words', async () => {
    const headers = { 'idempotency-key': 'raw-later' };
    const id = await sent(mail(), '?scheduled_at=in+1+day', headers);
    expect(await sent(mail(), '?scheduled_at=in+1+day', headers)).toBe(id);
    for (const query of ['?scheduled_at=in+24+hours', '']) {
      expect((await refusal(await send(mail(), query, headers)))[1]).toBe('idempotency_mismatch');
    }
  });

  it('is refused for a time that is none, or too far ahead', async () => {
    for (const time of ['tomorrow', 'in 31 days', '2026-12-01T09:00:00', '']) {
      const response = await send(mail(), `?scheduled_at=${encodeURIComponent(time)}`);
      expect((await refusal(response)).slice(1)).toEqual([
        'invalid_field',
        expect.stringContaining('`scheduled_at`'),
      ]);
    }
  });
});

/** The message of a dry run, and the rest of the answer. */
async function mimeOf(body: string, query = ''): Promise<[string, JsonObject]> {
  const response = await send(body, `${query || '?'}&dry_run=true`);
  expect(response.status).toBe(200);
  const { mime_base64: mime, ...rest } = await jsonOf(response);
  return [Buffer.from(String(mime), 'base64').toString(), rest];
}

describe('a dry run of raw mail', () => {
  it('tells the envelope, the relay and the octets that would leave, and sends nothing', async () => {
    const lines = [...HEADER, 'Bcc: d@example.com', 'Message-ID: <own@acme.example>', 'Date: x'];
    const before = await jsonOf(await call('/v1/emails?limit=1', { key: account.key }));
    const [text, rest] = await mimeOf(lines.concat('', 'Hi', '').join('\n'), '?from=bounce@acme.example');
    expect(text).toBe([...HEADER, ...lines.slice(4), '', 'Hi', ''].join('\r\n'));
    expect(rest).toMatchObject({
      object: 'dry_run',
      message_id: '<own@acme.example>',
      envelope: { from: 'bounce@acme.example', recipients: ['b@example.com', 'd@example.com'] },
      relay: expect.stringMatching(/^rly_/),
      relay_reason: 'only_relay',
      size_bytes: text.length,
    });
    expect(await jsonOf(await call('/v1/emails?limit=1', { key: account.key }))).toEqual(before);
  });

  it('is refused as sending would be, and claims no key', async () => {
    const headers = { 'idempotency-key': 'raw-dry' };
    expect((await send(mail(), '?dry_run=true', headers)).status).toBe(200);
    await sent(mail(HEADER, 'Other\r\n'), '?dry_run=false', headers);
    for (const [body, query] of [
      [mail(HEADER, 'a\rb'), ''],
      [mail(HEADER.slice(0, 1)), ''],
      [mail(['From: a@other.example', 'To: b@example.com']), ''],
      [mail(), '&from=a@other.example'],
      [mail(), '&relay=rly_none'],
      [mail(), '&scheduled_at=never'],
    ] as const) {
      const really = await refusal(await send(body, `?${query.slice(1)}`));
      expect(await refusal(await send(body, `?dry_run=true${query}`))).toEqual(really);
      expect(really[0]).toBeGreaterThanOrEqual(400);
    }
  });

  it('is held whole, so it may be as large as other bodies, and stages nothing', async () => {
    expect((await chunked(`${PATH}?dry_run=true`, bodyOf(3), 'message/rfc822')).status).toBe(200);
    expect(await refusal(await chunked(`${PATH}?dry_run=true`, bodyOf(15), 'message/rfc822'))).toEqual([
      413,
      'body_too_large',
      'The request body is larger than 15 MiB.',
    ]);
    expect(await stagedIds()).toEqual([]);
  });
});

describe('what is staged', () => {
  it('becomes a message, and is nobody else’s then', async () => {
    const headers = { 'idempotency-key': 'staged-1' };
    const [first, second] = [
      await chunked(PATH, bodyOf(3), 'message/rfc822', headers),
      await chunked(PATH, bodyOf(3), 'message/rfc822', headers),
    ];
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(textAt(await jsonOf(first), 'id')).toBe(textAt(await jsonOf(second), 'id'));
    expect(await stagedIds()).toEqual([]);
    const other = await chunked(PATH, bodyOf(2), 'message/rfc822', headers);
    expect([other.status, await stagedIds()]).toEqual([409, []]);
  });

  it('is dropped at once when the message is refused at its end', async () => {
    function* broken() {
      yield* bodyOf(2);
      yield 'a\rb';
    }
    expect((await chunked(PATH, broken(), 'message/rfc822')).status).toBe(422);
    function* tooMany() {
      yield* bodyOf(25);
    }
    expect((await chunked(PATH, tooMany(), 'message/rfc822')).status).toBe(413);
    expect(await stagedIds()).toEqual([]);
  });

  it('is dropped at once when the JSON around an attachment is refused', async () => {
    const start =
      '{"from":"a@acme.example","to":"b@example.com","subject":"x","text":"x","attachments":[{"content":"';
    function* json(end: string) {
      yield start;
      for (let count = 0; count < 48; count++) yield 'A'.repeat(65_536);
      yield end;
    }
    for (const [end, status] of [
      ['","filename":"a"}],"nonsense":1}', 422],
      ['"}]}', 422],
      ['*","filename":"a"}]}', 422],
      ['","filename":"a"}]', 400],
      ['', 400],
    ] as const) {
      expect((await chunked('/v1/emails', json(end), 'application/json')).status).toBe(status);
      expect(await stagedIds()).toEqual([]);
    }
    expect((await chunked('/v1/emails', json('","filename":"a"}]}'), 'application/json')).status).toBe(200);
    expect(await stagedIds()).toEqual([]);
  });

  it('is swept by the alarm when the client went away', async () => {
    const outbox = outboxOf(worker, account.id);
    const id = newMessageId(0);
    expect(await outbox.stagePiece(account.id, { id, index: 0, piece: new Uint8Array(9) })).toBe('staged');
    expect(await stagedIds()).toEqual([id]);
    const stub = env.OUTBOX.get(env.OUTBOX.idFromName(`${account.id}/0`));
    await runInDurableObject(stub, async (object, state) => {
      expect(await state.storage.getAlarm()).toBeLessThanOrEqual(Date.now() + 60 * 60 * 1000);
      await object.alarm?.();
      expect(state.storage.sql.exec('SELECT id FROM staged').toArray()).toHaveLength(1);
      const settings = Reflect.get(object, 'settings');
      Reflect.set(object, 'settings', { ...settings, STAGING_KEPT_MS: 0 });
      await object.alarm?.();
      Reflect.set(object, 'settings', settings);
      expect(state.storage.sql.exec('SELECT id FROM staged').toArray()).toHaveLength(0);
    });
    expect(await outbox.stagePiece(account.id, { id, index: 1, piece: new Uint8Array(9) })).toBe('lost');
  });
});

describe('large JSON', () => {
  it('takes a Buffer as JSON up to 5 MiB', async () => {
    function* json(count: number) {
      yield '{"from":"a@acme.example","to":"b@example.com","subject":"x","text":"x","attachments":[{"filename":"a","content":{"type":"Buffer","data":[1';
      const part = ',255'.repeat(16_384);
      for (let done = 0; done < count; done += 16_384) yield part;
      yield ']}}]}';
    }
    expect((await chunked('/v1/emails', json(4 * MIB), 'application/json')).status).toBe(200);
    expect(await refusal(await chunked('/v1/emails', json(6 * MIB), 'application/json'))).toEqual([
      422,
      'invalid_attachment',
      'Invalid `attachments` field: a Buffer of more than 5 MiB; send base64.',
    ]);
  });

  it('names base64 with line breaks as the fault, however long it is', async () => {
    function* json() {
      yield '{"from":"a@acme.example","to":"b@example.com","subject":"x","text":"x","attachments":[{"filename":"a","content":"';
      const line = `${'A'.repeat(76)}\\r\\n`;
      for (let count = 0; count < 400; count++) yield line.repeat(819);
      yield '"}]}';
    }
    expect((await refusal(await chunked('/v1/emails', json(), 'application/json'))).slice(0, 2)).toEqual([
      422,
      'invalid_attachment',
    ]);
  });

  it('takes the last of two contents, as ever', async () => {
    const wanted = Buffer.alloc(2 * MIB, 'wanted');
    function* json() {
      yield '{"from":"a@acme.example","to":"b@example.com","subject":"x","text":"x","attachments":[{"filename":"a","content":"';
      for (let count = 0; count < 20; count++) yield 'A'.repeat(65_536);
      yield '","content":"';
      yield wanted.toString('base64');
      yield '"}]}';
    }
    const headers = { 'idempotency-key': 'twice' };
    const first = await chunked('/v1/emails', json(), 'application/json', headers);
    expect(first.status).toBe(200);
    const id = textAt(await jsonOf(first), 'id');
    expect(textAt(await jsonOf(await chunked('/v1/emails', json(), 'application/json', headers)), 'id')).toBe(
      id,
    );
    expect(await stagedIds()).toEqual([]);
    // Under test is that it opens: a piece is sealed for its place.
    const state = await findAccountState(worker, operatorContext(worker, account.id, 'req_test').scope);
    const stub = env.OUTBOX.get(env.OUTBOX.idFromName(`${account.id}/0`));
    const found = await runInDurableObject(stub, async (object) => {
      const { messages } = Reflect.get(object, 'ledger') as Ledger;
      const item = messages.find(id);
      if (!item) throw new Error('the message is missing');
      const keys = state?.dataKeys ?? [];
      const identity = { accountId: account.id, id };
      const head = openHead(keys, identity, messages.findHead(id) ?? []);
      const hash = createHash('sha256');
      const range = { offset: 0, sizeBytes: head.attachments[0]?.sizeBytes ?? 0 };
      for await (const part of openAttachment(keys, identity, range, (n) =>
        messages.readPiece(item, 'attachments', n),
      ))
        hash.update(part);
      return hash.digest('hex');
    });
    expect(found).toBe(createHash('sha256').update(wanted).digest('hex'));
  });
});
