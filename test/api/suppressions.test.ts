import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { call, createAccount, jsonOf, textAt } from '../support/control-plane.ts';
import { RAW } from '../support/statement-tap.ts';

const add = async (key: string, email: string) =>
  jsonOf(await call('/v1/suppressions', { key, body: { email } }));
const list = async (key: string, query = '') =>
  (await jsonOf(await call(`/v1/suppressions${query}`, { key }))).data as { email: string }[];

describe('suppressions', () => {
  it('are added, read by id and by address, listed and removed', async () => {
    const { key } = await createAccount();
    const made = await call('/v1/suppressions', { key, body: { email: 'Ann@Example.com' } });
    const id = textAt(await made.clone().json(), 'id');
    expect([made.status, await made.json()]).toEqual([201, { object: 'suppression', id }]);
    const entry = {
      id,
      email: 'Ann@example.com',
      origin: 'manual',
      source_id: null,
      created_at: expect.stringMatching(/Z$/),
    };
    for (const path of [id, 'Ann@example.com', 'ann%40EXAMPLE.com']) {
      expect(await jsonOf(await call(`/v1/suppressions/${path}`, { key }))).toEqual({
        object: 'suppression',
        ...entry,
      });
    }
    expect(await jsonOf(await call('/v1/suppressions', { key }))).toEqual({
      object: 'list',
      has_more: false,
      data: [entry],
    });
    const gone = await call('/v1/suppressions/ann@example.com', { key, method: 'DELETE' });
    expect([gone.status, await jsonOf(gone)]).toEqual([200, { object: 'suppression', id, deleted: true }]);
    expect((await call(`/v1/suppressions/${id}`, { key })).status).toBe(404);
    expect((await call(`/v1/suppressions/${id}`, { key, method: 'DELETE' })).status).toBe(404);
  });

  it('keep their entry when the same address is added again, in any case of letters', async () => {
    const { key } = await createAccount();
    const first = await add(key, 'bob@example.com');
    expect(await add(key, 'BOB@example.com')).toEqual(first);
    expect(await list(key)).toHaveLength(1);
  });

  it('are added and removed in batches, with an id for each address in the order given', async () => {
    const { key } = await createAccount();
    const known = textAt(await add(key, 'b@example.com'), 'id');
    const emails = ['a@example.com', 'b@example.com', 'c@example.com', 'a@example.com'];
    const response = await call('/v1/suppressions/batch/add', { key, body: { emails } });
    expect(response.status).toBe(201);
    const { data } = (await response.json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual([data[0]?.id, known, data[2]?.id, data[0]?.id]);
    expect((await list(key)).map(({ email }) => email).sort()).toEqual(emails.slice(0, 3));
    const removed = await call('/v1/suppressions/batch/remove', {
      key,
      body: { ids: [known], emails: ['a@example.com', 'nobody@example.com'] },
    });
    expect([removed.status, await jsonOf(removed)]).toEqual([
      200,
      {
        data: expect.arrayContaining(
          [known, data[0]?.id].map((id) => ({ object: 'suppression', id, deleted: true })),
        ),
      },
    ]);
    expect((await list(key)).map(({ email }) => email)).toEqual(['c@example.com']);
  });

  it('page and filter by origin', async () => {
    const { key } = await createAccount();
    for (const name of ['a', 'b', 'c']) await add(key, `${name}@example.com`);
    const page = await jsonOf(await call('/v1/suppressions?limit=2&origin=manual', { key }));
    expect(page.has_more).toBe(true);
    const last = textAt(page, 'data', 1, 'id');
    expect((await list(key, `?after=${last}`)).map(({ email }) => email)).toEqual(['a@example.com']);
    expect(await list(key, '?origin=bounce')).toEqual([]);
  });

  it('of one account are nothing to another, even for the same address', async () => {
    const one = await createAccount();
    const other = await createAccount();
    await add(one.key, 'shared@example.com');
    expect(await list(other.key)).toEqual([]);
    expect((await call('/v1/suppressions/shared@example.com', { key: other.key })).status).toBe(404);
    await add(other.key, 'shared@example.com');
    const { results } = await env.DB.prepare(
      `${RAW} SELECT address_hash FROM suppressions WHERE account_id IN (?, ?)`,
    )
      .bind(one.id, other.id)
      .all<{ address_hash: string }>();
    expect(new Set(results.map((row) => row.address_hash)).size).toBe(2);
  });

  it.each([
    [{ email: 'no-at' }, '`email`'],
    [{ email: 'Ann <ann@example.com>' }, 'without a display name'],
    [{}, '`email`'],
    [{ email: 'a@example.com', why: 'x' }, '`why`'],
  ])('refuse %j', async (body, text) => {
    const { key } = await createAccount();
    const response = await call('/v1/suppressions', { key, body });
    expect(response.status).toBe(422);
    expect(textAt(await jsonOf(response), 'message')).toContain(text);
  });

  it('name the address of a batch that is wrong, and add none', async () => {
    const { key } = await createAccount();
    const body = { emails: ['a@example.com', 'wrong'] };
    const response = await call('/v1/suppressions/batch/add', { key, body });
    expect([response.status, textAt(await jsonOf(response), 'message')]).toEqual([
      422,
      expect.stringContaining('`emails[1]`'),
    ]);
    expect(await list(key)).toEqual([]);
    expect((await call('/v1/suppressions/batch/remove', { key, body: {} })).status).toBe(422);
  });

  it('leave an audit row with no address, and none where nothing changed', async () => {
    const { key, id } = await createAccount();
    await add(key, 'secret-person@example.com');
    await add(key, 'secret-person@example.com');
    await call('/v1/suppressions/secret-person@example.com', { key, method: 'DELETE' });
    const { results } = await env.DB.prepare(
      `SELECT action, target, details FROM audit_log WHERE "account_id" = ? AND action LIKE 'suppression.%'`,
    )
      .bind(id)
      .all();
    expect(results.map((row) => row.action).sort()).toEqual(['suppression.added', 'suppression.removed']);
    expect(JSON.stringify(results)).not.toContain('secret-person');
  });
});
