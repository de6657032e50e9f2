import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { newId } from '../../src/ids.ts';
import {
  call,
  callAsOperator,
  createAccount,
  type JsonObject,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

let account: TestAccount;

const post = (path: string, body?: unknown, headers = {}) =>
  call(path, { key: account.key, method: 'POST', headers, ...(body !== undefined && { body }) });
const get = async (path: string) => jsonOf(await call(path, { key: account.key }));
const change = (id: string, body: unknown) =>
  call(`/v1/templates/${id}`, { key: account.key, method: 'PATCH', body });
const refusalOf = async (response: Response) => {
  const body = await jsonOf(response);
  return [response.status, body.code, body.message];
};

async function created(body: object): Promise<string> {
  const response = await post('/v1/templates', {
    name: 'A template',
    html: '<p>Hello {{name}}</p>',
    ...body,
  });
  const answer = await jsonOf(response);
  expect([response.status, answer]).toEqual([201, { object: 'template', id: answer.id }]);
  return textAt(answer, 'id');
}

async function published(body: object): Promise<string> {
  const id = await created({ from: 'Shop <a@acme.example>', subject: 'Hello {{name}}', ...body });
  expect((await post(`/v1/templates/${id}/publish`)).status).toBe(200);
  return id;
}

const email = (template: object, more: object = {}) => ({ to: 'b@example.com', template, ...more });

async function sent(body: unknown, headers = {}): Promise<JsonObject> {
  const response = await post('/v1/emails', body, headers);
  const answer = await jsonOf(response);
  expect([response.status, answer]).toEqual([200, expect.anything()]);
  return get(`/v1/emails/${textAt(answer, 'id')}`);
}

beforeAll(async () => {
  account = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${account.id}/domains/acme.example`, { method: 'PUT', body: {} });
  await post('/v1/relays', { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' });
});

describe('templates', () => {
  it('are created as a draft, read by id and by alias, published, and removed', async () => {
    const variables = [
      { key: 'name', type: 'string', fallback_value: 'you' },
      { key: 'count', type: 'number' },
    ];
    const id = await created({ alias: 'welcome', subject: 'Hi', reply_to: 'r@acme.example', variables });
    const draft = await get(`/v1/templates/${id}`);
    const time = expect.stringMatching(/Z$/);
    expect(draft).toEqual({
      object: 'template',
      id,
      name: 'A template',
      alias: 'welcome',
      status: 'draft',
      published_at: null,
      created_at: time,
      updated_at: time,
      current_version_id: expect.stringMatching(/^tpv_/),
      has_unpublished_versions: true,
      from: null,
      subject: 'Hi',
      reply_to: ['r@acme.example'],
      html: '<p>Hello {{name}}</p>',
      text: null,
      variables: [
        { key: 'name', type: 'string', fallback_value: 'you', created_at: time, updated_at: time },
        { key: 'count', type: 'number', fallback_value: null, created_at: time, updated_at: time },
      ],
    });
    expect(await get('/v1/templates/welcome')).toEqual(draft);
    expect((await post('/v1/templates/welcome/publish')).status).toBe(200);
    const now = await get(`/v1/templates/${id}`);
    expect(now).toMatchObject({ status: 'published', published_at: time, has_unpublished_versions: false });
    expect(now.current_version_id).toBe(draft.current_version_id);
    const list = (await get('/v1/templates')).data as readonly JsonObject[];
    expect(list.find((template) => template.id === id)).toEqual({
      id,
      name: 'A template',
      alias: 'welcome',
      status: 'published',
      published_at: time,
      created_at: time,
      updated_at: time,
    });
    const gone = await call('/v1/templates/welcome', { key: account.key, method: 'DELETE' });
    expect(await jsonOf(gone)).toEqual({ object: 'template', id, deleted: true });
    expect((await call(`/v1/templates/${id}`, { key: account.key })).status).toBe(404);
    expect((await call('/v1/templates/welcome', { key: account.key })).status).toBe(404);
  });

  it('keep what is published until the next version is published', async () => {
    const id = await published({ html: 'one {{name}}' });
    const template = { id, variables: { name: 'Ann' } };
    const first = await get(`/v1/templates/${id}`);
    expect((await change(id, { html: 'two {{name}}' })).status).toBe(200);
    const edited = await get(`/v1/templates/${id}`);
    expect(edited).toMatchObject({
      html: 'two {{name}}',
      status: 'published',
      has_unpublished_versions: true,
    });
    expect(edited.current_version_id).not.toBe(first.current_version_id);
    const before = await sent(email(template));
    expect(before.html).toBe('one Ann');
    await post(`/v1/templates/${id}/publish`);
    expect((await sent(email(template))).html).toBe('two Ann');
    await call(`/v1/templates/${id}`, { key: account.key, method: 'DELETE' });
    // What was accepted is what was rendered.
    expect(await get(`/v1/emails/${before.id}`)).toMatchObject({ html: 'one Ann', template_id: id });
  });

  it('leave no version behind that is neither edited nor published', async () => {
    const id = await published({});
    for (const html of ['2', '3', '4']) await change(id, { html });
    const count = () =>
      env.DB.prepare('SELECT count(*) AS n FROM template_versions WHERE "account_id" = ? AND template_id = ?')
        .bind(account.id, id)
        .first('n');
    expect(await count()).toBe(2);
    await post(`/v1/templates/${id}/publish`);
    expect(await count()).toBe(1);
    expect(await get(`/v1/templates/${id}`)).toMatchObject({ html: '4' });
  });

  it('lose no edit when several are made at the same time', async () => {
    const id = await created({});
    const parts = { name: 'New', subject: 'New', text: 'New' };
    const answers = await Promise.all(
      Object.entries(parts).map(([field, text]) => change(id, { [field]: text })),
    );
    const done = Object.fromEntries(
      Object.entries(parts).filter((_part, index) => answers[index]?.status === 200),
    );
    expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true);
    expect(await get(`/v1/templates/${id}`)).toMatchObject(done);
  });

  it('take fields away with null, and leave what a change does not name', async () => {
    const id = await created({ alias: 'taken-away', subject: 'S', text: 'T', from: 'a@acme.example' });
    await change(id, { subject: null, alias: null });
    expect(await get(`/v1/templates/${id}`)).toMatchObject({ subject: null, alias: null, text: 'T' });
    await created({ alias: 'taken-away' });
  });

  it('are copied as a draft without the alias', async () => {
    const id = await published({ alias: 'original', html: 'x' });
    const copy = textAt(await jsonOf(await post('/v1/templates/original/duplicate')), 'id');
    expect(copy).not.toBe(id);
    expect(await get(`/v1/templates/${copy}`)).toMatchObject({
      name: 'A template (copy)',
      alias: null,
      status: 'draft',
      html: 'x',
    });
  });

  it('have an alias that is unique in the account only', async () => {
    const id = await created({ alias: 'unique' });
    const again = await post('/v1/templates', { name: 'x', html: 'x', alias: 'unique' });
    const taken = [409, 'conflict', 'Another template of this account has this alias.'];
    expect(await refusalOf(again)).toEqual(taken);
    const other = await created({});
    expect(await refusalOf(await change(other, { alias: 'unique' }))).toEqual(taken);
    expect((await change(id, { alias: 'unique' })).status).toBe(200);
    const stranger = await createAccount();
    const body = { name: 'x', html: 'x', alias: 'unique' };
    expect((await call('/v1/templates', { key: stranger.key, body })).status).toBe(201);
  });

  const huge = 'x'.repeat(300 * 1024);
  it.each([
    [{ html: 'a\n{{#if x}}' }, 'Invalid `html` field: line 2, column 1: `if` is never closed.'],
    [{ subject: '{{' }, 'Invalid `subject` field: line 1, column 1: the tag is never closed.'],
    [{ text: '{{> x}}' }, 'Invalid `text` field: line 1, column 1: partials are not supported.'],
    [{ html: 'a\0' }, 'Invalid `html` field: must not contain NUL.'],
    [
      { html: huge, text: huge },
      'Invalid `html` field: `html`, `text` and `subject` are longer than 500 KiB together.',
    ],
    [{ alias: newId('template') }, 'Invalid `alias` field: looks like the id of a template.'],
    [{ alias: 'a/b' }, 'Invalid `alias` field: does not have the right form.'],
    [{ reply_to: ['nobody'] }, expect.stringMatching(/^Invalid `reply_to/)],
    [
      { variables: [{ key: 'EMAIL', type: 'string' }] },
      'Invalid `variables[0].key` field: is a reserved name.',
    ],
    [
      {
        variables: [
          { key: 'a', type: 'string' },
          { key: 'a', type: 'number' },
        ],
      },
      'Invalid `variables[1].key` field: is given twice.',
    ],
    [
      { variables: [{ key: 'a', type: 'number', fallback_value: 'x' }] },
      'Invalid `variables[0].fallback_value` field: must be a number.',
    ],
    [
      { variables: [{ key: 'a', type: 'string', fallback_value: 'x'.repeat(70_000) }] },
      'Invalid `variables` field: longer than 64 KiB together.',
    ],
  ])('refuse %.80j', async (body, message) => {
    const response = await post('/v1/templates', { name: 'x', html: 'x', ...body });
    expect(await refusalOf(response)).toEqual([422, 'invalid_field', message]);
  });

  it('lie in D1 with nothing of them to be read', async () => {
    const id = await created({ name: 'Zanzibar', alias: 'zanzibar', subject: 'Zanzibar', html: 'Zanzibar' });
    const rows = await env.DB.batch<Record<string, unknown>>(
      ['templates', 'template_versions', 'audit_log'].map((table) =>
        env.DB.prepare(`SELECT * FROM ${table} WHERE "account_id" = ?`).bind(account.id),
      ),
    );
    const raw = rows
      .flatMap(({ results }) => results.flatMap((row) => Object.values(row)))
      .map((value) => (Array.isArray(value) ? Buffer.from(value).toString('latin1') : String(value)))
      .join('\n');
    expect(raw).toContain(id);
    expect(raw).not.toMatch(/zanzibar/i);
  });
});

describe('an email written as a template', () => {
  it('takes sender, subject and reply address from the template, or from the request', async () => {
    const id = await published({ alias: 'order', reply_to: ['r@acme.example'] });
    const own = await sent(email({ id: 'order', variables: { name: '<Ann>' } }));
    expect(own).toMatchObject({
      from: 'Shop <a@acme.example>',
      reply_to: ['r@acme.example'],
      subject: 'Hello <Ann>',
      html: '<p>Hello &lt;Ann&gt;</p>',
      text: 'Hello <Ann>',
      template_id: id,
    });
    const other = { from: 'b@acme.example', subject: 'Mine {{name}}', reply_to: 'x@acme.example' };
    const given = await sent(email({ id, variables: { name: 'Ann' } }, other));
    expect(given).toMatchObject({ ...other, reply_to: ['x@acme.example'] });
    const plain = { from: 'a@acme.example', to: 'b@example.com', subject: 'x', text: 'x' };
    expect((await sent(plain)).template_id).toBeNull();
  });

  it('is refused where a variable is missing or of another type, by its name', async () => {
    const variables = [
      { key: 'price', type: 'number' },
      { key: 'currency', type: 'string', fallback_value: 'EUR' },
    ];
    const id = await published({
      html: '{{name}} {{price}} {{currency}} {{#each list}}{{this}}{{/each}}',
      variables,
    });
    const refused = async (values: object) =>
      refusalOf(await post('/v1/emails', email({ id, variables: values })));
    const missing = (name: string) => [422, 'missing_field', `Missing \`template.variables.${name}\` field.`];
    const wrong = (name: string, reason: string) => [
      422,
      'invalid_field',
      `Invalid \`template.variables.${name}\` field: ${reason}.`,
    ];
    expect(await refused({ name: 'x' })).toEqual(missing('price'));
    expect(await refused({ price: 1 })).toEqual(missing('name'));
    expect(await refused({ price: null, name: 'x' })).toEqual(missing('price'));
    expect(await refused({ price: '1', name: 'x' })).toEqual(wrong('price', 'must be a number'));
    expect(await refused({ price: 1, name: {} })).toEqual(
      wrong('name', 'must be a text, a number or a boolean'),
    );
    expect(await refused({ price: 1, name: 'x', list: 'y' })).toEqual(wrong('list', 'must be a list'));
    expect((await sent(email({ id, variables: { price: 1.5, name: 'x' } }))).html).toBe('x 1.5 EUR ');
  });

  it('is refused with html or text beside it, and for a template that is not published or not there', async () => {
    const draft = await created({ from: 'a@acme.example', subject: 'x', html: 'x' });
    const id = await published({ html: 'x', subject: 'x' });
    expect(await refusalOf(await post('/v1/emails', email({ id }, { html: 'x' })))).toEqual([
      422,
      'field_refused',
      'The `html` field is refused: cannot be used together with `template`.',
    ]);
    const reason = 'Invalid `template.id` field: this account has no published template of this id or alias.';
    for (const missing of [draft, newId('template'), 'no-such-alias']) {
      expect(await refusalOf(await post('/v1/emails', email({ id: missing })))).toEqual([
        422,
        'invalid_field',
        reason,
      ]);
    }
    const bare = textAt(await jsonOf(await post('/v1/templates', { name: 'x', html: 'x' })), 'id');
    await post(`/v1/templates/${bare}/publish`);
    expect(await refusalOf(await post('/v1/emails', email({ id: bare })))).toEqual([
      422,
      'missing_field',
      'Missing `from` field.',
    ]);
  });

  it('cannot be of another account', async () => {
    const stranger = await createAccount();
    const body = { name: 'x', alias: 'theirs', from: 'a@acme.example', subject: 'x', html: 'x' };
    const id = textAt(await jsonOf(await call('/v1/templates', { key: stranger.key, body })), 'id');
    await call(`/v1/templates/${id}/publish`, { key: stranger.key, method: 'POST' });
    for (const theirs of [id, 'theirs']) {
      expect((await refusalOf(await post('/v1/emails', email({ id: theirs }))))[2]).toMatch(
        /no published template/,
      );
    }
  });

  it.each(['\r\nBcc: c@example.com', '\nX-Header: 1', '\u2028x', '\0'])(
    'cannot get another header by %j in a subject',
    async (hostile) => {
      const id = await published({ html: 'x' });
      const response = await post('/v1/emails', email({ id, variables: { name: hostile } }));
      const [status, , message] = await refusalOf(response);
      expect([status, message]).toEqual([
        422,
        expect.stringMatching(/`subject` field: .*control characters/),
      ]);
    },
  );

  it.each(['__proto__', 'constructor', 'prototype'])('takes no variable of the name %s', async (name) => {
    const id = await published({ html: 'x', subject: 'x' });
    const body = `{"to":"b@example.com","template":{"id":"${id}","variables":{"${name}":{"a":"b"}}}}`;
    expect((await refusalOf(await post('/v1/emails', body)))[0]).toBe(400);
  });

  it('is the same request when another version was published in between, and another with other variables', async () => {
    const id = await published({ html: 'one {{name}}' });
    const attachments = [{ filename: 'a.txt', content: 'YQ==' }];
    const body = email({ id, variables: { name: 'Ann' } }, { attachments });
    const headers = { 'idempotency-key': id };
    const first = await sent(body, headers);
    await change(id, { html: 'two {{name}}', subject: 'two', from: 'b@acme.example' });
    await post(`/v1/templates/${id}/publish`);
    expect(await sent(body, headers)).toMatchObject({ id: first.id, html: 'one Ann' });
    for (const other of [
      email({ id, variables: { name: 'Bob' } }, { attachments }),
      { ...body, attachments: [{ filename: 'a.txt', content: 'Yg==' }] },
      { ...body, subject: 'Hello Ann' },
    ]) {
      expect((await refusalOf(await post('/v1/emails', other, headers)))[1]).toBe('idempotency_mismatch');
    }
  });

  it('goes in a batch, whose errors name the place; and in a dry run', async () => {
    const id = await published({});
    const good = email({ id, variables: { name: 'Ann' } });
    const bad = email({ id });
    expect(await refusalOf(await post('/v1/emails/batch', [good, bad]))).toEqual([
      422,
      'missing_field',
      'Missing `[1].template.variables.name` field.',
    ]);
    const permissive = await post('/v1/emails/batch', [bad, good], { 'x-batch-validation': 'permissive' });
    const { data, errors } = await jsonOf(permissive);
    expect(errors).toMatchObject([{ index: 0, code: 'missing_field' }]);
    expect(await get(`/v1/emails/${textAt(data, 0, 'id')}`)).toMatchObject({ html: '<p>Hello Ann</p>' });
    const dry = await jsonOf(await post('/v1/emails?dry_run=true', good));
    expect(dry).toMatchObject({ subject: 'Hello Ann', template_id: id });
    expect(Buffer.from(textAt(dry, 'mime_base64'), 'base64').toString()).toContain('<p>Hello Ann</p>');
  });

  it('about a topic has the links by which its reader ends it, those of its header', async () => {
    const topic = textAt(
      await jsonOf(await post('/v1/topics', { name: 'Offers', default_subscription: 'opt_in' })),
      'id',
    );
    const html =
      '{{#if unsubscribe_url}}<a href="{{unsubscribe_url}}">end</a>{{/if}}<a href="{{{preferences_url}}}">all</a>';
    const id = await published({ html, subject: 'x', text: '{{{RESEND_UNSUBSCRIBE_URL}}}' });
    const body = email({ id }, { topic_id: topic });
    const headers = { 'idempotency-key': 'with-links' };
    const mail = await sent(body, headers);
    const url = String(mail.text);
    expect(url).toMatch(/^https:\/\/relay\.test\/u\/acc_[^"]+$/);
    const preferences = url.replace('/u/', '/preferences/');
    expect(mail.html).toBe(`<a href="${url}">end</a><a href="${preferences}">all</a>`);
    // The page shows that the link is one.
    expect((await call(new URL(url).pathname)).status).toBe(200);
    expect((await sent(body, headers)).id).toBe(mail.id);
    const dry = await jsonOf(await post('/v1/emails?dry_run=true', body));
    const mime = Buffer.from(textAt(dry, 'mime_base64'), 'base64')
      .toString()
      .replace(/=?\r\n[ \t]*/g, '');
    const named = /List-Unsubscribe: ?<([^>]+)>/.exec(mime)?.[1] ?? 'none';
    expect(mime.split(named).length).toBeGreaterThan(3);
    // Without a topic there is nothing to end; and a value of one's own is one's own.
    expect(await refusalOf(await post('/v1/emails', email({ id })))).toEqual([
      422,
      'missing_field',
      expect.stringContaining('preferences_url'),
    ]);
    const variables = { unsubscribe_url: 'https://a.example/u', preferences_url: 'b' };
    const own = await sent(email({ id, variables: { ...variables, RESEND_UNSUBSCRIBE_URL: 'c' } }));
    expect(own).toMatchObject({
      html: '<a href="https://a.example/u">end</a><a href="b">all</a>',
      text: 'c',
    });
  });

  it('is bounded in a batch by what all of them make together', async () => {
    const id = await published({ subject: 'x', html: '{{#each a}}{{b}}{{/each}}', text: '' });
    const a = Array.from({ length: 1000 }, () => 1);
    const big = email({ id, variables: { a, b: 'x'.repeat(1000) } });
    const reason = 'the templates of this request make more than 8 MiB together';
    expect(await refusalOf(await post('/v1/emails/batch', Array(100).fill(big)))).toEqual([
      422,
      'invalid_field',
      `Invalid \`[8].template\` field: ${reason}.`,
    ]);
    // Those that are refused were rendered too.
    const tooBig = email({ id, variables: { a, b: 'x'.repeat(2000) } });
    const small = email({ id, variables: { a: [1], b: 'x' } });
    const items = [small, ...Array(8).fill(tooBig), big];
    const permissive = await post('/v1/emails/batch', items, { 'x-batch-validation': 'permissive' });
    const { data, errors } = await jsonOf(permissive);
    expect(data).toHaveLength(1);
    const code = 'invalid_field';
    const message = `Invalid \`template\` field: ${reason}.`;
    expect(errors).toHaveLength(9);
    expect(errors).toContainEqual({ index: 9, code, message });
  });
});

describe('preview and test', () => {
  it('show and send the draft, and show what is published where it is asked for', async () => {
    const id = await published({ html: 'old {{name}}' });
    await change(id, { html: 'new {{name}}', text: 'plain {{{name}}}' });
    const { current_version_id: version } = await get(`/v1/templates/${id}`);
    const variables = { name: 'A&B' };
    expect(await jsonOf(await post(`/v1/templates/${id}/preview`, { variables }))).toEqual({
      object: 'template_preview',
      id,
      version_id: version,
      subject: 'Hello A&B',
      html: 'new A&amp;B',
      text: 'plain A&B',
    });
    const old = await post(`/v1/templates/${id}/preview`, { variables, version: 'published' });
    expect(await jsonOf(old)).toMatchObject({ html: 'old A&amp;B', text: 'old A&B' });
    const answer = await jsonOf(await post(`/v1/templates/${id}/test`, { to: 'me@example.com', variables }));
    expect(await get(`/v1/emails/${textAt(answer, 'id')}`)).toMatchObject({
      to: ['me@example.com'],
      html: 'new A&amp;B',
      template_id: id,
    });
    for (const path of ['preview', 'test']) {
      const refused = await post(
        `/v1/templates/${id}/${path}`,
        path === 'test' ? { to: 'me@example.com' } : {},
      );
      expect(await refusalOf(refused)).toEqual([422, 'missing_field', 'Missing `variables.name` field.']);
    }
  });

  it('are bounded in what a template may make of its variables', async () => {
    const id = await published({ html: '{{#each a}}{{#each a}}{{b}}{{/each}}{{/each}}', subject: 'x' });
    const a = Array.from({ length: 1000 }, () => 1);
    const preview = (variables: object) => post(`/v1/templates/${id}/preview`, { variables });
    expect((await refusalOf(await preview({ a, b: '' })))[2]).toMatch(/more than 100000 steps/);
    expect((await refusalOf(await preview({ a, b: 'x'.repeat(1000) })))[2]).toMatch(/longer than 1 MiB/);
  });
});
