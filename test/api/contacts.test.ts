import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';
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
