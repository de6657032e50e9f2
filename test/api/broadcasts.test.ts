import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { newId } from '../../src/ids.ts';
import { broadcastCalls } from '../support/broadcast-calls.ts';
import { createAccount, letSend, type TestAccount, textAt } from '../support/control-plane.ts';

let account: TestAccount;
let list: string;
let topic: string;
const calls = broadcastCalls(() => account);
const { ask, made, read, refusalOf, written } = calls;
const created = (more: object = {}) => calls.created(list, more);

beforeAll(async () => {
  account = await createAccount();
  await letSend(account, 'acme.example', inject('smtpPort'));
  list = await made('/v1/lists', { name: 'Readers' });
  topic = await made('/v1/topics', { name: 'Offers', default_subscription: 'opt_in' });
});

describe('a draft', () => {
  it('is created, read, listed, changed, copied and removed', async () => {
    const id = await created({
      name: 'May',
      reply_to: 'r@acme.example',
      preview_text: 'Hi',
      topic_id: topic,
    });
    const draft = await read(id);
    const time = expect.stringMatching(/Z$/);
    expect(draft).toEqual({
      object: 'broadcast',
      id,
      name: 'May',
      segment_id: list,
      audience_id: list,
      list_id: list,
      topic_id: topic,
      status: 'draft',
      created_at: time,
      scheduled_at: null,
      sent_at: null,
      from: 'News <news@acme.example>',
      subject: 'News',
      reply_to: ['r@acme.example'],
      preview_text: 'Hi',
      html: '<p>Hello {{contact.first_name|there}}</p>',
      text: null,
      template: null,
      reason: null,
      progress: null,
    });
    const change = { subject: 'Other', text: 'Hello', topic_id: null, reply_to: null };
    expect((await ask(`/v1/broadcasts/${id}`, change, 'PATCH')).body).toEqual({ object: 'broadcast', id });
    expect(await read(id)).toMatchObject({ ...change, name: 'May', html: draft.html, preview_text: 'Hi' });
    const { body } = await ask(`/v1/broadcasts/${id}/duplicate`, {});
    const copy = textAt(body, 'id');
    expect(await read(copy)).toMatchObject({ name: 'May (copy)', subject: 'Other', status: 'draft' });
    const { data } = (await ask('/v1/broadcasts?limit=2')).body;
    expect(data).toMatchObject([{ id: copy }, { id, name: 'May', status: 'draft', segment_id: list }]);
    expect((await ask(`/v1/broadcasts?after=${copy}&limit=1`)).body.data).toMatchObject([{ id }]);
    for (const one of [id, copy]) {
      const removed = await ask(`/v1/broadcasts/${one}`, undefined, 'DELETE');
      expect(removed.body).toEqual({ object: 'broadcast', id: one, deleted: true });
      expect((await ask(`/v1/broadcasts/${one}`)).status).toBe(404);
    }
  });

  it('takes the list under each of its names, and no two of them', async () => {
    for (const name of ['segment_id', 'audience_id', 'list_id']) {
      const id = await created({ segment_id: undefined, [name]: list });
      expect(await read(id)).toMatchObject({ segment_id: list, audience_id: list, list_id: list });
    }
    expect((await ask('/v1/broadcasts', written(list, { audience_id: list }))).status).toBe(201);
    expect(await refusalOf('/v1/broadcasts', written(list, { audience_id: newId('list') }))).toEqual([
      422,
      'invalid_field',
      expect.stringContaining('`audience_id`'),
    ]);
  });

  it.each<[object, string, string]>([
    [{ segment_id: undefined }, 'missing_field', '`segment_id`'],
    [{ segment_id: newId('list') }, 'invalid_field', '`segment_id`'],
    [{ segment_id: undefined, audience_id: newId('list') }, 'invalid_field', '`audience_id`'],
    [{ topic_id: newId('topic') }, 'invalid_field', '`topic_id`'],
    [{ from: undefined }, 'missing_field', '`from`'],
    [{ from: 'nobody' }, 'invalid_from', '`from`'],
    [{ subject: undefined }, 'missing_field', '`subject`'],
    [{ subject: 'a\nb' }, 'invalid_field', '`subject`'],
    [{ html: undefined }, 'missing_field', '`html` or `text`'],
    [{ html: '{{#if}}' }, 'invalid_field', '`html`'],
    [{ html: 'a\0b' }, 'invalid_field', '`html`'],
    [{ text: '{{/each}}' }, 'invalid_field', '`text`'],
    [{ preview_text: '{{' }, 'invalid_field', '`preview_text`'],
    [{ reply_to: ['a@b.example', 'x'] }, 'invalid_field', '`reply_to[1]`'],
    [{ template: { id: 'none' } }, 'field_refused', '`html`'],
    [{ html: undefined, template: { id: 'none' } }, 'invalid_field', '`template.id`'],
    [
      { html: undefined, template: { id: 'none', variables: { contact: 'x' } } },
      'invalid_field',
      '`template.variables.contact`',
    ],
    [{ scheduled_at: 'in 1 hour' }, 'invalid_field', '`scheduled_at`'],
    [{ send: true, scheduled_at: 'soon' }, 'invalid_field', '`scheduled_at`'],
    [{ send: true, from: 'a@other.example' }, 'domain_not_verified', '`from`'],
    [{ react: {} }, 'unknown_field', '`react`'],
  ])('with %j is refused as %s and names %s', async (more, code, field) => {
    const before = (await ask('/v1/broadcasts?limit=1')).body;
    const [status, found, message] = await refusalOf('/v1/broadcasts', written(list, more));
    expect([found, message]).toEqual([code, expect.stringContaining(field)]);
    expect(status).toBe(code === 'domain_not_verified' ? 403 : 422);
    expect((await ask('/v1/broadcasts?limit=1')).body).toEqual(before);
  });

  it('of more than 500 KiB is refused', async () => {
    const [, code, message] = await refusalOf(
      '/v1/broadcasts',
      written(list, { html: 'x'.repeat(500 * 1024) }),
    );
    expect([code, message]).toEqual(['invalid_field', expect.stringContaining('`html`')]);
  });

  it('has nothing to be canceled, paused or resumed', async () => {
    const id = await created();
    for (const verb of ['cancel', 'pause', 'resume']) {
      const refusal = await refusalOf(`/v1/broadcasts/${id}/${verb}`, {});
      expect(refusal).toEqual([409, 'conflict', expect.stringContaining('is a draft')]);
    }
  });

  it('whose list or topic is gone cannot be sent, and stays', async () => {
    const other = await made('/v1/lists', { name: 'Gone' });
    const ended = await made('/v1/topics', { name: 'Gone', default_subscription: 'opt_in' });
    const ids = [await created({ segment_id: other }), await created({ topic_id: ended })];
    await ask(`/v1/lists/${other}`, undefined, 'DELETE');
    await ask(`/v1/topics/${ended}`, undefined, 'DELETE');
    for (const id of ids) {
      const refusal = await refusalOf(`/v1/broadcasts/${id}/send`, {});
      expect(refusal).toEqual([409, 'conflict', expect.stringContaining('was deleted')]);
      expect(await read(id)).toMatchObject({ status: 'draft' });
    }
    await ask(`/v1/broadcasts/${ids[0]}`, { segment_id: list }, 'PATCH');
    expect((await ask(`/v1/broadcasts/${ids[0]}/send`, {})).status).toBe(200);
  });

  it('says nothing in the clear in D1', async () => {
    const word = `canary${crypto.randomUUID().replaceAll('-', '')}`;
    await created({ name: word, subject: word, html: word, text: word, preview_text: word });
    const rows = await env.DB.prepare('SELECT * FROM broadcasts WHERE account_id = ?').bind(account.id).all();
    expect(rows.results.length).toBeGreaterThan(0);
    const bytes = rows.results
      .flatMap((row) => Object.values(row))
      .map((value) => (Array.isArray(value) ? Buffer.from(value).toString('latin1') : String(value)));
    expect(bytes.join()).not.toContain(word);
    expect(bytes.join()).toContain(list);
  });
});
