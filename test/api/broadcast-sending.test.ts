import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { broadcastCalls } from '../support/broadcast-calls.ts';
import { call, createAccount, jsonOf, letSend, type TestAccount, textAt } from '../support/control-plane.ts';

let account: TestAccount;
let list: string;
const calls = broadcastCalls(() => account);
const { ask, made, read, refusalOf, listOf, untilOver, mailsOf } = calls;
const created = (more: object = {}) => calls.created(list, more);

beforeAll(async () => {
  account = await createAccount();
  // Before the Outbox asks for the first time: what it knows of suppressions is good for a while.
  await made('/v1/suppressions', { email: 'r2@example.com' });
  await letSend(account, 'acme.example', inject('smtpPort'));
  list = await made('/v1/lists', { name: 'Readers' });
});

describe('a broadcast that is sent', () => {
  it('reaches everybody on the list in their own words, once', async () => {
    const property = { key: 'city', type: 'string', fallback_value: 'town' };
    await made('/v1/contact-properties', property);
    const people = await listOf([
      { email: 'ann@example.com', first_name: 'Ann', last_name: 'Lee', properties: { city: 'Rome' } },
      { email: 'mallory@example.com', first_name: '<script>alert(1)</script>&"' },
      { email: 'nameless@example.com' },
      { email: 'gone@example.com', unsubscribed: true },
    ]);
    const id = await created({
      segment_id: people,
      subject: 'News for {{{FIRST_NAME|you}}}',
      html:
        '<html><body class="a>b"><p>Hi {{contact.first_name|friend}} of {{contact.city}}</p>' +
        '<a href="{{{RESEND_UNSUBSCRIBE_URL}}}">end</a> <a href="{{{preferences_url}}}">choose</a></body></html>',
      preview_text: 'For {{contact.first_name|you}} & <all>',
    });
    const answer = await ask(`/v1/broadcasts/${id}/send`, {});
    expect([answer.status, answer.body]).toEqual([
      200,
      { object: 'broadcast', id, status: expect.stringMatching(/^(queued|sending|sent)$/) },
    ]);
    const over = await untilOver(id);
    expect(over).toMatchObject({
      status: 'sent',
      sent_at: expect.stringMatching(/Z$/),
      progress: { total: 3, queued: 3, delivered: 3, failed: 0, skipped: 0, waiting_for: null },
    });
    const mails = await mailsOf(id);
    expect([...mails.keys()].sort()).toEqual([
      'ann@example.com',
      'mallory@example.com',
      'nameless@example.com',
    ]);
    const ann = mails.get('ann@example.com');
    expect(ann).toMatchObject({
      subject: 'News for Ann',
      broadcast_id: id,
      from: 'News <news@acme.example>',
    });
    const html = String(ann?.html);
    expect(html).toMatch(
      /^<html><body class="a>b"><div style="display:none[^"]*">For Ann &amp; &lt;all&gt;<\/div><p>/,
    );
    expect(html).toContain('<p>Hi Ann of Rome</p>');
    const url = /href="(https:\/\/relay\.test\/u\/[^"]+)">end/.exec(html)?.[1] ?? '';
    expect(url).not.toBe('');
    expect(html).toContain(`href="${url.replace('/u/', '/preferences/')}">choose`);
    expect(String(ann?.text)).toContain(url);
    expect(String(ann?.text)).not.toContain('&lt;all');
    const mallory = mails.get('mallory@example.com');
    expect(mallory?.subject).toBe('News for <script>alert(1)</script>&"');
    expect(String(mallory?.html)).toContain('Hi &lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot; of town');
    expect(String(mallory?.html)).not.toContain('<script');
    const nameless = mails.get('nameless@example.com');
    expect(nameless?.subject).toBe('News for you');
    expect(String(nameless?.html)).toContain('Hi friend of town');
    // The link ends all mail of lists, and only for whom it is.
    expect((await call(new URL(url).pathname, { method: 'POST' })).status).toBe(200);
    expect((await ask('/v1/contacts/ann@example.com')).body).toMatchObject({ unsubscribed: true });
    expect((await ask('/v1/contacts/mallory@example.com')).body).toMatchObject({ unsubscribed: false });
  });

  it('is not changed, removed or sent again while it is not over', async () => {
    const people = await listOf([{ email: 'later@example.com' }]);
    const id = await created({ segment_id: people });
    expect((await ask(`/v1/broadcasts/${id}/send`, { scheduled_at: 'in 1 hour' })).body).toEqual({
      object: 'broadcast',
      id,
      status: 'scheduled',
    });
    const time = expect.stringMatching(/Z$/);
    expect(await read(id)).toMatchObject({ status: 'scheduled', scheduled_at: time, sent_at: null });
    const listed = (await ask('/v1/broadcasts?limit=1')).body.data;
    expect(listed).toMatchObject([{ id, status: 'scheduled', scheduled_at: time }]);
    const refused = [409, 'conflict', expect.stringContaining('is scheduled')];
    expect(await refusalOf(`/v1/broadcasts/${id}`, { subject: 'x' }, 'PATCH')).toEqual(refused);
    expect(await refusalOf(`/v1/broadcasts/${id}`, undefined, 'DELETE')).toEqual(refused);
    expect(await refusalOf(`/v1/broadcasts/${id}/send`, {})).toEqual(refused);
    const canceled = await ask(`/v1/broadcasts/${id}/cancel`, {});
    expect([canceled.status, canceled.body]).toEqual([200, { object: 'broadcast', id, status: 'draft' }]);
    expect(await read(id)).toMatchObject({ status: 'draft', scheduled_at: null, progress: null });
    expect((await ask(`/v1/broadcasts/${id}`, { subject: 'After all' }, 'PATCH')).status).toBe(200);
    await ask(`/v1/broadcasts/${id}/send`, {});
    expect(await untilOver(id)).toMatchObject({ status: 'sent', progress: { total: 1, delivered: 1 } });
    expect((await mailsOf(id)).get('later@example.com')).toMatchObject({ subject: 'After all' });
    expect(await refusalOf(`/v1/broadcasts/${id}/send`, {})).toEqual([
      409,
      'conflict',
      expect.stringContaining('is sent'),
    ]);
    expect((await ask(`/v1/broadcasts/${id}`, undefined, 'DELETE')).status).toBe(200);
    expect((await mailsOf(id)).size).toBe(1);
  });

  it('with `send` when it is created is sent at once, or at its time', async () => {
    const people = await listOf([{ email: 'now@example.com' }]);
    const id = await created({ segment_id: people, send: true });
    expect(await untilOver(id)).toMatchObject({ status: 'sent' });
    const later = await created({ segment_id: people, send: true, scheduled_at: 'in 2 days' });
    expect(await read(later)).toMatchObject({ status: 'scheduled' });
    expect((await ask(`/v1/broadcasts/${later}/cancel`, {})).body).toMatchObject({ status: 'draft' });
  });

  it('goes on where a crash came between handing it over and starting it', async () => {
    const people = await listOf([{ email: 'crash@example.com' }]);
    const id = await created({ segment_id: people });
    const handOver = (atMs: number) =>
      env.DB.prepare('UPDATE broadcasts SET handed_over_at = ?, origin = ? WHERE account_id = ? AND id = ?')
        .bind(atMs, 'https://relay.test', account.id, id)
        .run();
    await handOver(Date.now());
    expect(await read(id)).toMatchObject({ status: 'draft' });
    const refused = [409, 'conflict', expect.stringContaining('at this moment')];
    expect(await refusalOf(`/v1/broadcasts/${id}`, { subject: 'x' }, 'PATCH')).toEqual(refused);
    expect(await refusalOf(`/v1/broadcasts/${id}`, undefined, 'DELETE')).toEqual(refused);
    await handOver(Date.now() - 120_000);
    expect((await ask(`/v1/broadcasts/${id}`, { subject: 'x' }, 'PATCH')).status).toBe(200);
    await handOver(Date.now());
    expect((await ask(`/v1/broadcasts/${id}/send`, {})).status).toBe(200);
    expect(await untilOver(id)).toMatchObject({ status: 'sent', progress: { delivered: 1 } });
  });

  it('is none again once the Outbox does not keep it any more', async () => {
    const id = await created();
    await env.DB.prepare(
      'UPDATE broadcasts SET handed_over_at = 1, started_at = 2, ended_as = ? WHERE id = ?',
    )
      .bind('canceled', id)
      .run();
    expect(await read(id)).toMatchObject({ status: 'canceled', progress: null });
    const refused = [409, 'conflict', expect.stringContaining('is canceled')];
    expect(await refusalOf(`/v1/broadcasts/${id}/send`, {})).toEqual(refused);
    expect(await refusalOf(`/v1/broadcasts/${id}`, { name: 'x' }, 'PATCH')).toEqual(refused);
    expect(await refusalOf(`/v1/broadcasts/${id}/cancel`, {})).toEqual(refused);
  });

  it('says what was published of its template when it was sent', async () => {
    const people = await listOf([{ email: 'templated@example.com', first_name: 'Tim' }]);
    const template = {
      name: 'Letter',
      alias: 'letter',
      from: 'Letters <l@acme.example>',
      subject: '{{greeting}}, {{contact.first_name}}',
      html: '<p>{{greeting}} {{contact.first_name}} {{city}}</p><a href="{{{unsubscribe_url}}}">x</a>',
      variables: [
        { key: 'greeting', type: 'string' },
        { key: 'city', type: 'string', fallback_value: 'Rome' },
      ],
    };
    await made('/v1/templates', template);
    await ask('/v1/templates/letter/publish', {});
    const draft = { segment_id: people, template: { id: 'letter', variables: { greeting: 'Ciao' } } };
    const id = await made('/v1/broadcasts', draft);
    const without = await made('/v1/broadcasts', { ...draft, template: { id: 'letter' } });
    expect(await refusalOf(`/v1/broadcasts/${without}/send`, {})).toEqual([
      422,
      'missing_field',
      expect.stringContaining('`template.variables.greeting`'),
    ]);
    await ask(`/v1/broadcasts/${id}/send`, { scheduled_at: 'in 1 hour' });
    expect(await read(id)).toMatchObject({
      from: template.from,
      html: template.html,
      subject: template.subject,
    });
    await ask('/v1/templates/letter', { html: 'changed' }, 'PATCH');
    await ask('/v1/templates/letter/publish', {});
    expect(await read(id)).toMatchObject({ html: template.html });
    await ask(`/v1/broadcasts/${id}/cancel`, {});
    await ask('/v1/templates/letter', { html: template.html }, 'PATCH');
    await ask('/v1/templates/letter/publish', {});
    await ask(`/v1/broadcasts/${id}/send`, {});
    await untilOver(id);
    const mail = (await mailsOf(id)).get('templated@example.com');
    expect(mail).toMatchObject({ subject: 'Ciao, Tim', from: template.from });
    expect(String(mail?.html)).toMatch(/^<p>Ciao Tim Rome<\/p><a href="https:\/\/relay\.test\/u\//);
  });

  it('tells whom it reached, and refuses what is not recorded', async () => {
    const people = await listOf([{ email: 'r1@example.com' }, { email: 'r2@example.com' }]);
    const id = await created({ segment_id: people, send: true });
    expect(await untilOver(id)).toMatchObject({ progress: { total: 2, delivered: 1, suppressed: 1 } });
    const recipients = async (query: string) =>
      ((await ask(`/v1/broadcasts/${id}/recipients?${query}`)).body.data as readonly object[]).map((one) =>
        textAt(one, 'email'),
      );
    expect((await recipients('type=sent')).sort()).toEqual(['r1@example.com', 'r2@example.com']);
    expect(await recipients('type=delivered')).toEqual(['r1@example.com']);
    expect(await recipients('type=suppressed')).toEqual(['r2@example.com']);
    expect(await recipients('type=bounced')).toEqual([]);
    expect(await recipients('type=sent&email=R2@example.com')).toEqual(['r2@example.com']);
    const contact = (await ask('/v1/contacts/r1@example.com')).body;
    const [row] = (await ask(`/v1/broadcasts/${id}/recipients?type=delivered`)).body
      .data as readonly object[];
    expect(row).toEqual({
      id: expect.stringMatching(/^msg_/),
      contact_id: contact.id,
      email: 'r1@example.com',
      email_id: textAt(row, 'id'),
      status: 'delivered',
    });
    for (const type of ['opened', 'clicked', 'complained', 'unsubscribed']) {
      const refusal = await refusalOf(`/v1/broadcasts/${id}/recipients?type=${type}`);
      expect(refusal).toEqual([422, 'field_refused', expect.stringContaining('`type`')]);
    }
    expect((await ask(`/v1/broadcasts/${id}/recipients?type=delivered&bounce_type=permanent`)).status).toBe(
      422,
    );
    expect((await ask(`/v1/broadcasts/${id}/recipients?email=nobody`)).body.message).toContain('`email`');
  });
});

describe('an Idempotency-Key', () => {
  const post = async (body: object, key: string) => {
    const headers = { 'idempotency-key': key };
    const response = await call('/v1/broadcasts', { key: account.key, body, headers });
    return { status: response.status, body: await jsonOf(response) };
  };

  it('makes one broadcast of a request that is repeated, and one email to each', async () => {
    const people = await listOf([{ email: 'once@example.com' }]);
    const body = calls.written(people, { send: true });
    const first = await post(body, 'send-once');
    expect(first.status).toBe(201);
    await untilOver(textAt(first.body, 'id'));
    expect(await post(body, 'send-once')).toEqual(first);
    const { data } = (await ask('/v1/emails?recipient=once@example.com')).body;
    expect(data).toHaveLength(1);
    const other = await post({ ...body, subject: 'Other' }, 'send-once');
    expect([other.status, other.body.code]).toEqual([409, 'idempotency_mismatch']);
    expect((await post(body, 'another')).body.id).not.toBe(first.body.id);
    expect((await post(body, 'ä')).status).toBe(400);
  });

  it('sends what a crash has left unsent, and nothing that was taken back', async () => {
    const people = await listOf([{ email: 'left@example.com' }]);
    const body = calls.written(people, { send: true, scheduled_at: 'in 1 hour' });
    const id = textAt((await post(body, 'left')).body, 'id');
    expect(await read(id)).toMatchObject({ status: 'scheduled' });
    await ask(`/v1/broadcasts/${id}/cancel`, {});
    expect(textAt((await post(body, 'left')).body, 'id')).toBe(id);
    expect(await read(id)).toMatchObject({ status: 'draft' });
    // As it was before it was handed over.
    await env.DB.prepare('UPDATE broadcasts SET updated_at = created_at WHERE account_id = ? AND id = ?')
      .bind(account.id, id)
      .run();
    expect(textAt((await post(body, 'left')).body, 'id')).toBe(id);
    expect(await read(id)).toMatchObject({ status: 'scheduled' });
  });
});

describe('a test of a broadcast', () => {
  it('goes to one address with sample data, and is no part of it', async () => {
    const id = await created({
      subject: 'For {{contact.first_name|you}}',
      html: '<p>{{contact.email}}</p><a href="{{{unsubscribe_url}}}">x</a>',
    });
    const body = { to: 'me@example.com', contact: { first_name: 'Eve' } };
    const headers = { 'idempotency-key': 'a-test' };
    const send = async () =>
      (await call(`/v1/broadcasts/${id}/test`, { key: account.key, body, headers })).json();
    const sent = await send();
    const email = (await ask(`/v1/emails/${textAt(sent, 'id')}`)).body;
    expect(email).toMatchObject({ subject: 'For Eve', to: ['me@example.com'], broadcast_id: null });
    expect(String(email.html)).toMatch(
      /^<p>me@example\.com<\/p><a href="https:\/\/relay\.test\/u\/acc_[^"]+">x/,
    );
    expect(textAt(await send(), 'id')).toBe(email.id);
    expect(await read(id)).toMatchObject({ status: 'draft' });
    expect((await mailsOf(id)).size).toBe(0);
    const unknown = { to: 'me@example.com', contact: { properties: { none: 1 } } };
    expect(await refusalOf(`/v1/broadcasts/${id}/test`, unknown)).toEqual([
      422,
      'invalid_field',
      expect.stringContaining('`contact.properties.none`'),
    ]);
  });
});
