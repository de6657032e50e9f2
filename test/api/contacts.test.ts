import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { call, createAccount, jsonOf, letSend, type TestAccount, textAt } from '../support/control-plane.ts';
import { RAW } from '../support/statement-tap.ts';

let account: TestAccount;
const ask = async (path: string, body?: unknown, method?: string) => {
  const response = await call(path, { key: account.key, body, ...(method && { method }) });
  return { status: response.status, body: await jsonOf(response) };
};
const made = async (path: string, body: unknown) => {
  const answer = await ask(path, body);
  expect([answer.status, answer.body]).toEqual([201, answer.body]);
  return textAt(answer.body, 'id');
};
const contact = (body: object) => made('/v1/contacts', body);
const emails = async (path: string) => {
  const { status, body } = await ask(path);
  expect([path, status, body]).toEqual([path, 200, body]);
  return (body.data as { email: string }[]).map(({ email }) => email);
};

beforeAll(async () => {
  account = await createAccount();
});

describe('contacts', () => {
  it('are created, read by id and by address in any spelling, changed and erased', async () => {
    await made('/v1/contact-properties', { key: 'city', type: 'string' });
    const properties = { city: 'Bern' };
    const id = await contact({ email: 'Ann+x@Example.com', first_name: 'Ann', properties });
    const shown = {
      object: 'contact',
      id,
      email: 'Ann+x@example.com',
      first_name: 'Ann',
      last_name: null,
      created_at: expect.stringMatching(/Z$/),
      updated_at: expect.stringMatching(/Z$/),
      unsubscribed: false,
      properties: { city: { type: 'string', value: 'Bern' } },
    };
    for (const path of [id, 'Ann+x@example.com', 'ann%2Bx%40EXAMPLE.com']) {
      expect(await ask(`/v1/contacts/${path}`)).toEqual({ status: 200, body: shown });
    }
    const change = { last_name: 'Lee', first_name: null, unsubscribed: true, properties: { city: null } };
    expect((await ask(`/v1/contacts/${id}`, change, 'PATCH')).body).toEqual({ object: 'contact', id });
    expect((await ask(`/v1/contacts/${id}`)).body).toMatchObject({
      first_name: null,
      last_name: 'Lee',
      unsubscribed: true,
      properties: {},
    });
    const gone = await ask(`/v1/contacts/ann%2Bx@example.com`, undefined, 'DELETE');
    expect(gone).toEqual({
      status: 200,
      body: { object: 'contact', id, contact: 'ann+x@example.com', deleted: true },
    });
    expect((await ask(`/v1/contacts/${id}`)).status).toBe(404);
    expect((await ask(`/v1/contacts/${id}`, undefined, 'DELETE')).status).toBe(404);
  });

  it('keep their id when the address comes again, in any case of letters, and take what is given', async () => {
    const id = await contact({ email: 'bob@example.com', first_name: 'Bob', last_name: 'One' });
    expect(await contact({ email: 'BOB@example.com', last_name: 'Two' })).toBe(id);
    expect((await ask(`/v1/contacts/${id}`)).body).toMatchObject({ first_name: 'Bob', last_name: 'Two' });
  });
});

describe('lists', () => {
  it('have members, and are the same under their three names', async () => {
    const created = await ask('/v1/segments', { name: 'News' });
    const id = textAt(created.body, 'id');
    const own = {
      id,
      name: 'News',
      created_at: expect.stringMatching(/Z$/),
      filter: null,
      double_opt_in: false,
      confirmation_from: null,
      confirmation_subject: null,
      confirmation_language: null,
    };
    expect(created).toEqual({ status: 201, body: { object: 'segment', ...own } });
    for (const name of ['list', 'segment', 'audience']) {
      expect((await ask(`/v1/${name}s/${id}`)).body).toEqual({ object: name, ...own });
      expect((await ask(`/v1/${name}s?limit=1`)).body).toMatchObject({ has_more: false, data: [own] });
    }
    const one = await contact({ email: 'one@example.com', segments: [{ id }] });
    const two = await contact({ email: 'two@example.com' });
    const added = await ask(`/v1/contacts/two@example.com/segments/${id}`, undefined, 'POST');
    expect(added.body).toMatchObject({ id, contact_id: two, segment_id: id });
    expect(await emails(`/v1/segments/${id}/contacts`)).toEqual(['two@example.com', 'one@example.com']);
    expect(await emails(`/v1/contacts?segment_id=${id}&limit=1`)).toEqual(['two@example.com']);
    expect(await emails(`/v1/lists/${id}/contacts?after=${two}`)).toEqual(['one@example.com']);
    expect(await emails(`/v1/lists/${id}/contacts?before=${one}`)).toEqual(['two@example.com']);
    expect((await ask(`/v1/contacts/${one}/segments`)).body).toMatchObject({
      data: [{ id, name: 'News', status: 'confirmed' }],
    });
    const left = await ask(`/v1/contacts/${one}/segments/${id}`, undefined, 'DELETE');
    expect(left.body).toMatchObject({ id, audienceId: id, deleted: true });
    expect(await emails(`/v1/segments/${id}/contacts`)).toEqual(['two@example.com']);
    expect((await ask(`/v1/segments/${id}`, { name: 'Renamed' }, 'PATCH')).body).toEqual({
      object: 'segment',
      id,
    });
    expect((await ask(`/v1/segments/${id}`)).body).toMatchObject({ name: 'Renamed' });
    for (let time = 0; time < 2; time++) {
      const gone = await ask(`/v1/segments/${id}`, undefined, 'DELETE');
      expect(gone).toEqual({ status: 200, body: { object: 'segment', id, deleted: true } });
    }
    expect(await ask(`/v1/segments/${id}`)).toMatchObject({
      status: 404,
      body: { message: 'Audience not found' },
    });
    expect((await ask(`/v1/contacts/${two}`)).status).toBe(200);
    expect(await ask('/v1/segments', {})).toMatchObject({
      status: 422,
      body: { name: 'missing_required_field', message: 'Missing `name` field.' },
    });
  });

  it('with double opt-in have members that wait', async () => {
    await letSend(account, 'careful.example', inject('smtpPort'));
    const asking = { double_opt_in: true, confirmation_from: 'list@careful.example' };
    const id = await made('/v1/lists', { name: 'Careful', ...asking });
    const who = await contact({ email: 'waits@example.com', segments: [id] });
    expect((await ask(`/v1/contacts/${who}/segments`)).body).toMatchObject({
      data: [{ id, status: 'pending' }],
    });
  });

  it('serve callers who know a contact by one audience', async () => {
    const [first, second] = [
      await made('/v1/audiences', { name: 'A' }),
      await made('/v1/audiences', { name: 'B' }),
    ];
    const path = `/v1/audiences/${first}/contacts`;
    const id = await made(path, { email: 'legacy@example.com', first_name: 'L' });
    expect(await emails(path)).toEqual(['legacy@example.com']);
    expect((await ask(`${path}/legacy@example.com`)).body).toMatchObject({ id, first_name: 'L' });
    expect((await ask(`/v1/audiences/${second}/contacts/${id}`)).status).toBe(404);
    expect((await ask(`${path}/${id}`, { unsubscribed: true }, 'PATCH')).body).toEqual({
      object: 'contact',
      id,
    });
    await ask(`/v1/contacts/${id}/segments/${second}`, undefined, 'POST');
    for (let time = 0; time < 2; time++) {
      const gone = await ask(`${path}/${id}`, undefined, 'DELETE');
      expect(gone).toEqual({ status: 200, body: { object: 'contact', id, contact: id, deleted: true } });
    }
    expect((await ask(`/v1/contacts/${id}`)).status).toBe(200);
    await ask(`/v1/audiences/${second}/contacts/${id}`, undefined, 'DELETE');
    expect((await ask(`/v1/contacts/${id}`)).status).toBe(404);
  });

  it('of another account or of none refuse contacts', async () => {
    expect(await ask('/v1/contacts', { email: 'a@example.com', segments: [{ id: 'lst_x' }] })).toMatchObject({
      status: 422,
      body: { message: 'Invalid `segments[0].id` field: is not of a list of this account.' },
    });
    expect((await ask('/v1/contacts/a@example.com')).status).toBe(404);
  });
});

describe('topics', () => {
  it('have a default, which a contact can choose against', async () => {
    const news = await made('/v1/topics', {
      name: 'News',
      default_subscription: 'opt_in',
      description: 'Weekly',
    });
    const offers = await made('/v1/topics', { name: 'Offers', default_subscription: 'opt_out' });
    expect((await ask(`/v1/topics/${news}`)).body).toMatchObject({
      object: 'topic',
      id: news,
      name: 'News',
      description: 'Weekly',
      default_subscription: 'opt_in',
      visibility: 'private',
    });
    const who = await contact({
      email: 'topics@example.com',
      topics: [{ id: offers, subscription: 'opt_in' }],
    });
    const chosen = async () => {
      const { data } = (await ask(`/v1/contacts/${who}/topics`)).body as {
        data: { id: string; subscription: string }[];
      };
      return Object.fromEntries(data.map(({ id, subscription }) => [id, subscription]));
    };
    expect(await chosen()).toEqual({ [news]: 'opt_in', [offers]: 'opt_in' });
    const choices = [{ id: news, subscription: 'opt_out' }];
    for (const body of [choices, { topics: choices }]) {
      expect((await ask('/v1/contacts/topics@example.com/topics', body, 'PATCH')).body).toMatchObject({
        id: who,
      });
    }
    expect(await chosen()).toEqual({ [news]: 'opt_out', [offers]: 'opt_in' });
    expect((await ask(`/v1/topics/${news}`, { id: news, name: 'Renamed' }, 'PATCH')).status).toBe(200);
    expect((await ask(`/v1/topics/${news}`)).body).toMatchObject({ name: 'Renamed', description: 'Weekly' });
    expect((await ask(`/v1/topics/${news}`, undefined, 'DELETE')).body).toMatchObject({ deleted: true });
    expect(await chosen()).toEqual({ [offers]: 'opt_in' });
    expect(
      await ask(`/v1/contacts/${who}/topics`, [{ id: news, subscription: 'opt_in' }], 'PATCH'),
    ).toMatchObject({
      status: 422,
      body: { message: 'Invalid `[0].id` field: is not of a topic of this account.' },
    });
  });
});

describe('contact properties', () => {
  it('are of a type, which their values keep to', async () => {
    const id = await made('/v1/contact-properties', { key: 'age', type: 'number', fallback_value: 18 });
    expect((await ask(`/v1/contact-properties/${id}`)).body).toMatchObject({
      object: 'contact_property',
      key: 'age',
      type: 'number',
      fallback_value: 18,
      is_filterable: false,
    });
    for (const [properties, text] of [
      [{ age: 'old' }, 'Invalid `properties.age` field: must be a number.'],
      [{ size: 1 }, 'Invalid `properties.size` field: there is no contact property of that key.'],
    ]) {
      expect(await ask('/v1/contacts', { email: 'p@example.com', properties })).toMatchObject({
        status: 422,
        body: { message: text },
      });
    }
    expect((await ask('/v1/contact-properties', { key: 'age', type: 'string' })).status).toBe(409);
    expect((await ask(`/v1/contact-properties/${id}`, { fallback_value: null }, 'PATCH')).status).toBe(200);
    const who = await contact({ email: 'p@example.com', properties: { age: 30 } });
    expect((await ask(`/v1/contacts/${who}`)).body.properties).toEqual({
      age: { type: 'number', value: 30 },
    });
    expect((await ask(`/v1/contact-properties/${id}`, undefined, 'DELETE')).status).toBe(200);
    expect((await ask(`/v1/contacts/${who}`)).body.properties).toEqual({});
    await made('/v1/contact-properties', { key: 'age', type: 'string' });
    expect((await ask(`/v1/contacts/${who}`)).body.properties).toEqual({});
  });
});

describe('the database', () => {
  it('holds no address, name, key or value, and no hash that two accounts share', async () => {
    const [one, other] = [account, await createAccount()];
    const words = ['canaryname', 'canarydomain', 'canaryvalue', 'canarykey', 'canarylist', 'canarytopic'];
    const hashes: string[] = [];
    for (account of [one, other]) {
      await made('/v1/contact-properties', { key: 'canarykey', type: 'string', is_filterable: true });
      await made('/v1/topics', { name: 'canarytopic', default_subscription: 'opt_in' });
      const list = await made('/v1/lists', { name: 'canarylist' });
      const email = 'canaryname@canarydomain.example';
      const id = await contact({ email, properties: { canarykey: 'canaryvalue' }, segments: [list] });
      const row = await env.DB.prepare(
        `${RAW} SELECT hex(email_hash), hex(domain_hash) FROM contacts WHERE id = ?`,
      )
        .bind(id)
        .raw();
      hashes.push(...(row[0] as string[]));
    }
    account = one;
    expect(new Set(hashes).size).toBe(4);
    const tables = ['contacts', 'contact_properties', 'contact_values', 'lists', 'list_members', 'topics'];
    for (const table of [...tables, 'contact_topics', 'audit_log']) {
      const { results } = await env.DB.prepare(`${RAW} SELECT * FROM ${table}`).all();
      const bytes = JSON.stringify(results, (_key, value) =>
        Array.isArray(value) && typeof value[0] === 'number' ? Buffer.from(value).toString('latin1') : value,
      );
      expect(bytes).toContain(one.id);
      for (const word of words) expect([table, bytes.includes(word)]).toEqual([table, false]);
    }
  });
});
