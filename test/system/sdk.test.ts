/** The official `resend` SDK, unchanged, against the running server; its mail is read back by mailparser. */
import { randomBytes } from 'node:crypto';
import { simpleParser } from 'mailparser';
import { Resend } from 'resend';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openAccount, type TestAccount } from '../support/api-client.ts';
import { type MailCatcher, startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';

const email = {
  from: 'Sender <sender@example.com>',
  to: 'one@example.net',
  subject: 'A subject',
  text: 'A text',
};

let relay: RelayUnderTest;

beforeAll(async () => {
  relay = await startRelay({ quiet: true, settings: { SESSION_IDLE_MS: '200' } });
});

afterAll(() => relay.stop());

async function start(): Promise<{ smtp: MailCatcher; account: TestAccount; resend: Resend }> {
  const smtp = await startMailCatcher();
  onTestFinished(() => smtp.close());
  const account = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } });
  return { smtp, account, resend: sdk(account.client.token) };
}

function sdk(key: string): Resend {
  return new Resend(key, { baseUrl: new URL('/v1', relay.url).href });
}

/** What the SDK hands out: never both, and never thrown. */
function dataOf<T>({ data, error }: { data: T | null; error: unknown }): T {
  expect(error).toBeNull();
  if (data === null) throw new Error('the SDK has neither data nor an error');
  return data;
}

async function errorOf(call: Promise<{ data: unknown; error: unknown }>): Promise<unknown> {
  const { data, error } = await call;
  expect(data).toBeNull();
  return error;
}

describe('emails.send', () => {
  test('delivers every part of a message as it was given', async () => {
    const { smtp, resend } = await start();
    const file = randomBytes(3000);
    const picture = randomBytes(500);
    const { id } = dataOf(
      await resend.emails.send({
        from: 'Jürgen Größe <sender@example.com>',
        to: ['one@example.net', 'Zwei <two@example.net>'],
        cc: 'three@example.net',
        bcc: ['four@example.net'],
        replyTo: 'answers@example.org',
        subject: 'Grüße, 世界 👋',
        text: 'A text\n.\nwith a dot — and ümlauts',
        html: '<p>Grüße <img src="cid:logo"></p>',
        headers: { 'X-Order': '4711', 'List-Unsubscribe': '<https://example.com/u>' },
        tags: [{ name: 'kind', value: 'receipt' }],
        attachments: [
          { filename: 'in base64.bin', content: file.toString('base64') },
          { filename: 'Rechnung für März.pdf', content: file, contentType: 'application/pdf' },
          { filename: 'logo.png', content: picture, contentId: 'logo' },
        ],
      }),
    );
    const [caught] = await smtp.waitForMessages(1);
    expect(caught?.from).toBe('sender@example.com');
    expect(caught?.recipients).toEqual([
      'one@example.net',
      'two@example.net',
      'three@example.net',
      'four@example.net',
    ]);
    const mail = await simpleParser(caught?.data ?? '', { keepCidLinks: true });
    expect(mail.from?.value).toMatchObject([{ address: 'sender@example.com', name: 'Jürgen Größe' }]);
    expect(mail.to).toMatchObject({
      value: [
        { address: 'one@example.net', name: '' },
        { address: 'two@example.net', name: 'Zwei' },
      ],
    });
    expect(mail.cc).toMatchObject({ value: [{ address: 'three@example.net' }] });
    expect(mail.bcc).toBeUndefined();
    expect(mail.replyTo?.value).toMatchObject([{ address: 'answers@example.org' }]);
    expect(mail.subject).toBe('Grüße, 世界 👋');
    expect(mail.text?.trimEnd()).toBe('A text\n.\nwith a dot — and ümlauts');
    expect(String(mail.html).trimEnd()).toBe('<p>Grüße <img src="cid:logo"></p>');
    expect(mail.headers.get('x-order')).toBe('4711');
    expect(mail.headers.get('list')).toMatchObject({ unsubscribe: { url: 'https://example.com/u' } });
    expect(mail.messageId).toContain(id);
    const attachments = mail.attachments.map(({ filename, contentType, contentDisposition, cid }) => ({
      filename,
      contentType,
      contentDisposition,
      cid,
    }));
    expect(attachments).toHaveLength(3);
    expect(attachments).toContainEqual({
      filename: 'in base64.bin',
      contentType: 'application/octet-stream',
      contentDisposition: 'attachment',
      cid: undefined,
    });
    expect(attachments).toContainEqual({
      filename: 'Rechnung für März.pdf',
      contentType: 'application/pdf',
      contentDisposition: 'attachment',
      cid: undefined,
    });
    expect(attachments).toContainEqual({
      filename: 'logo.png',
      contentType: 'image/png',
      contentDisposition: 'inline',
      cid: 'logo',
    });
    for (const attachment of mail.attachments) {
      expect(attachment.content.equals(attachment.cid === 'logo' ? picture : file)).toBe(true);
    }
  });

  test('finds the server by RESEND_BASE_URL too', async () => {
    const { smtp, account } = await start();
    process.env.RESEND_BASE_URL = new URL('/v1', relay.url).href;
    onTestFinished(() => {
      delete process.env.RESEND_BASE_URL;
    });
    dataOf(await new Resend(account.client.token).emails.send(email));
    expect(await smtp.waitForMessages(1)).toHaveLength(1);
  });

  test('with an idempotency key gives the same id again, and refuses another body', async () => {
    const { smtp, resend } = await start();
    const options = { idempotencyKey: 'order/4711' };
    const first = dataOf(await resend.emails.send(email, options));
    expect(dataOf(await resend.emails.send(email, options)).id).toBe(first.id);
    const other = resend.emails.send({ ...email, subject: 'Another' }, options);
    expect(await errorOf(other)).toMatchObject({ name: 'invalid_idempotent_request', statusCode: 409 });
    dataOf(await resend.emails.send({ ...email, subject: 'Last' }));
    const subjects = (await smtp.waitForMessages(2)).map(
      ({ data }) => /^Subject: (.*)\r$/m.exec(String(data))?.[1],
    );
    expect(subjects).toEqual(['A subject', 'Last']);
  });

  test('sends once for each of 50 keys, however many ask for it at the same time', {
    timeout: 60_000,
  }, async () => {
    const { smtp, account, resend } = await start();
    const race = async (key: string) => {
      const send = () => resend.emails.send({ ...email, subject: key }, { idempotencyKey: key });
      const answers = await Promise.all(Array.from({ length: 20 }, send));
      const ids = new Set<string>();
      for (const { data, error } of answers) {
        if (data) ids.add(data.id);
        else expect(error).toMatchObject({ name: 'concurrent_idempotent_requests', statusCode: 409 });
      }
      expect(ids.size).toBe(1);
      return [...ids];
    };
    const keys = Array.from({ length: 50 }, (_, index) => `race-${index}`);
    const ids: string[] = [];
    for (let at = 0; at < keys.length; at += 10) {
      ids.push(...(await Promise.all(keys.slice(at, at + 10).map(race))).flat());
    }
    expect(new Set(ids).size).toBe(50);
    // Once all are settled nothing more can come.
    for (const id of ids)
      await account.client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
    const subjects = smtp.messages.map(({ data }) => /^Subject: (.*)\r$/m.exec(String(data))?.[1]);
    expect(subjects.sort()).toEqual([...keys].sort());
  });
});

describe('the SDK', () => {
  test('sends a batch, and says which of its emails is wrong', async () => {
    const { smtp, resend } = await start();
    const batch = ['one', 'two', 'three'].map((name) => ({
      ...email,
      subject: name,
      to: `${name}@example.net`,
    }));
    const { data } = dataOf(await resend.batch.send(batch, { idempotencyKey: 'batch' }));
    expect(new Set(data.map(({ id }) => id)).size).toBe(3);
    const again = dataOf(await resend.batch.send(batch, { idempotencyKey: 'batch' }));
    expect(again.data.map(({ id }) => id)).toEqual(data.map(({ id }) => id));
    const caught = await smtp.waitForMessages(3);
    expect(caught.map(({ recipients }) => recipients[0]).sort()).toEqual([
      'one@example.net',
      'three@example.net',
      'two@example.net',
    ]);
    const wrong = await errorOf(resend.batch.send([...batch, { ...email, to: 'nobody' }]));
    expect(wrong).toMatchObject({ name: 'invalid_parameter', statusCode: 422 });
    expect(wrong).toMatchObject({ message: expect.stringContaining('[3].to') });
  });

  test('sends the good ones of a permissive batch, and tells of the others', async () => {
    const { smtp, resend } = await start();
    const batch = [email, { ...email, to: 'nobody' }, { ...email, subject: 'Good' }];
    const { data, errors } = dataOf(await resend.batch.send(batch, { batchValidation: 'permissive' }));
    expect(data).toHaveLength(2);
    expect(errors).toMatchObject([{ index: 1, message: expect.stringContaining('`to`') }]);
    expect(await smtp.waitForMessages(2)).toHaveLength(2);
  });

  test('schedules, puts off and cancels an email', async () => {
    const { smtp, resend } = await start();
    const { id } = dataOf(await resend.emails.send({ ...email, scheduledAt: 'in 1 hour' }));
    const scheduled = dataOf(await resend.emails.get(id));
    expect([scheduled.last_event, scheduled.scheduled_at]).toEqual(['scheduled', expect.any(String)]);
    const later = new Date(Date.now() + 7_200_000).toISOString();
    expect(dataOf(await resend.emails.update({ id, scheduledAt: later }))).toMatchObject({
      object: 'email',
      id,
    });
    expect(dataOf(await resend.emails.get(id)).scheduled_at).toBe(later);
    expect(dataOf(await resend.emails.cancel(id))).toMatchObject({ object: 'email', id });
    expect(dataOf(await resend.emails.get(id)).last_event).toBe('canceled');
    expect(await errorOf(resend.emails.update({ id, scheduledAt: later }))).toMatchObject({
      statusCode: 409,
    });
    const [sent] = dataOf(
      await resend.batch.send([{ ...email, scheduledAt: new Date(Date.now() + 500).toISOString() }]),
    ).data;
    expect(sent?.id).toBeDefined();
    expect(await smtp.waitForMessages(1)).toHaveLength(1);
    expect(await errorOf(resend.emails.cancel(sent?.id ?? ''))).toMatchObject({ statusCode: 409 });
  });

  test('gets an email with everything but its attachments', async () => {
    const { account, resend } = await start();
    const full = {
      ...email,
      cc: ['cc@example.net'],
      bcc: ['bcc@example.net'],
      replyTo: ['re@example.net'],
      html: '<p>Hi</p>',
      tags: [{ name: 'kind', value: 'receipt' }],
    };
    const { id } = dataOf(await resend.emails.send(full));
    await account.client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
    expect(dataOf(await resend.emails.get(id))).toMatchObject({
      object: 'email',
      id,
      from: email.from,
      to: ['one@example.net'],
      cc: full.cc,
      bcc: full.bcc,
      reply_to: full.replyTo,
      subject: email.subject,
      text: email.text,
      html: full.html,
      tags: full.tags,
      last_event: 'delivered',
      scheduled_at: null,
    });
  });

  test('lists emails newest first, forwards and backwards, a page at a time', async () => {
    const { resend } = await start();
    const ids: string[] = [];
    for (let index = 0; index < 7; index++) {
      ids.unshift(dataOf(await resend.emails.send({ ...email, subject: `${index}` })).id);
    }
    const page = async (options: Parameters<Resend['emails']['list']>[0]) => {
      const { object, has_more, data } = dataOf(await resend.emails.list(options));
      expect(object).toBe('list');
      return [data.map(({ id }) => ids.indexOf(id)).join(), has_more];
    };
    expect(await page({})).toEqual(['0,1,2,3,4,5,6', false]);
    expect(await page({ limit: 3 })).toEqual(['0,1,2', true]);
    expect(await page({ limit: 3, after: ids[2] ?? '' })).toEqual(['3,4,5', true]);
    expect(await page({ limit: 3, after: ids[5] ?? '' })).toEqual(['6', false]);
    expect(await page({ limit: 3, before: ids[5] ?? '' })).toEqual(['2,3,4', true]);
    expect(await page({ limit: 3, before: ids[2] ?? '' })).toEqual(['0,1', false]);
  });

  test('lists and gets the attachments of a sent email, whose links need no key', async () => {
    const { account, resend } = await start();
    const files = [randomBytes(2_500_000), randomBytes(70_000)];
    const { id } = dataOf(
      await resend.emails.send({
        ...email,
        attachments: [
          { filename: 'large.bin', content: (files[0] ?? Buffer.alloc(0)).toString('base64') },
          { filename: 'logo.png', content: files[1] ?? '', contentId: 'logo' },
        ],
      }),
    );
    const { data, has_more } = dataOf(await resend.emails.attachments.list({ emailId: id }));
    expect(has_more).toBe(false);
    expect(
      data.map(({ filename, content_disposition, content_id, content_type, size }) => [
        filename,
        content_disposition,
        content_id,
        content_type,
        size,
      ]),
    ).toEqual([
      ['large.bin', 'attachment', undefined, 'application/octet-stream', 2_500_000],
      ['logo.png', 'inline', 'logo', 'image/png', 70_000],
    ]);
    const first = dataOf(await resend.emails.attachments.list({ emailId: id, limit: 1 }));
    expect([first.has_more, first.data.map(({ filename }) => filename)]).toEqual([true, ['large.bin']]);
    for (const [index, attachment] of data.entries()) {
      const got = dataOf(await resend.emails.attachments.get({ emailId: id, id: attachment.id }));
      expect(got).toMatchObject({ object: 'attachment', id: attachment.id, filename: attachment.filename });
      const downloaded = await fetch(got.download_url);
      expect(downloaded.headers.get('content-length')).toBe(String(attachment.size));
      expect(Buffer.from(await downloaded.arrayBuffer()).equals(files[index] ?? Buffer.alloc(0))).toBe(true);
    }
    const missing = resend.emails.attachments.get({ emailId: id, id: 'att_nothing' });
    expect(await errorOf(missing)).toMatchObject({ name: 'not_found', statusCode: 404 });
    await account.client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
  });

  test('creates, lists and removes API keys', async () => {
    const { resend } = await start();
    const created = dataOf(await resend.apiKeys.create({ name: 'Second' }));
    expect(dataOf(await resend.apiKeys.list()).data).toContainEqual(
      expect.objectContaining({ id: created.id, name: 'Second' }),
    );
    expect(dataOf(await sdk(created.token).emails.send(email)).id).toMatch(/^msg_/);
    dataOf(await resend.apiKeys.remove(created.id));
    expect(dataOf(await resend.apiKeys.list()).data.map(({ id }) => id)).not.toContain(created.id);
    expect(await errorOf(resend.apiKeys.remove(created.id))).toMatchObject({
      name: 'not_found',
      statusCode: 404,
    });
  });

  test('creates, lists, gets and removes domains', async () => {
    const { resend } = await start();
    const created = dataOf(await resend.domains.create({ name: 'other.example' }));
    expect(created).toMatchObject({ name: 'other.example', status: 'pending', records: [] });
    const listed = dataOf(await resend.domains.list()).data;
    expect(listed.map(({ name, status }) => `${name} ${status}`).sort()).toEqual([
      'example.com verified',
      'other.example pending',
    ]);
    expect(dataOf(await resend.domains.get(created.id))).toMatchObject({
      object: 'domain',
      name: 'other.example',
    });
    expect(dataOf(await resend.domains.remove(created.id))).toMatchObject({ id: created.id, deleted: true });
    expect(await errorOf(resend.domains.get(created.id))).toMatchObject({
      name: 'not_found',
      statusCode: 404,
    });
  });
});

describe('an error', () => {
  let shared: { account: TestAccount; resend: Resend };

  beforeAll(async () => {
    const account = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: 2525 } });
    shared = { account, resend: sdk(account.client.token) };
  });

  test('without a key is 401 missing_api_key', async () => {
    const call = shared.resend.fetchRequest('/emails', { method: 'GET' });
    expect(await errorOf(call)).toMatchObject({ name: 'missing_api_key', statusCode: 401 });
  });

  test('with a wrong key is 403 invalid_api_key', async () => {
    for (const key of ['re_123456789', `${shared.account.client.token.slice(0, -1)}_`]) {
      expect(await errorOf(sdk(key).emails.send(email))).toMatchObject({
        name: 'invalid_api_key',
        statusCode: 403,
      });
    }
  });

  test('of a restricted key that does more than send is 401 restricted_api_key', async () => {
    const { token } = dataOf(
      await shared.resend.apiKeys.create({ name: 'Sender', permission: 'sending_access' }),
    );
    const refused = { name: 'restricted_api_key', statusCode: 401 };
    expect(await errorOf(sdk(token).emails.list())).toMatchObject(refused);
    expect(await errorOf(sdk(token).domains.list())).toMatchObject(refused);
    expect(await errorOf(sdk(token).apiKeys.create({ name: 'More' }))).toMatchObject(refused);
    dataOf(await sdk(token).emails.send(email));
  });

  test('of a domain that is not verified is 403 validation_error', async () => {
    const call = shared.resend.emails.send({ ...email, from: 'sender@elsewhere.example' });
    expect(await errorOf(call)).toMatchObject({ name: 'validation_error', statusCode: 403 });
  });

  test('for what is not there is 404 not_found', async () => {
    const missing = { name: 'not_found', statusCode: 404 };
    expect(await errorOf(shared.resend.emails.get('msg_000000000000000000000000'))).toMatchObject(missing);
    expect(await errorOf(shared.resend.domains.get('nothing'))).toMatchObject(missing);
    expect(await errorOf(shared.resend.get('/nothing'))).toMatchObject(missing);
  });

  test.each([
    ['to', { to: undefined }, 'missing_required_field'],
    ['from', { from: undefined }, 'missing_required_field'],
    ['subject', { subject: undefined }, 'missing_required_field'],
    ['text', { text: undefined }, 'missing_required_field'],
    ['surprise', { surprise: 1 }, 'invalid_parameter'],
    ['text', { template: { id: 'tpl' } }, 'invalid_parameter'],
    ['template.id', { text: undefined, template: { id: 'tpl' } }, 'invalid_parameter'],
    ['topic_id', { topic_id: 'topic' }, 'invalid_parameter'],
    ['scheduled_at', { scheduled_at: 'tomorrow' }, 'invalid_parameter'],
    [
      'attachments[0].path',
      { attachments: [{ filename: 'a', path: 'https://x.example/a' }] },
      'invalid_parameter',
    ],
    ['from', { from: 'not an address' }, 'invalid_from_address'],
    ['attachments[0].content', { attachments: [{ filename: 'a', content: '*' }] }, 'invalid_attachment'],
  ])('about `%s` is 422 and names it (%j)', async (field, change, name) => {
    const error = await errorOf(shared.resend.post('/emails', { ...email, ...change }));
    expect(error).toMatchObject({ name, statusCode: 422 });
    expect(error).toMatchObject({ message: expect.stringContaining(`\`${field}\``) });
  });

  test('does not come where an email is about a topic of the account', async () => {
    const { resend } = shared;
    const topic = await resend.topics.create({ name: 'News', defaultSubscription: 'opt_in' });
    const sent = await resend.emails.send({ ...email, to: 'one@example.net', topicId: topic.data?.id ?? '' });
    expect(sent.error).toBeNull();
    const found = await resend.emails.get(sent.data?.id ?? '');
    expect(found.data).toMatchObject({ topic_id: topic.data?.id });
    expect((await resend.emails.send({ ...email, to: 'one@example.net', topicId: null })).error).toBeNull();
  });

  test('about a template or a topic comes back through the SDK as well', async () => {
    const refused = { name: 'invalid_parameter', statusCode: 422 };
    const { emails } = shared.resend;
    expect(await errorOf(emails.send({ ...email, topicId: 'topic' }))).toMatchObject(refused);
    const { text: _, ...rest } = email;
    expect(await errorOf(emails.send({ ...rest, template: { id: 'tpl' } }))).toMatchObject({
      statusCode: 422,
    });
  });
});
